"""The simulated world: its time, its draws, its network, and what its disk forgets."""

import asyncio
from pathlib import Path

import pytest

from fedledger.effects import Question
from fedledger.errors import AnswerTooSlow, LedgerUnavailable, NoAnswer
from fedledger.experiments.sim.disk import MemoryDisk
from fedledger.experiments.sim.loop import VirtualLoop
from fedledger.experiments.sim.network import MemoryTransport, Network
from fedledger.experiments.sim.values import InlineWork, SeededEntropy, VirtualClock
from fedledger.ledger_plugins.local.node.chain.file import NodeFile, Step

PATH = Path("/node.db")


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_time_passes_when_nothing_else_happens(loop):
    """A year of sleep is over at once, in order; and waiting for nothing is said, not waited."""
    clock, woken = VirtualClock(loop, skew=0.5), []

    async def sleeper(days):
        await asyncio.sleep(days * 86_400)
        woken.append((days, clock.monotonic()))

    async def all_of_them():
        await asyncio.gather(*map(sleeper, (365, 1, 30)))

    began = clock.wall()
    loop.run_until_complete(all_of_them())
    assert woken == [(days, days * 86_400) for days in (1, 30, 365)]
    clock.sleep(1.5)
    assert clock.wall() - began == 365 * 86_400 + 1.5
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        loop.run_until_complete(loop.create_future())


def test_streams_follow_from_seed_and_name():
    """The same seed and name give the same bytes, and each stream is another."""
    first = SeededEntropy(1, "a").draw(100)
    assert SeededEntropy(1, "a").draw(100) == first
    assert len({first, SeededEntropy(2, "a").draw(100), SeededEntropy(1, "b").draw(100)}) == 3


def test_a_dead_machine_computes_nothing(loop):
    """What was under way when the power went is not done."""
    alive = [True]
    work = InlineWork(SeededEntropy(1, "work"), lambda: alive[0])
    done = []

    async def cut_meanwhile():
        task = asyncio.create_task(work.run(done.append, 1))
        await asyncio.sleep(0)
        alive[0] = False
        await task

    loop.run_until_complete(work.run(done.append, 0))
    with pytest.raises(LedgerUnavailable, match="off"):
        loop.run_until_complete(cut_meanwhile())
    assert done == [0]


def test_what_nobody_answers_is_an_error_in_time(loop):
    """Off, cut off, or a message lost: no answer, at the latest at the question's deadline."""

    class Off:
        name, service = "off", None

    network = Network(loop, SeededEntropy(1, "network"), lambda _who, _what: None)
    network.join("http://off:1", Off())
    line = MemoryTransport(network, "asker", lambda: True).line("http://off:1")
    question = Question(method="GET", path="/status", seconds=5.0)
    with pytest.raises(NoAnswer, match="refused"):
        line.ask(question)
    network.apart = frozenset({"off"})
    with pytest.raises(NoAnswer, match="no way"):
        line.ask(question)
    network.apart, network.loss = frozenset(), 1.0
    for _ in range(8):
        began = loop.time()
        with pytest.raises((NoAnswer, AnswerTooSlow)):
            line.ask(question)
        assert loop.time() - began <= 5.0


def test_a_cut_spares_what_was_flushed():
    """Flushed bytes stay; later writes stay, tear or go, and not always in the same way."""
    left = set()
    for seed in range(40):
        disk = MemoryDisk(SeededEntropy(seed, "disk"), lambda: None)
        with disk.open(PATH) as file:
            file.write(0, b"flushed!")
            file.sync()
            file.write(8, b"12345678")
            after = disk.cut()
            file.write(0, b"too late")
            file.sync()
        again = MemoryDisk(SeededEntropy(seed, "again"), lambda: None, after)
        data = again.read(PATH)
        assert data.startswith(b"flushed!")
        left.add(data[8:])
    assert {b"", b"12345678"} < left


def steps():
    """Steps of a node's file, and what is in it after each."""
    for number in range(6):
        step = Step()
        step.keep = {f"{number}": bytes([number]) * 2_000}
        if number > 2:
            step.settled = {f"{number - 3}"}
        yield step, [f"{one}" for one in range(max(0, number - 2), number + 1)]


def test_a_nodes_file_survives_a_cut_at_any_change():
    """Wherever the power goes: what was committed is there, and a step is there whole or not."""
    changes, left = 0, True
    while left:
        changes += 1
        left = cut_at(changes)
        for files, states in left:
            again = NodeFile(PATH, MemoryDisk(SeededEntropy(1, "again"), lambda: None, files))
            assert [one for one, _, _ in again.kept()] in states, f"cut at change {changes}"
            again.close()
    assert changes > 50


def cut_at(changes):
    """Write a node's file until the power goes; return what is left, and what may be kept in it."""
    left, possible = [], [[]]
    disk = MemoryDisk(
        SeededEntropy(changes, "disk"), lambda: left.append((disk.cut(), list(possible)))
    )
    disk.fuse = changes
    file = NodeFile(PATH, disk)
    for step, then in steps():
        possible.append(then)
        file.commit(step)
        del possible[:-1]
    file.close()
    return left
