"""Following a ledger: a cursor is a place on one chain, and knows when that chain was replaced."""

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, Self

from fedledger.errors import CallError, LedgerUnavailable, Reorganised, UnknownBlock

from .base import Event, Ledger, Receipt

__all__ = ["Cursor", "Followed", "find_receipt", "follow"]

_BACK = (1, 4, 16, 64, 256)
"""Blocks before a cursor's whose hashes it keeps, to find what a replaced chain has in common."""

_WINDOW = 10_000  # blocks looked through at once while a limit is to be reached
_TRIES = 5

_TEXT = re.compile(r"c1((?:/[0-9]{1,18}:[0-9a-f]{64})+)(?:/([0-9]{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to a place has been read. Callers keep it and hand it back, nothing else.

    Attributes:
        block: index of the block it stands in.
        block_hash: that block's hash; so a cursor pins the chain it was read from.
        position: position of the last event read in that block; None: the whole block was read.
        before: index and hash of some earlier blocks, newest first.
    """

    block: int
    block_hash: str
    position: int | None = None
    before: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        """Return the text that `parse` reads: one line of printable ASCII, below 600 characters."""
        places = ((self.block, self.block_hash), *self.before)
        text = "c1" + "".join(f"/{index}:{hash_.removeprefix('0x')}" for index, hash_ in places)
        return text if self.position is None else f"{text}/{self.position}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that has this text.

        Raises:
            CallError: no cursor has it.
        """
        found = _TEXT.fullmatch(text)
        places = []
        for part in found[1][1:].split("/") if found else ():
            index, _, digits = part.partition(":")
            places.append((int(index), "0x" + digits))
        if found is None or any(one[0] <= other[0] for one, other in pairwise(places)):
            raise CallError(f"{text[:80]!r} is no cursor")
        position = None if found[2] is None else int(found[2])
        return cls(*places[0], position, tuple(places[1:]))

    def passed(self, event: Event) -> bool:
        """Tell whether an event is at or before this place."""
        if event.block != self.block or self.position is None:
            return event.block <= self.block
        return event.position <= self.position


class Followed(NamedTuple):
    """What `Ledger.follow` returns.

    Attributes:
        events: the events after the cursor, in ledger order.
        cursor: where they end; hand it to the next call.
    """

    events: list[Event]
    cursor: Cursor


def follow(
    ledger: Ledger,
    contract: str,
    event: str | None = None,
    *,
    after: Cursor | str | None = None,
    limit: int | None = None,
) -> Followed:
    """Do what `Ledger.follow` promises, on any ledger that has `head`, `block` and `events`.

    Blocks may be replaced while this reads. So events count only when, after they were read, the
    cursor's block and the block that was the newest before are both on the chain: a block's hash
    covers all before it. Else everything is read again.
    """
    if limit is not None and limit < 1:
        raise CallError(f"limit {limit}: at least 1 wanted")
    start = Cursor.parse(after) if isinstance(after, str) else after
    for _ in range(_TRIES):
        head = ledger.head()
        if start is not None and head.block < start.block:
            raise LedgerUnavailable(
                f"{ledger.url} ends in block {head.block}, before block {start.block} of the "
                "cursor: it is behind, or not the ledger that the cursor is from"
            )
        found = _read(ledger, (contract, event), start, head.block, limit)
        if limit is not None and len(found) >= limit:
            last = found[limit - 1]
            end = Cursor(last.block, last.block_hash, last.position)
            del found[limit:]
        else:
            end = Cursor(head.block, head.hash)
        if start is not None and not _is_there(ledger, start.block, start.block_hash):
            raise _reorganised(ledger, start)
        if start is not None and end.block_hash == start.block_hash:
            before = start.before
        else:
            before = _before(ledger, end.block)
        if _is_there(ledger, head.block, head.hash):
            return Followed(found, replace(end, before=before))
    raise LedgerUnavailable(f"{ledger.url}: its blocks are replaced faster than they can be read")


def _read(
    ledger: Ledger,
    which: tuple[str, str | None],
    start: Cursor | None,
    newest: int,
    limit: int | None,
) -> list[Event]:
    """Return the events after `start`, all or at least `limit` if there are so many."""
    found: list[Event] = []
    first = 0 if start is None else start.block + (start.position is None)
    step = newest + 1 if limit is None else _WINDOW
    while True:
        last = min(newest, first + step - 1)
        read = ledger.events(*which, since=first, until=last)
        found += [one for one in read if start is None or not start.passed(one)]
        first = last + 1
        if first > newest or (limit is not None and len(found) >= limit):
            return found


def _is_there(ledger: Ledger, index: int, block_hash: str) -> bool:
    try:
        return ledger.block(index).hash == block_hash
    except UnknownBlock:
        return False


def _before(ledger: Ledger, index: int) -> tuple[tuple[int, str], ...]:
    try:
        blocks = [ledger.block(index - back) for back in _BACK if back <= index]
    except UnknownBlock:
        return ()  # the chain is being replaced: the caller reads again
    return tuple((block.index, block.hash) for block in blocks)


def _reorganised(ledger: Ledger, cursor: Cursor) -> Reorganised:
    for place, (index, block_hash) in enumerate(cursor.before):
        if _is_there(ledger, index, block_hash):
            resume = Cursor(index, block_hash, None, cursor.before[place + 1 :])
            return Reorganised(cursor.block, index, str(resume))
    return Reorganised(cursor.block, None, None)


def find_receipt(ledger: Ledger, transaction: str) -> Receipt:
    """Return the receipt of a call that took effect, found among its sender's calls.

    Raises:
        KeyError: there is no such call.
        LedgerUnavailable: the ledger cannot be read.
    """
    sender = ledger.transaction(transaction).sender
    for one in ledger.transactions_of(sender):
        if one.transaction == transaction:
            there = one.block
            said = [
                event
                for contract in ledger.contracts()
                for event in ledger.events(contract, since=there, until=there)
                if event.transaction == transaction
            ]
            said.sort(key=lambda event: event.position)
            return Receipt(transaction, there, one.block_hash, one.position, tuple(said))
    raise KeyError(f"no call {transaction} took effect")
