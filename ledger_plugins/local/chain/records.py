"""What a chain has said so far, by transaction and by contract, in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain

from ...base import Event, Inclusion
from .execution import Executed

__all__ = ["Records", "placed"]


class Records:
    """Where each transaction is, and each sender's calls and contract's events in ledger order."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[int, int]] = {}
        """Transaction hash to the index of its block and its position there."""
        self.senders: list[str] = []
        """Who sent each of them, in the same order."""
        self.blocks: dict[bytes, int] = {}
        """Hash of each block to its index, in order."""
        self._calls: dict[str, list[str]] = {}
        self._events: dict[str, list[Event]] = {}

    def add(self, block: int, block_hash: bytes, executed: Sequence[Executed]) -> None:
        """Take in what the newest block executed."""
        self.blocks[block_hash] = block
        for position, one in enumerate(executed):
            self._place(one.transaction.hash, one.transaction.sender, (block, position))
            for event in one.events:
                self._events.setdefault(event.contract, []).append(event)

    def all_events(self) -> Iterator[Event]:
        """Return every contract's events; those of one contract in ledger order."""
        return chain.from_iterable(self._events.values())

    def restore(
        self,
        places: Mapping[str, tuple[int, int]],
        senders: Iterable[str],
        events: Iterable[Event],
        blocks: Iterable[bytes],
    ) -> None:
        """Take in what `places`, `senders`, `all_events` and `blocks` gave."""
        self.blocks = {block_hash: index for index, block_hash in enumerate(blocks)}
        for (transaction, place), sender in zip(places.items(), senders, strict=True):
            self._place(transaction, sender, place)
        for event in events:
            self._events.setdefault(event.contract, []).append(event)

    def rewind(self, block: int) -> None:
        """Forget what blocks after `block` said."""
        while len(self.blocks) > block + 1:
            self.blocks.popitem()
        while self.places and self.places[last := next(reversed(self.places))][0] > block:
            del self.places[last]
            self._calls[self.senders.pop()].pop()
        for events in self._events.values():
            while events and events[-1].block > block:
                events.pop()

    def events(self, contract: str, name: str | None, since: int, until: int) -> list[Event]:
        """Return events of blocks `since` to `until`, all or those called `name`."""
        found = self._events.get(contract, [])
        first = bisect_left(found, since, key=_block_of)
        last = bisect_right(found, until, key=_block_of)
        return [event for event in found[first:last] if name is None or event.name == name]

    def events_in(self, block: int) -> Iterator[Event]:
        """Yield every contract's events of a block; those of one contract in ledger order."""
        for contract in self._events:
            yield from self.events(contract, None, block, block)

    def calls(self, sender: str, since: int, until: int) -> list[tuple[str, int, int]]:
        """Return hash, block and position of a sender's calls in blocks `since` to `until`."""
        found = self._calls.get(sender, [])
        first = bisect_left(found, since, key=self._block_of_call)
        last = bisect_right(found, until, key=self._block_of_call)
        return [(one, *self.places[one]) for one in found[first:last]]

    def _place(self, transaction: str, sender: str, place: tuple[int, int]) -> None:
        self.places[transaction] = place
        self.senders.append(sender)
        self._calls.setdefault(sender, []).append(transaction)

    def _block_of_call(self, transaction: str) -> int:
        return self.places[transaction][0]


def _block_of(event: Event) -> int:
    return event.block


def placed(calls: Iterable[tuple[str, int, int]], hash_of: Callable[[int], str]) -> list[Inclusion]:
    """Return where calls are that `Records.calls` gave; each block's hash is asked for once."""
    known = cache(hash_of)
    return [Inclusion(one, block, known(block), position) for one, block, position in calls]
