"""A network of nodes gains a contract: those that lack it stop before it, and go on with it."""

import pytest
from support.cores import ADMIN, Bench, mine, tell

from fedledger.errors import ContractMissing, LedgerUnavailable
from fedledger.ledger_plugins.contracts.digest import twin_digest
from fedledger.ledger_plugins.contracts.registry import CONTRACTS, abi_digest, twin_of
from fedledger.ledger_plugins.local.node.chain.moments import Outcome


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def installed(monkeypatch):
    """Return what installs and removes the package with the contract."""
    without = dict(CONTRACTS._entries)

    def install(there):
        entries = {**without, "Counter": "counter:FIRST"} if there else without
        monkeypatch.setattr(CONTRACTS, "_entries", entries)

    install(True)
    return install


def adding(bench):
    digests = abi_digest("Counter@1"), twin_digest(twin_of("Counter@1"))
    return bench.call(ADMIN, "ContractRegistry", "add", "Counter", 1, 0, *digests)


def test_a_node_without_the_contract_waits_for_it(bench, installed):
    """Its head stays, the block is not called invalid, and it is followed once it is installed."""
    has, lacks = bench.core("has"), bench.core("lacks")
    mine(has)
    tell(has, lacks)
    has.submit(adding(bench).raw)
    data = mine(has)
    installed(False)
    head = lacks.snapshot.head
    with pytest.raises(LedgerUnavailable, match="Counter version 1, which this installation"):
        lacks.accept(data)
    assert lacks.snapshot.head == head
    lacks.submit(bench.mint(nonce=0).raw)  # it takes calls as before
    installed(True)
    assert lacks.accept(data) is Outcome.ADDED
    assert lacks.snapshot.head == has.snapshot.head


def test_a_call_that_a_node_cannot_judge_stops_nobody(bench, installed):
    """A client is told; a peer's call that came ahead of its turn waits, and others go on."""
    lacks = bench.core("lacks")
    add, mint = adding(bench), bench.mint()
    later = bench.call(ADMIN, "StakeToken", "approve", ADMIN.address, 1)
    installed(False)
    with pytest.raises(LedgerUnavailable, match="Counter version 1"):
        lacks.submit(add.raw)
    ahead = bench.call(ADMIN, "ContractRegistry", "add", "X", 1, 0, bytes(32), bytes(32), nonce=1)
    assert lacks.offer(ahead.raw)
    zero = bench.mint(nonce=0)
    lacks.submit(zero.raw)
    mine(lacks)
    assert lacks.place(zero.hash).state == "included"
    assert lacks.place(ahead.hash).state == "pending"
    mine(lacks)
    assert lacks.place(ahead.hash).state == "pending"
    assert (mint.unsigned.nonce, later.unsigned.nonce) == (1, 2)


def test_a_node_starts_again_with_a_contract_that_came_later(bench, installed):
    """Its blocks are executed from the first one, the added contract's calls among them."""
    core = bench.core("one")
    core.submit(adding(bench).raw)
    mine(core)
    core.submit(bench.call(ADMIN, "Counter", "increase", 7).raw)
    mine(core)
    head = core.snapshot.head
    core.close()
    again = bench.core("one")
    assert again.snapshot.head == head
    again.close()
    installed(False)
    with pytest.raises(ContractMissing, match="Counter version 1, which this installation"):
        bench.core("one")
    installed(True)
    assert bench.core("one").snapshot.head == head  # nothing was lost


def test_a_faulty_contract_does_not_stop_the_miners(bench, installed, monkeypatch):
    """Anybody may call it: the call is refused, and blocks are made as before."""
    core = bench.core("one")
    core.submit(adding(bench).raw)
    mine(core)

    def breaks(_self, _by):
        raise ZeroDivisionError

    monkeypatch.setattr("counter.first.Counter.increase", breaks)
    faulty = bench.call(ADMIN, "Counter", "increase", 7, nonce=2)
    assert core.offer(faulty.raw)  # ahead of its turn, so nobody has executed it
    mint = bench.mint(nonce=1)
    core.submit(mint.raw)
    mine(core)
    mine(core)
    assert core.place(mint.hash).state == "included"
    assert core.place(faulty.hash).state != "included"
