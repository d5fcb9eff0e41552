"""Threads for the kernels, which release the GIL.

Work is cut into pieces whose size does not depend on the number of threads, and results are taken
in the order of the pieces, so the number of threads never changes a bit. Threads live as long as
one call: nothing is left behind for a fork to break.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from fedledger.errors import ConfigError

__all__ = ["run_pieces", "thread_count", "threads"]

T = TypeVar("T")
_limit: ContextVar[int | None] = ContextVar("fedledger_rule_threads", default=None)


def thread_count() -> int:
    """Return how many threads a rule may use here: the limit set, else the cores we may run on."""
    limit = _limit.get()
    if limit is not None:
        return limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let rules called inside use at most `count` threads; for sweeps that fill the cores.

    Raises:
        ConfigError: `count` is below 1.
    """
    if count < 1:
        raise ConfigError(f"a rule needs at least 1 thread, got {count}")
    token = _limit.set(count)
    try:
        yield
    finally:
        _limit.reset(token)


def run_pieces(task: Callable[[int, int], T], stop: int, size: int) -> Iterator[T]:
    """Yield `task(start, end)` of each piece of 0..stop of `size` coordinates, in order."""
    starts = range(0, stop, size)
    ends = [min(start + size, stop) for start in starts]
    count = min(thread_count(), len(ends))
    if count <= 1:
        yield from map(task, starts, ends)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="fedledger-rule") as pool:
        yield from pool.map(task, starts, ends)
