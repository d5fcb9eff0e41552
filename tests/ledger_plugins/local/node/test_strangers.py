"""What strangers put on a node's chain or into its pool costs its miner little, and once."""

import socket
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cores import ADMIN, Bench, mine
from support.node_thread import NodeThread

from fedledger.errors import ContentNotFound, LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.local.chain import block
from fedledger.ledger_plugins.local.node.chain import pool, waiting
from fedledger.ledger_plugins.local.node.chain.pool import Pending, Pool
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

STRANGERS = [Account.from_key(bytes([key]) * 32) for key in range(40, 50)]
CONTENT = b"a model that comes later"
CID = cid_to_bytes(cid_of(CONTENT))
TASKS = 60


class Verifier:
    """Verifies the rounds of one task; the others lack a content until the store has it."""

    def __init__(self):
        self.calls = []

    def __call__(self, _ledger, store, task, _number):
        self.calls.append(task)
        if task > 1 and not store.has(cid_of(CONTENT)):
            raise ContentNotFound(cid_of(CONTENT))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_rounds_that_cannot_be_verified_are_looked_at_once(bench):
    """Many wait in the pool: one look each, none until the content is there; others go on."""
    verifier = Verifier()
    core = bench.core("node", verifier)
    owners = [ADMIN, *(STRANGERS[number % 10] for number in range(TASKS))]
    for owner in owners:
        call = bench.call(owner, "TrainingTask", "propose", "x", CID, 2, 0, 0, CID)
        core.submit(call.raw)
    mine(core)
    publish = [
        bench.call(owner, "TrainingTask", "publishAggregate", task, 1, CID, "mean", [], CID, [])
        for task, owner in reversed(list(enumerate(owners, start=1)))
    ]
    for call in publish:
        core.submit(call.raw)
    second = bench.call(
        STRANGERS[0], "TrainingTask", "publishAggregate", 2, 2, CID, "m", [], CID, []
    )
    core.submit(second.raw)
    template = core.template(None)
    assert template.transactions == (publish[-1].raw,)
    assert verifier.calls.count(1) <= 2
    assert sorted(one for one in verifier.calls if one > 1) == list(range(2, TASKS + 2))
    verifier.calls.clear()
    for _ in range(3):
        assert core.template(None).transactions == (publish[-1].raw,)
    assert set(verifier.calls) == {1}
    mine(core)
    assert core.pending() == [one.hash for one in publish[:-1]] + [second.hash]
    core.store.put(CONTENT)
    mine(core)
    assert core.pending() == []


def entry(number, source, size=100):
    """Return what a pool holds, of a sender of its own."""
    transaction = SimpleNamespace(hash=f"0x{number}", sender=f"sender {number}", raw=bytes(size))
    return Pending(transaction, kept=True, source=source)


@pytest.mark.parametrize("size", [100, 200_000])
@pytest.mark.parametrize("greedy", [1, 3, 9])
def test_however_many_fill_the_pool_a_newcomer_finds_room(greedy, size):
    """Each source that takes all it can has an equal share, in number and in bytes."""
    held, count = Pool(), dict.fromkeys((f"10.0.0.{one}" for one in range(greedy)), 0)
    full, number = False, 0
    while not full:
        full = True
        for source in count:
            one = entry(number := number + 1, source, size)
            try:
                held.check_room(one.transaction, source)
            except LedgerUnavailable:
                continue
            held.add(one)
            count[source] += 1
            full = False
    most = min(pool.MAX_TRANSACTIONS, pool.MAX_BYTES // size)
    assert max(count.values()) - min(count.values()) <= 1
    share = most // (greedy + 1)
    for _ in range(share // 2 - 1):
        one = entry(number := number + 1, "10.0.1.1", size)
        held.check_room(one.transaction, "10.0.1.1")
        held.add(one)
    with pytest.raises(LedgerUnavailable, match="from here wait"):
        held.check_room(one.transaction, "10.0.0.0")
    held.check_room(one.transaction)  # of a peer: its own pool shares
    for one in list(held):
        held.remove(one.transaction.hash)
    assert (len(held), held._bytes, dict(held._sources), dict(held._bytes_of)) == (0, 0, {}, {})


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(0, 10))
def test_a_full_pool_is_read_in_turns(sources, most):
    """The n-th of each source before the next of any; each source's own order stays."""
    held = Pool()
    for number, source in enumerate(sources):
        held.add(entry(number, source))
    ordered = [one.source for one in held.in_turn(most, 10**9)]
    hashes = [one.transaction.hash for one in held.in_turn(most, 10**9)]
    assert sorted(ordered) == sorted(sources)
    if len(sources) <= most:
        assert ordered == sources
        return
    for source in set(sources):
        own = [int(one[2:]) for one, of in zip(hashes, ordered, strict=True) if of == source]
        assert own == sorted(own)
    for end in range(len(ordered)):
        so_far = {one: ordered[:end].count(one) for one in set(sources)}
        for source, seen in so_far.items():
            if seen < sources.count(source):
                assert max(so_far.values()) <= seen + 1


def test_a_clients_call_is_in_the_next_block_whatever_strangers_send(bench, monkeypatch):
    """Behind three blocks' worth of one address's calls another address's is not the last."""
    for room in (block, waiting):
        monkeypatch.setattr(room, "MAX_BLOCK_TRANSACTIONS", 20)
    monkeypatch.setattr("fedledger.ledger_plugins.local.chain.chain.MAX_BLOCK_TRANSACTIONS", 20)
    core = bench.core("node")
    for _ in range(60):
        core.submit(
            bench.call(STRANGERS[0], "StakeToken", "transfer", ADMIN.address, 0).raw, "1.2.3.4"
        )
    own = bench.mint()
    core.submit(own.raw, "5.6.7.8")
    mine(core)
    assert core.place(own.hash).state == "included"
    assert len(core.pending()) == 41


def test_requests_that_were_only_begun_do_not_hold_up_the_end(tmp_path, caplog):
    """A node stops at once, however many strangers have sent half of a request, and logs none."""
    node = NodeThread(tmp_path / "node", deadline=60.0)
    port = urlsplit(node.url).port
    half = b"POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\na"
    opened = []
    try:
        for number in range(100):
            source = (f"127.0.{number}.9", 0)
            opened.append(socket.create_connection(("127.0.0.1", port), 10, source))
            opened[-1].sendall(half)
        time.sleep(0.5)
    finally:
        node.stop()
        for one in opened:
            one.close()
    # Uvicorn alone waits three seconds for them, and then logs a traceback for each.
    assert not [one.getMessage() for one in caplog.records if one.name.startswith("uvicorn")]
