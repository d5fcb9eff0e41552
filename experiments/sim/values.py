"""Clock, entropy and work of a simulation."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from fedledger.effects import Clock, Entropy, Work, Worker
from fedledger.errors import LedgerUnavailable

from .loop import VirtualLoop

__all__ = ["InlineWork", "SeededEntropy", "VirtualClock"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

EPOCH = 1_800_000_000.0
"""The simulation's first moment, in seconds since 1970 UTC."""


class SeededEntropy(Entropy):
    """A stream of bytes that follows from a seed and a name; streams do not disturb each other.

    Args:
        seed: the simulation's.
        name: the stream's.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._key = hashlib.sha256(f"fedledger simulation {seed} {name}".encode()).digest()
        self._used = 0

    def draw(self, count: int) -> bytes:
        """Return the stream's next bytes."""
        found = b""
        while len(found) < count:
            found += hashlib.sha256(self._key + self._used.to_bytes(8, "big")).digest()
            self._used += 1
        return found[:count]

    def between(self, low: float, high: float) -> float:
        """Return a number from `low` to below `high`."""
        return low + (high - low) * self.uniform()

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.uniform() < probability


class VirtualClock(Clock):
    """The loop's time, as one machine of the simulation sees it.

    Args:
        loop: whose time.
        skew: seconds by which the machine's wall clock is ahead.
    """

    def __init__(self, loop: VirtualLoop, skew: float = 0.0) -> None:
        self._loop = loop
        self._skew = skew

    def wall(self) -> float:
        """Return seconds since 1970 UTC."""
        return EPOCH + self._skew + self._loop.time()

    def monotonic(self) -> float:
        """Return the loop's seconds."""
        return self._loop.time()

    def sleep(self, seconds: float) -> None:
        """Let everybody else go on for `seconds`; only who stands outside the loop may wait."""
        self._loop.run_until_complete(asyncio.sleep(seconds))


class InlineWork(Work):
    """Computes in the loop, after a while that stands for the time that a thread takes.

    Args:
        entropy: draws that while.
        alive: whether the machine still runs: a dead one computes nothing.
    """

    def __init__(self, entropy: SeededEntropy, alive: Callable[[], bool]) -> None:
        self._entropy = entropy
        self._alive = alive

    async def run(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Wait a little, then compute; who cancels this finds it computed, too."""
        try:
            await asyncio.sleep(self._entropy.between(0.0, 0.01))
        except asyncio.CancelledError:
            if self._alive():
                function(*args, **kwargs)
            raise
        if not self._alive():
            raise LedgerUnavailable("the machine is off")
        return function(*args, **kwargs)

    async def wait(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Do as `run`."""
        return await self.run(function, *args, **kwargs)

    def map(self, function: Callable[[_T], _R], items: Iterable[_T], *, at_once: int) -> list[_R]:  # noqa: ARG002
        """Compute one after the other."""
        return [function(item) for item in items]

    def worker(self, name: str, *, waiting: int) -> Worker:  # noqa: ARG002
        """Return a worker that does each job at once."""
        return _InlineWorker()


class _InlineWorker(Worker):
    def give(self, job: Callable[[], object]) -> bool:
        """Do it."""
        job()
        return True

    def close(self, seconds: float) -> bool:  # noqa: ARG002
        """Do nothing: all is done."""
        return True
