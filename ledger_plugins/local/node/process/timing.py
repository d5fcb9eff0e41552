"""Waiting for an event at most so long."""

import asyncio

__all__ = ["set_within"]


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Return when `event` is set, or after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
