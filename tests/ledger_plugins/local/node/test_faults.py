"""What goes wrong inside a node or around it, and what the node makes of it."""

import asyncio
import logging
import socket
import threading
import time

import pytest
from support.clock import Clock
from support.cores import Bench, mine, tell
from support.evil import EvilPeer
from support.node_thread import NodeThread

from fedledger.effects import Effects
from fedledger.effects.real import SystemDisk, http
from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.http.limits import Sparsely
from fedledger.ledger_plugins.http.serving import bound
from fedledger.ledger_plugins.local.node.chain import file, waiting
from fedledger.ledger_plugins.local.node.chain.file import NodeFile, Step
from fedledger.ledger_plugins.local.node.http import client
from fedledger.ledger_plugins.local.node.http.client import Misbehaved, PeerClient
from fedledger.ledger_plugins.local.node.http.wire import error_from_json, pack
from fedledger.ledger_plugins.local.node.process import member
from fedledger.ledger_plugins.local.node.process.gossip import Gossip
from fedledger.ledger_plugins.local.node.process.miner import Miner
from fedledger.ledger_plugins.local.node.process.node import Node, NodeConfig
from fedledger.ledger_plugins.storage.cid import cid_of


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_a_slow_pool_is_executed_seldom(bench, monkeypatch):
    """What waits is executed again after a rest for each transaction, on fast machines and slow."""
    clock, fills = Clock(100.0), []
    monkeypatch.setattr(waiting, "_FEW", 0)
    monkeypatch.setattr(waiting, "_REST", 20.0)
    monkeypatch.setattr(bench.clock, "monotonic", clock)
    fill = waiting.Waiting.fill

    def counted(self, draft, **options):
        fills.append(clock.now)
        return fill(self, draft, **options)

    node = bench.core("node")
    node.submit(bench.mint().raw)
    monkeypatch.setattr(waiting.Waiting, "fill", counted)
    for _ in range(45):
        clock.now += 1
        node.tend()
    assert fills == [101.0, 121.0, 141.0]


def test_errors_on_the_disk_are_bounded(tmp_path, monkeypatch):
    """The newest errors are kept, without the transactions; taken again, one is whole again."""
    monkeypatch.setattr(file, "_FAILED", 3)
    node_file = NodeFile(tmp_path / "node.db", SystemDisk())
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


def test_answers_are_not_held_back():
    """Connections of a node send at once: one with Nagle's algorithm answers after 40 ms."""

    async def main():
        told = asyncio.get_running_loop().create_future()
        with bound("127.0.0.1:0", LedgerUnavailable) as listener:
            server = await asyncio.start_server(lambda _, w: told.set_result(w), sock=listener)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            connection = (await told).get_extra_info("socket")
            found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            (await told).close()
            server.close()
            return found

    assert asyncio.run(main()) != 0


def test_an_empty_file_is_no_chain(tmp_path):
    """A node killed before it had a block 0 gets one at its next start."""
    folder = tmp_path / "node"
    folder.mkdir()
    NodeFile(folder / "node.db", SystemDisk()).close()
    NodeThread(folder).stop()


def following(core, peer, until):
    """Let a core follow a peer until something is true; return what is known about the peer."""

    async def main():
        gossip = Gossip(core, "http://127.0.0.1:1", "00" * 32, Effects.real())
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
    monkeypatch.setattr(http, "PIECE", 1_000)

    def slowly(each):
        for _ in range(10):
            yield bytes(each)
            time.sleep(0.15)

    async def fetch(url, most=1 << 20):
        peer = PeerClient(url, Effects.real().transport)
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
        pytest.raises(LedgerUnavailable, match="too slowly"),
    ):
        asyncio.run(fetch(peer.url))


def test_a_waiting_node_collects_no_tasks(tmp_path, monkeypatch):
    """A node that has asked for its first peer twenty times has no more tasks than at first."""
    tasks = []

    async def at_once(event, _seconds):
        await asyncio.sleep(0)
        tasks.append(len(asyncio.all_tasks()))
        if len(tasks) == 20:
            event.set()

    monkeypatch.setattr(member, "set_within", at_once)
    config = NodeConfig(listen="127.0.0.1:0", data=tmp_path / "node", peers=("127.0.0.1:1",))
    asyncio.run(Node(config, Effects.real()).run())
    assert len(tasks) == 20
    assert max(tasks) <= 3


def test_a_stopped_miner_has_stopped(bench, monkeypatch):
    """When `stop` returns, the block under way has been taken, and no other comes."""
    node = bench.core("node")
    node.submit(bench.mint().raw)
    accept, began, go_on, ended = node.accept, threading.Event(), threading.Event(), []

    def held_up(data):
        began.set()
        assert go_on.wait(10)
        ended.append(accept(data))
        return ended[-1]

    monkeypatch.setattr(node, "accept", held_up)

    async def main():
        miner = Miner(node, None, Effects.real(), interval=0.0, empty=True)
        miner.start()
        assert await asyncio.to_thread(began.wait, 10)
        stopping = asyncio.create_task(miner.stop())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not stopping.done()
        go_on.set()
        await stopping
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return len(ended)

    assert asyncio.run(main()) == 1
    assert len(ended) == 1


def test_the_log_cannot_be_filled(caplog):
    """What an address does again and again is logged once in a while, and counted."""
    clock = Clock()
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


def test_what_nobody_has_is_not_sought_for_ever(bench, monkeypatch):
    """A lost content is asked for as long as a miner still asks, and a minute more (seed 5095)."""
    clock = Clock(100.0)
    monkeypatch.setattr(bench.clock, "monotonic", clock)
    node = bench.core("node")
    cid = cid_of(b"lost")

    def source(_ledger, want):
        want(cid)
        return ()

    for _ in range(3):
        node.template(None, source)
        clock.now += 50.0
        node.tend()
        assert node.snapshot.waiting == (cid,)
    clock.now += 20.0
    node.tend()
    assert node.snapshot.waiting == ()


def test_more_blocks_than_milliseconds_are_a_lie(bench):
    """A peer that says to have more blocks than the chain's age allows is not asked for them."""
    node = bench.core("node")
    claims = said(node, head="ab" * 32, index=2**62, work="9" * 30)
    with EvilPeer("absurd", claims) as peer:
        about = following(node, peer, lambda about: "milliseconds" in about["problem"])
    assert about["index"] == 2**62
    assert not any(path.startswith("/blocks") for path in peer.asked)
