"""What goes wrong inside a node or around it, and what the node makes of it."""

import asyncio
import logging
import threading
import time

import apsw
import pytest
from support.cores import Bench, mine, tell
from support.evil import EvilPeer
from support.node_thread import NodeThread

from fedledger.errors import (
    ChainCorrupted,
    LedgerUnavailable,
    MalformedBlock,
    StoreUnavailable,
    TransactionRefused,
)
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.local.node import branch, client, file, waiting
from fedledger.ledger_plugins.local.node.answers import Slots
from fedledger.ledger_plugins.local.node.client import Misbehaved, PeerClient
from fedledger.ledger_plugins.local.node.envelope import Envelope
from fedledger.ledger_plugins.local.node.file import NodeFile, Step
from fedledger.ledger_plugins.local.node.gossip import Gossip
from fedledger.ledger_plugins.local.node.limits import Sparsely
from fedledger.ledger_plugins.local.node.miner import Miner
from fedledger.ledger_plugins.local.node.process import Node, NodeConfig
from fedledger.ledger_plugins.local.node.wire import error_from_json, pack
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

CID = cid_to_bytes(cid_of(b"a model"))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def publish_round(bench, node, owner):
    """Let a core make blocks that propose a task, take an update and publish the round."""
    for function, *arguments in (
        ("propose", "m", CID, 1, 0, 0, CID),
        ("submitUpdate", 1, 1, CID, 1, 1),
        ("publishAggregate", 1, 1, CID, "r", [], CID, []),
    ):
        node.submit(bench.call(owner, "TrainingTask", function, *arguments).raw)
        mine(node)


def check_update(ledger, _store, _task, _number):
    """Do what the audit does: look up the transaction behind an event."""
    [event] = ledger.events("TrainingTask", "UpdateSubmitted")
    if ledger.transaction(event.transaction).hash != event.transaction:
        raise MalformedBlock("model_info", "the update is another transaction")


def test_a_verifier_reads_its_own_branch(bench):
    """While a node moves to another branch, the verifier finds that branch's transactions.

    Also when the node opens, and begins to verify what it believed before.
    """
    node, other = bench.core("node", check_update), bench.core("other")
    for _ in range(3):
        node.submit(bench.mint().raw)
        mine(node)
    publish_round(bench, other, Account.create())
    mine(other)
    tell(other, node)
    assert node.snapshot.head == other.snapshot.head
    node.close()
    assert bench.core("node", check_update).snapshot.head == other.snapshot.head
    other.close()
    assert bench.core("other", check_update).snapshot.index == 4


def test_a_branch_that_fails_leaves_the_old_one(bench):
    """After a branch whose round is wrong, state, hashes and transactions are the old branch's."""

    def refuse(*_):
        raise MalformedBlock("model_info", "wrong")

    node, other = bench.core("node", refuse), bench.core("other")
    mints = [bench.mint() for _ in range(4)]
    for mint in mints:
        node.submit(mint.raw)
        mine(node)
    before = node.snapshot
    hashes = list(before.hashes)
    publish_round(bench, other, Account.create())
    for _ in range(2):
        mine(other)
    with pytest.raises(MalformedBlock):
        tell(other, node)
    assert node.snapshot.head == before.head
    assert list(before.hashes) == list(node.snapshot.hashes) == hashes
    view = node._branch.view()
    assert [view.transaction(mint.hash).hash for mint in mints] == [mint.hash for mint in mints]


def test_no_draft_survives_a_deep_reorganisation(bench, monkeypatch):
    """After a reorganisation that executes the chain anew, submissions meet the new state."""
    monkeypatch.setattr(branch, "UNDO", 2)
    left, right = bench.core("left"), bench.core("right")
    for _ in range(5):
        left.submit(bench.mint().raw)
        mine(left)
    left.submit(bench.mint().raw)
    for nonce in range(7):
        right.submit(bench.mint(9, nonce=nonce).raw)
        mine(right)
    tell(right, left)
    assert left.snapshot.head == right.snapshot.head
    with pytest.raises(TransactionRefused) as caught:
        left.submit(bench.mint(1, nonce=6).raw)
    assert caught.value.reason == "nonce"


def test_what_finds_no_room_is_not_executed(bench, monkeypatch):
    """A transaction refused for lack of room leaves no trace: it is refused alike again."""
    monkeypatch.setattr("fedledger.ledger_plugins.local.node.pool.MAX_OF_SENDER", 3)
    node = bench.core("node")
    for _ in range(3):
        node.submit(bench.mint().raw)
    more = bench.mint()
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="wait for a block already"):
            node.submit(more.raw)
    assert not node.offer(more.raw)
    mine(node)
    node.submit(more.raw)


def test_a_slow_pool_is_executed_seldom(bench, monkeypatch):
    """When executing what waits takes 2 s, it is not executed again for 20 s."""

    class Time:
        now = 100.0

        def monotonic(self):
            return self.now

    clock, fills = Time(), []
    monkeypatch.setattr(waiting, "time", clock)
    fill = waiting.Waiting.fill

    def slow(self, draft, **options):
        fills.append(clock.now)
        clock.now += 2
        fill(self, draft, **options)

    node = bench.core("node")
    monkeypatch.setattr(waiting.Waiting, "fill", slow)
    node.submit(bench.mint().raw)
    for _ in range(30):
        clock.now += 1
        node.tend()
    assert len(fills) == 2
    assert fills[1] - fills[0] >= 20


def test_errors_on_the_disk_are_bounded(tmp_path, monkeypatch):
    """The newest errors are kept, without the transactions; taken again, one is whole again."""
    monkeypatch.setattr(file, "_FAILED", 3)
    node_file = NodeFile(tmp_path / "node.db")
    try:
        for number in range(6):
            step = Step()
            step.keep[f"{number}"] = b"raw"
            node_file.commit(step)
            if number != 2:
                failed = Step()
                failed.failed[f"{number}"] = "no"
                node_file.commit(failed)
        assert node_file.kept() == [("2", b"raw", None)] + [(f"{n}", b"", "no") for n in (3, 4, 5)]
        again = Step()
        again.keep["4"] = b"raw"
        node_file.commit(again)
        assert ("4", b"raw", None) in node_file.kept()
    finally:
        node_file.close()


def test_a_core_that_moved_half_is_not_used(bench):
    """A core whose disk lost a block on the way to another head says so from then on."""
    node, other = bench.core("node"), bench.core("other")
    for _ in range(3):
        mine(node)
    lost = node.snapshot.hashes[2]
    connection = apsw.Connection(str(bench.folder / "node.db"))
    connection.execute("DELETE FROM block WHERE hash = ?", (lost,))
    connection.close()
    for _ in range(3):
        mine(other)
    tell(other, node)  # as much work: nothing moves
    head = mine(other)
    with pytest.raises(LedgerUnavailable, match="disappeared"):
        node.accept(head)
    for use in (lambda: node.accept(head), node.tend, lambda: node.submit(bench.mint().raw)):
        with pytest.raises(LedgerUnavailable, match="cannot be used: moving to another head"):
            use()
    node.close()
    again = bench.core("node")
    tell(other, again)
    assert again.snapshot.head == other.snapshot.head


@pytest.mark.parametrize("fault", [StoreUnavailable("the disk is full"), ValueError("a bug")])
def test_what_fails_in_the_node_condemns_no_block(bench, fault):
    """A store or a verifier that fails refuses a block for now; later the same block is taken."""
    faults = [fault]

    def verifier(*_):
        if faults:
            raise faults[0]

    node, other = bench.core("node", verifier), bench.core("other")
    publish_round(bench, other, Account.create())
    expected = LedgerUnavailable if isinstance(fault, StoreUnavailable) else MalformedBlock
    with pytest.raises(expected):
        tell(other, node)
    assert node.snapshot.index == 2
    publishing = other.envelope(other.snapshot.head)
    [raw] = Envelope.decode(publishing).block.transactions
    waits = node.submit(raw)
    mine(node)
    assert node.place(waits).state == "pending"
    faults.clear()
    mine(node)
    assert node.place(waits).state == "included"


def test_damaged_rows_cost_what_they_hold(bench):
    """A damaged kept transaction is dropped; a damaged block 0 is named as such."""
    node = bench.core("node")
    node.submit(bench.mint().raw)
    node.close()
    connection = apsw.Connection(str(bench.folder / "node.db"))
    connection.execute("UPDATE kept SET raw = x'00'")
    assert bench.core("node").pending() == []
    connection.execute("UPDATE block SET data = x'00'")
    connection.close()
    with pytest.raises(ChainCorrupted, match="block 0"):
        bench.core("node")


def test_an_empty_file_is_no_chain(tmp_path):
    """A node killed before it had a block 0 gets one at its next start."""
    folder = tmp_path / "node"
    folder.mkdir()
    NodeFile(folder / "node.db").close()
    NodeThread(folder).stop()


def following(core, peer, until):
    """Let a core follow a peer until something is true; return what is known about the peer."""

    async def main():
        gossip = Gossip(core, "http://127.0.0.1:1", "00" * 32)
        gossip.set_peers([peer.url])
        try:
            async with asyncio.timeout(20):
                while not until(gossip.about()[0]):  # noqa: ASYNC110 - gossip tells nobody
                    await asyncio.sleep(0.02)
            return gossip.about()[0]
        finally:
            await gossip.close()

    return asyncio.run(main())


def said(core, **changes):
    now = core.snapshot
    return {
        "network": "00" * 32,
        "head": now.head.hex(),
        "first": now.hashes[0].hex(),
        "index": now.index,
        "work": str(now.work),
        "pool": 0,
        "pending": 0,
    } | changes


def test_a_peer_that_grew_meanwhile_is_believed(bench):
    """A peer that ends exactly at the head it named has not misbehaved, however long it was."""
    node, other = bench.core("node"), bench.core("other")
    for _ in range(256):
        mine(other)
    blocks = pack([other.envelope(block) for block in other.snapshot.hashes[1:]])
    with EvilPeer("grew", said(other, index=0), blocks=lambda _: blocks) as peer:
        about = following(node, peer, lambda about: about["problem"] != "not asked yet")
    assert node.snapshot.head == other.snapshot.head
    assert about["problem"] is None


def test_a_peer_that_sends_known_blocks_for_ever_is_left(bench):
    """A peer whose pages go round in a circle is struck, however many blocks it says to have."""
    node, other = bench.core("node"), bench.core("other")
    for _ in range(4):
        mine(other)
    tell(other, node)
    data = [other.envelope(block) for block in other.snapshot.hashes[1:]]
    pages = [pack(data[:2]), pack(data[2:])]
    asked = []

    def turn(path):
        asked.append(path)
        return pages[len(asked) % 2]

    claims = said(other, head="ab" * 32, index=10_000, work="9" * 30)
    with EvilPeer("circle", claims, blocks=turn) as peer:
        about = following(node, peer, lambda about: "again" in about["problem"])
    assert "again what it sent" in about["problem"]
    assert len(asked) < 200


def test_contents_may_be_slow_but_not_stand_still(monkeypatch):
    """A content is read for as long as pieces keep coming, and no longer."""
    monkeypatch.setattr(client, "SECONDS", 0.6)
    monkeypatch.setattr(client, "PIECE", 1_000)

    def slowly(each):
        for _ in range(10):
            yield bytes(each)
            time.sleep(0.15)

    async def fetch(url, most=1 << 20):
        peer = PeerClient(url)
        try:
            return await peer.content("cid", most)
        finally:
            await peer.close()

    with EvilPeer("slow", {}, content=lambda _: slowly(1_000)) as peer:
        assert len(asyncio.run(fetch(peer.url))) == 10_000
        with pytest.raises(Misbehaved):
            asyncio.run(fetch(peer.url, 3_000))
    with (
        EvilPeer("slower", {}, content=lambda _: slowly(100)) as peer,
        pytest.raises(LedgerUnavailable, match="Timeout"),
    ):
        asyncio.run(fetch(peer.url))


def test_large_answers_are_few_at_once():
    """An address has its slots, all together have theirs, and each comes back once it is free."""
    slots = Slots(2, 3)
    first, _ = slots.take("a"), slots.take("a")
    with pytest.raises(Exception, match="busy"):
        slots.take("a")
    slots.take("b")
    with pytest.raises(Exception, match="busy"):
        slots.take("c")
    first()
    slots.take("c")


def test_a_waiting_node_collects_no_tasks(tmp_path):
    """A node that waits for its first peer has as many tasks after a while as before."""

    async def main():
        node = Node(
            NodeConfig(listen="127.0.0.1:0", data=tmp_path / "node", peers=("127.0.0.1:1",))
        )
        running = asyncio.create_task(node.run())
        await asyncio.sleep(2)
        tasks = len(asyncio.all_tasks())
        node.stop()
        await running
        return tasks

    assert asyncio.run(main()) <= 3


def test_a_stopped_miner_has_stopped(bench, monkeypatch):
    """When `stop` returns, the block under way has been taken, and no other comes."""
    node = bench.core("node")
    node.submit(bench.mint().raw)
    accept, began, ended = node.accept, threading.Event(), []

    def slow(data):
        began.set()
        time.sleep(0.3)
        ended.append(accept(data))
        return ended[-1]

    monkeypatch.setattr(node, "accept", slow)

    async def main():
        miner = Miner(node, None, interval=0.0, empty=True)
        miner.start()
        await asyncio.to_thread(began.wait, 10)
        await miner.stop()
        blocks = len(ended)
        await asyncio.sleep(0.4)
        return blocks, len(ended)

    assert asyncio.run(main()) == (1, 1)


def test_the_log_cannot_be_filled(caplog):
    """What an address does again and again is logged once in a while, and counted."""

    class Time:
        now = 0.0

        def __call__(self):
            return self.now

    clock = Time()
    say = Sparsely(logging.getLogger("sparse"), seconds=10, clock=clock)
    with caplog.at_level("WARNING"):
        for _ in range(1_000):
            say("127.0.0.2", "sends garbage", "of another kind")
        clock.now = 11.0
        say("127.0.0.2", "sends garbage")
    assert len(caplog.records) == 2
    assert "999 more" in caplog.text


@pytest.mark.parametrize("plain", [{"int": float("inf")}, {"bytes": 5}])
def test_odd_arguments_from_a_node_are_an_error_of_the_library(plain):
    """Infinity for an integer, and lists in lists in lists, are no answer of a node."""
    deep = plain
    for _ in range(700):
        deep = [deep]
    for value in (plain, deep):
        answer = {"error": "ContractError", "message": "", "contract": "a", "name": "b"}
        error = error_from_json(answer | {"arguments": {"x": value}})
        assert isinstance(error, LedgerUnavailable)


def test_more_blocks_than_milliseconds_are_a_lie(bench):
    """A peer that says to have more blocks than the chain's age allows is not asked for them."""
    node = bench.core("node")
    claims = said(node, head="ab" * 32, index=2**62, work="9" * 30)
    with EvilPeer("absurd", claims) as peer:
        about = following(node, peer, lambda about: "milliseconds" in about["problem"])
    assert about["index"] == 2**62
    assert not any(path.startswith("/blocks") for path in peer.asked)
