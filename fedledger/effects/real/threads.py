"""Computations in threads."""

import asyncio
import contextvars
import functools
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from ..base import Work, Worker

__all__ = ["ThreadWork"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

_WAITERS = 48
"""Threads for what mostly waits."""

logger = logging.getLogger(__name__)


class ThreadWork(Work):
    """Threads of this process."""

    def __init__(self) -> None:
        self._waiters = ThreadPoolExecutor(_WAITERS, thread_name_prefix="fedledger-wait")

    async def run(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run `function` in one of the event loop's threads, to its end."""
        return await _to_the_end(None, functools.partial(function, *args, **kwargs))

    async def wait(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run `function` in one of the threads for what waits, to its end."""
        return await _to_the_end(self._waiters, functools.partial(function, *args, **kwargs))

    def map(self, function: Callable[[_T], _R], items: Iterable[_T], *, at_once: int) -> list[_R]:
        """Run `function` in up to `at_once` threads, which live as long as the call."""
        listed = list(items)
        if len(listed) <= 1 or at_once <= 1:
            return [function(item) for item in listed]
        with ThreadPoolExecutor(min(len(listed), at_once)) as pool:
            return list(pool.map(function, listed))

    def worker(self, name: str, *, waiting: int) -> Worker:
        """Start a thread that takes jobs from a bounded queue."""
        return _ThreadWorker(name, waiting)


class _ThreadWorker(Worker):
    def __init__(self, name: str, waiting: int) -> None:
        self._jobs: queue.Queue[Callable[[], object] | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def give(self, job: Callable[[], object]) -> bool:
        """Put a job into the queue if there is room."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        return True

    def close(self, seconds: float) -> bool:
        """Let the thread end after the jobs that it has."""
        try:
            self._jobs.put(None, timeout=seconds)
        except queue.Full:
            return False
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                logger.warning("a job of %s failed", self._thread.name, exc_info=True)


async def _to_the_end(executor: Executor | None, function: Callable[[], _R]) -> _R:
    """Run `function` in a thread; who cancels this waits until the thread has finished.

    `asyncio.to_thread` alone leaves the thread running behind the back of whoever cancelled it.
    """
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(executor, context.run, function)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise
