"""Waiting: for an event at most so long, and for a thread to its end."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["set_within", "to_the_end"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Return when `event` is set, or after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def to_the_end(function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Run `function` in a thread; who cancels this waits until the thread has finished.

    `asyncio.to_thread` alone leaves the thread running behind the back of whoever cancelled it.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise
