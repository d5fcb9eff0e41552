"""Hostile nodes against a client: whatever they answer is an error of the library."""

import itertools
import json
import time

import pytest
from support.cores import BORN, GENESIS, Bench, mine
from support.evil import EvilPeer

from fedledger.errors import ChainCorrupted, LedgerUnavailable, Reorganised
from fedledger.ledger_plugins.local.node.chain.envelope import Envelope
from fedledger.ledger_plugins.local.node.http.remote import open_node_ledger
from fedledger.ledger_plugins.local.node.http.wire import pack

FIRST = Envelope.sign(GENESIS.block(BORN), None).encode()
FIRST_HASH = Envelope.decode(FIRST).block.header.hash.hex()
STATUS = {
    "network": "00" * 32,
    "head": "11" * 32,
    "first": "22" * 32,
    "index": 3,
    "work": "9",
    "pool": 0,
    "pending": 0,
}


@pytest.mark.parametrize(
    ("status", "answers"),
    [
        (b"[" * 60_000, {}),
        (b"\xff\xfe", {}),
        (bytes(10_000_000), {}),
        (b"[]", {}),
        (STATUS | {"first": "http://x:y/\x00 \n"}, {}),
        (STATUS | {"index": -1}, {}),
        (STATUS, {"block": lambda _: b"[" * 60_000}),
        (STATUS, {"block": lambda _: itertools.repeat(bytes(1 << 20))}),
        (STATUS, {"block": lambda _: FIRST}),
        (STATUS | {"first": FIRST_HASH}, {"block": lambda _: FIRST, "blocks": lambda _: b"\xff"}),
        (STATUS | {"first": FIRST_HASH, "index": 2**62}, {"block": lambda _: FIRST}),
    ],
)
def test_a_client_survives_its_node(status, answers):
    """Whatever a hostile node answers, opening it is an error of the library, at once."""
    with EvilPeer("node", status, **answers) as peer:
        began = time.monotonic()
        with pytest.raises((LedgerUnavailable, ChainCorrupted)):
            open_node_ledger(f"local+{peer.url}").close()
        assert time.monotonic() - began < 10


def test_a_node_that_flips_between_branches_does_not_hold_its_client(tmp_path):
    """A client follows as many blocks as its node said to have, and then gives up."""
    bench = Bench(tmp_path)
    left, right = bench.core("left"), bench.core("right")
    for _ in range(3):
        mine(left)
        bench.clock.seconds += 1
        mine(right)
    pages = [
        pack(core.envelope(block) or b"" for block in core.snapshot.hashes[1:])
        for core in (left, right)
    ]
    first = left.snapshot.hashes[0].hex()
    bench.close()
    flips = itertools.cycle(pages)
    with (
        EvilPeer(
            "flips",
            STATUS | {"first": first, "index": 9},
            block=lambda _: bench.first,
            blocks=lambda _: next(flips),
        ) as peer,
        pytest.raises(LedgerUnavailable, match="more blocks than it said"),
    ):
        open_node_ledger(f"local+{peer.url}").close()


def test_followers_are_told_of_the_nodes_reorganisations(tmp_path):
    """The node goes over to a longer branch: a cursor on the old one is Reorganised (L14)."""
    bench = Bench(tmp_path)
    left, right = bench.core("left"), bench.core("right")
    for _ in range(2):
        right.accept(mine(left))
    left.accept(mine(right))
    calls = [bench.mint() for _ in range(2)]
    for core, call in ((left, calls[0]), (right, calls[0]), (right, calls[1])):
        core.submit(call.raw)
        bench.clock.seconds += 1
        mine(core)

    def status(core):
        head, first = core.snapshot.head.hex(), core.snapshot.hashes[0].hex()
        return STATUS | {"first": first, "head": head, "index": core.snapshot.index}

    pages = {
        core: pack(core.envelope(block) or b"" for block in core.snapshot.hashes[1:])
        for core in (left, right)
    }
    serving = left
    with EvilPeer(
        "reorganises", status(left), block=lambda _: bench.first, blocks=lambda _: pages[serving]
    ) as peer:
        ledger = open_node_ledger(f"local+{peer.url}", read_only=True)
        before, cursor = ledger.follow("StakeToken")
        old = ledger.head().hash
        assert ledger.holds(old)
        serving, peer._status = right, json.dumps(status(right)).encode()
        with pytest.raises(Reorganised) as caught:
            ledger.follow("StakeToken", after=cursor)
        assert (caught.value.block, caught.value.common) == (4, 3)
        events, cursor = ledger.follow("StakeToken", after=caught.value.resume)
        assert events == ledger.events("StakeToken")
        assert [event.transaction for event in events] == [call.hash for call in calls]
        assert events[0] != before[0]
        assert not ledger.holds(old)
        places = ledger.transactions_of(calls[0].sender)
        assert [(one.transaction, one.block) for one in places] == [
            (calls[0].hash, 4),
            (calls[1].hash, 5),
        ]
        assert places[0].block_hash == ledger.block(4).hash == events[0].block_hash
        ledger.close()
    bench.close()
