"""Clock, entropy and work: what they promise."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

__all__ = ["Clock", "Entropy", "Work", "Worker"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")


class Clock(ABC):
    """What time it is, and waiting."""

    @abstractmethod
    def wall(self) -> float:
        """Return seconds since 1970 UTC; it may be set back."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds since some moment; they never go back."""

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, which are not negative; the calling thread waits.

        Asynchronous code uses `asyncio.sleep`, whose clock is the event loop.
        """


class Entropy(ABC):
    """What nobody foresees. All that a program draws comes from here, secrets and jitter alike."""

    @abstractmethod
    def draw(self, count: int) -> bytes:
        """Return `count` random bytes, fit for a key."""

    def hexadecimal(self, count: int) -> str:
        """Return `count` random bytes as lower-case hexadecimal digits, two a byte."""
        return self.draw(count).hex()

    def below(self, bound: int) -> int:
        """Return an integer from 0 to below `bound`, all equally likely.

        Raises:
            ValueError: `bound` is not positive.
        """
        if bound <= 0:
            raise ValueError(f"no integer from 0 to below {bound}")
        length = ((bound - 1).bit_length() + 7) // 8
        spare = 8 * length - (bound - 1).bit_length()
        while True:
            drawn = int.from_bytes(self.draw(length), "big") >> spare
            if drawn < bound:
                return drawn

    def uniform(self) -> float:
        """Return a number from 0 to below 1, a multiple of 2**-53."""
        return self.below(1 << 53) / (1 << 53)

    def sample(self, population: Sequence[_T], count: int) -> list[_T]:
        """Return `count` different elements in random order.

        Raises:
            ValueError: `population`, which has an order, has fewer.
        """
        if not 0 <= count <= len(population):
            raise ValueError(f"no {count} different ones of {len(population)}")
        left = list(population)
        return [left.pop(self.below(len(left))) for _ in range(count)]


class Worker(ABC):
    """Runs jobs one after another in the background, in the order in which they were given."""

    @abstractmethod
    def give(self, job: Callable[[], object]) -> bool:
        """Give a job, and return at once: False when too many wait, and it will not be done.

        What a job raises is logged.
        """

    @abstractmethod
    def close(self, seconds: float) -> bool:
        """Take no more jobs, and wait so long for those given; tell whether all are done."""


class Work(ABC):
    """Who computes."""

    @abstractmethod
    async def run(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return what `function` returns, computed off the event loop.

        Who cancels this waits until the function has ended: it never goes on behind anybody's back.
        """

    @abstractmethod
    async def wait(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Do as `run`, for what mostly waits (a slow store) and must not keep `run` from starting.

        Who cancels this waits for the end, too.
        """

    @abstractmethod
    def map(self, function: Callable[[_T], _R], items: Iterable[_T], *, at_once: int) -> list[_R]:
        """Return what `function` returns for each item, in order; up to `at_once` run together.

        When one raises, the others still end; the first item's error is raised.
        """

    @abstractmethod
    def worker(self, name: str, *, waiting: int) -> Worker:
        """Start a worker, for which up to `waiting` jobs may wait; no program waits for its end."""
