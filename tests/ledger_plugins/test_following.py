"""Cursors on a chain that changes while it is read: plain lists, reorganised at will."""

import random
from dataclasses import replace

import pytest

from fedledger.errors import CallError, LedgerUnavailable, Reorganised, UnknownBlock
from fedledger.ledger_plugins import Block, Cursor, Event, Head, Ledger
from fedledger.ledger_plugins.following import _WINDOW


class ListLedger(Ledger):
    """Blocks in a list, each with so many events; a fork gives blocks other hashes."""

    url = "list://"
    chain_id = 1

    def __init__(self):
        self.made = 0
        self.chain: list[tuple[Block, list[Event]]] = []
        self.asked: list[tuple[int, int]] = []
        self.between = lambda: None  # runs after each reading of events
        self.add(0)

    def add(self, events):
        self.made += 1
        index, hash_ = len(self.chain), f"0x{self.made:064x}"
        before = self.chain[-1][0].hash if self.chain else "0x" + "00" * 32
        said = [
            Event("C", f"e{self.made}", {}, index, hash_, at * 3, 10 * index, hash_)
            for at in range(events)
        ]
        self.chain.append((Block(index, hash_, before, 10 * index, ()), said))

    def fork(self, depth, *, events=1, longer=0):
        del self.chain[len(self.chain) - depth :]
        for _ in range(depth + longer):
            self.add(events)

    def everything(self):
        return [event for _, events in self.chain for event in events]

    def head(self):
        newest = self.chain[-1][0]
        return Head(newest.index, newest.hash, newest.timestamp)

    def block(self, index):
        if not 0 <= index < len(self.chain):
            raise UnknownBlock(index, len(self.chain) - 1)
        return self.chain[index][0]

    def contracts(self):
        return {}

    def events(self, _contract, _event=None, *, since=0, until=None):
        last = len(self.chain) - 1 if until is None else until
        self.asked.append((since, last))
        found = [one for one in self.everything() if since <= one.block <= last]
        self.between()
        return found

    def _none(self, *_):
        raise NotImplementedError

    nonce = terms = transact = call = transaction = verify = close = _none


class Reader:
    """Follows as the documentation says, and keeps what it was told."""

    def __init__(self, ledger, limit=None):
        self.ledger, self.limit = ledger, limit
        self.cursor: str | None = None
        self.seen: list[Event] = []

    def poll(self):
        try:
            events, cursor = self.ledger.follow("C", after=self.cursor, limit=self.limit)
        except Reorganised as error:
            common = -1 if error.common is None else error.common
            self.seen = [event for event in self.seen if event.block <= common]
            self.cursor = error.resume
            return True
        self.seen += events
        self.cursor = str(cursor)
        return bool(events)


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 200))]
)
def test_whatever_happens_readers_have_seen_what_is_there(seed):
    """Growth, forks of any depth and limits in random order: afterwards nothing is missed."""
    chance = random.Random(seed)
    ledger = ListLedger()
    readers = [Reader(ledger), Reader(ledger, 1), Reader(ledger, 3)]
    for _ in range(60):
        if chance.random() < 0.6:
            for _ in range(chance.choice((1, 2, 30))):
                ledger.add(chance.choice((0, 0, 1, 5)))
        elif len(ledger.chain) > 3:
            depth = chance.randrange(1, min(len(ledger.chain), 90))
            ledger.fork(depth, events=chance.randrange(3), longer=chance.randrange(3))
        for reader in readers:
            for _ in range(chance.randrange(4)):
                reader.poll()
    for reader in readers:
        while reader.poll():
            pass
        assert reader.seen == ledger.everything()


def test_a_fork_while_events_are_read_is_read_again():
    """What was read of blocks that were replaced meanwhile is not handed out."""
    ledger = ListLedger()
    for _ in range(5):
        ledger.add(1)
    cursor = ledger.follow("C", limit=2).cursor
    forks = iter([2])

    def fork_once():
        for depth in forks:
            ledger.fork(depth)

    ledger.between = fork_once
    events, after = ledger.follow("C", after=cursor)
    assert events == ledger.everything()[2:]
    assert ledger.follow("C", after=after).events == []


def test_a_chain_that_never_rests_is_unavailable():
    """Replaced under every reading, the ledger is LedgerUnavailable; nothing wrong is returned."""
    ledger = ListLedger()
    ledger.add(1)
    ledger.between = lambda: ledger.fork(1)
    with pytest.raises(LedgerUnavailable, match="faster than they can be read"):
        ledger.follow("C")


@pytest.mark.parametrize(("depth", "common"), [(1, 299), (2, 296), (10, 284), (40, 236), (200, 44)])
def test_the_common_block_is_at_most_four_times_as_far(depth, common):
    """Going back costs at most four times the fork's depth; the resumed cursor goes back again."""
    ledger = ListLedger()
    for _ in range(300):
        ledger.add(1)
    cursor = ledger.follow("C").cursor
    ledger.fork(depth)
    with pytest.raises(Reorganised, match=f"behind block {common}") as caught:
        ledger.follow("C", after=cursor)
    assert caught.value.common == common
    ledger.fork(300 - common)
    assert len(ledger.follow("C", after=caught.value.resume).events) == 300 - common


def test_a_limit_reads_a_long_chain_in_windows():
    """With a limit not everything up to the head is read; idle polls look at no block again."""
    ledger = ListLedger()
    for index in range(2 * _WINDOW):
        ledger.add(int(index % 5_000 == 0))
    ledger.asked.clear()
    ledger.follow("C", limit=1)
    assert ledger.asked == [(0, _WINDOW - 1)]
    cursor = ledger.follow("C").cursor
    ledger.asked.clear()
    assert ledger.follow("C", after=cursor).cursor == cursor
    assert ledger.asked == [(2 * _WINDOW + 1, 2 * _WINDOW)]


def test_blocks_stop_when_they_are_replaced():
    """An iterator that has yielded a block does not go on with another one's successor."""
    ledger = ListLedger()
    for _ in range(5):
        ledger.add(0)
    blocks = ledger.blocks()
    assert [next(blocks).index for _ in range(4)] == [0, 1, 2, 3]
    ledger.fork(3)
    with pytest.raises(LedgerUnavailable, match="block 3 was replaced"):
        next(blocks)
    blocks = ledger.blocks()
    next(blocks)
    del ledger.chain[1:]
    with pytest.raises(LedgerUnavailable, match="became shorter"):
        next(blocks)


def test_a_shared_ledger_holds_every_block_of_its_chain():
    """`holds` looks at the newest block alone, or at all where others write, too."""

    class Shared(ListLedger):
        shared = True

    for ledger in (ListLedger(), Shared()):
        ledger.add(0)
        ledger.add(0)
        held = [ledger.holds(block.hash) for block in ledger.blocks()]
        assert held == [ledger.shared, ledger.shared, True]
        assert not ledger.holds("0x" + "ff" * 32)


def test_cursors_are_read_strictly():
    """Each cursor has one text; earlier blocks out of order, or anything else, is none."""
    cursor = Cursor(9, "0x" + "a1" * 32, 4, ((8, "0x" + "b2" * 32), (5, "0x" + "c3" * 32)))
    for one in (cursor, replace(cursor, position=None), Cursor(0, "0x" + "00" * 32)):
        assert Cursor.parse(str(one)) == one
    text = str(cursor)
    for wrong in (
        text.replace("/8:", "/9:"),
        text.upper(),
        text + "\n",
        text.replace("/4", "/-4"),
        " " + text,
        text.replace("/9:", "/٩:"),
        "c1/4",
    ):
        with pytest.raises(CallError, match="no cursor"):
            Cursor.parse(wrong)
