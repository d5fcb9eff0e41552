"""What a chain has said so far, by transaction and by contract, in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from ..base import Event
from .execution import Executed

__all__ = ["Records"]


class Records:
    """Where each transaction is, and the events of each contract in ledger order."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[int, int]] = {}
        """Transaction hash to the index of its block and its position there."""
        self._events: dict[str, list[Event]] = {}

    def add(self, block: int, executed: Sequence[Executed]) -> None:
        """Take in what the newest block executed."""
        for position, one in enumerate(executed):
            self.places[one.transaction.hash] = (block, position)
            for event in one.events:
                self._events.setdefault(event.contract, []).append(event)

    def all_events(self) -> Iterator[Event]:
        """Return every contract's events; those of one contract in ledger order."""
        return chain.from_iterable(self._events.values())

    def restore(self, places: Mapping[str, tuple[int, int]], events: Iterable[Event]) -> None:
        """Take in what `places` and `all_events` gave."""
        self.places = dict(places)
        for event in events:
            self._events.setdefault(event.contract, []).append(event)

    def rewind(self, block: int) -> None:
        """Forget what blocks after `block` said."""
        while self.places and self.places[last := next(reversed(self.places))][0] > block:
            del self.places[last]
        for events in self._events.values():
            while events and events[-1].block > block:
                events.pop()

    def events(self, contract: str, name: str | None, since: int, until: int) -> list[Event]:
        """Return events of blocks `since` to `until`, all or those called `name`."""
        found = self._events.get(contract, [])
        first = bisect_left(found, since, key=_block_of)
        last = bisect_right(found, until, key=_block_of)
        return [event for event in found[first:last] if name is None or event.name == name]


def _block_of(event: Event) -> int:
    return event.block
