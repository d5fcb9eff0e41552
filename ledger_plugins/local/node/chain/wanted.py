"""Contents that a miner needs and peers are asked for: for a while, and only so many."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from fedledger.effects import Clock

__all__ = ["SOUGHT", "Wanted"]

SOUGHT = 60.0
"""Seconds for which a content is sought after somebody has asked for it last."""

_MOST = 1_024


class Wanted:
    """CIDs by the time at which they were asked for last.

    Args:
        clock: counts the seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: OrderedDict[str, float] = OrderedDict()

    def ask(self, cid: str) -> bool:
        """Note that a content is needed; tell whether that is news."""
        news = cid not in self._asked
        self._asked[cid] = self._clock.monotonic()
        while len(self._asked) > _MOST:
            self._asked.popitem(last=False)
        return news

    def tend(self, has: Callable[[str], bool]) -> None:
        """Forget what is there, and what nobody has asked for again."""
        old = self._clock.monotonic() - SOUGHT
        for cid, asked in list(self._asked.items()):
            if asked < old or has(cid):
                del self._asked[cid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._asked)
