"""Calls that may not come back: another thread makes them, and is left behind at the deadline.

Python cannot stop a call that hangs in somebody else's code. So it is made in a thread of its own,
and who waits for it goes on when the time is up; the thread ends when the call does. These threads
and their clock are the real ones: what is left behind is what no seed could replay. A store without
a deadline, as one in a folder is by default, has neither.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

__all__ = ["LONGEST", "OutOfTime", "Waiting"]

LONGEST = threading.TIMEOUT_MAX
"""Seconds that can be waited for at most."""

T = TypeVar("T")

_Jobs: TypeAlias = "SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]"

_LEFT_BEHIND = 64  # threads at most: a store that always hangs does not fill the memory

_slots = threading.BoundedSemaphore(_LEFT_BEHIND)


class OutOfTime(Exception):
    """The call did not come back in time; callers map it to an error of the library."""


class Waiting:
    """Calls one after another with one time for all of them; a context manager.

    All calls are made by the same thread, so what the first one opened (a database, a generator)
    can be used by the next. Only the time in `call` counts, not that between the calls.

    Args:
        seconds: the time for all calls together; None: they are made in the caller's own thread,
            and take as long as they take.
    """

    def __init__(self, seconds: float | None) -> None:
        self._left = seconds
        self._jobs: _Jobs | None = None

    def call(self, function: Callable[[], T]) -> T:
        """Return what `function` returns, or raise what it raises.

        Raises:
            OutOfTime: the time is up, now or before.
        """
        if self._left is None:
            return function()
        began = time.monotonic()
        jobs = self._jobs or self._start(self._left)
        answer: Future[T] = Future()
        jobs.put((function, answer))
        left = self._left - (time.monotonic() - began)
        done = wait([answer], max(left, 0.0)).done
        self._left -= time.monotonic() - began
        if not done:
            self._left = 0.0
            raise OutOfTime
        return answer.result()

    def renew(self, seconds: float | None) -> None:
        """Give the calls to come so much time, however much the ones before took."""
        if self._left is not None:
            self._left = seconds

    def afterwards(self, function: Callable[[], object]) -> None:
        """Let the thread call this when it has come back from the calls before; nobody waits."""
        if self._left is None:
            function()
        elif self._jobs is not None:
            self._jobs.put((function, Future()))

    def _start(self, seconds: float) -> _Jobs:
        slots = _slots
        if not slots.acquire(timeout=max(seconds, 0.0)):
            raise OutOfTime  # so many calls hang already
        jobs: _Jobs = SimpleQueue()
        try:
            threading.Thread(target=_work, args=(jobs, slots), name="store", daemon=True).start()
        except BaseException:
            slots.release()
            raise
        self._jobs = jobs
        return jobs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._jobs is not None:
            self._jobs.put(None)  # a thread that still hangs finds it when its call comes back


def _work(jobs: _Jobs, slots: threading.BoundedSemaphore) -> None:
    try:
        while (job := jobs.get()) is not None:
            function, answer = job
            try:
                answer.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is read
                answer.set_exception(error)
    finally:
        slots.release()
