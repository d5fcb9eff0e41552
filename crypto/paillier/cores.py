"""Big numbers on several cores: threads, since GMP computes without the interpreter's lock."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

import gmpy2

from fedledger.effects import Effects, Work

__all__ = ["Cores", "here"]

_T = TypeVar("_T")
_R = TypeVar("_R")
_PIECE: Final = 16  # items that a thread takes at once: some milliseconds


@dataclass(frozen=True, slots=True)
class Cores:
    """Who computes, and on how many cores.

    Attributes:
        work: runs the threads.
        count: how many at once.
    """

    work: Work
    count: int

    def each(self, function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        """Return what `function` returns for each item, in order; the first item's error is raised.

        Results do not depend on the number of cores.
        """

        def piece(start: int) -> list[_R]:
            with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
                return [function(item) for item in items[start : start + _PIECE]]

        pieces = self.work.map(piece, range(0, len(items), _PIECE), at_once=self.count)
        return [result for results in pieces for result in results]


@cache
def here() -> Cores:
    """Return the cores that this process may use; what they compute depends on none of them."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count()
    return Cores(Effects.real().work, count or 1)
