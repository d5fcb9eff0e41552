"""Fork choice, reorganisations and what is kept on the disk, without a network."""

import random

import pytest
from support.cores import ADMIN, GENESIS, Bench, mine, sealed, tell

from fedledger.errors import (
    ContentNotFound,
    ContractError,
    LedgerUnavailable,
    MalformedBlock,
    TransactionRefused,
)
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.local.block import ModelInfo
from fedledger.ledger_plugins.local.node import branch, core, waiting
from fedledger.ledger_plugins.local.node.envelope import Envelope
from fedledger.ledger_plugins.local.node.moments import Outcome
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def supply(node):
    view = node._branch.view()
    return view.call("StakeToken", "totalSupply")


def test_the_first_seen_of_two_equal_branches_stays(bench):
    """With equal work a node keeps the branch it saw first; one block more decides."""
    left, right = bench.core("left"), bench.core("right")
    first = mine(left)
    bench.clock.seconds += 1
    second = mine(right)
    heads = left.snapshot.head, right.snapshot.head
    assert left.accept(second) is right.accept(first) is Outcome.ADDED
    assert (left.snapshot.head, right.snapshot.head) == heads
    assert left.restless()
    assert right.restless()
    left.accept(mine(right))
    assert left.snapshot.head == right.snapshot.head
    assert left.snapshot.reorganisations == 1


def test_a_reorganisation_takes_state_back_and_its_transactions_wait_again(bench):
    """What a heavier branch lacks goes back to the pool in its order, and into the next block."""
    left, right = bench.core("left"), bench.core("right")
    holder = Account.create()
    mint = bench.call(ADMIN, "StakeToken", "mint", holder.address, 5)
    spend = bench.call(holder, "StakeToken", "transfer", ADMIN.address, 2)
    for transaction in (mint, spend):
        left.submit(transaction.raw)
        mine(left)
    for _ in range(3):
        mine(right)
    tell(right, left)
    assert left.snapshot.head == right.snapshot.head
    assert supply(left) == 0
    assert left.pending() == [mint.hash, spend.hash]
    mine(left)
    assert supply(left) == 5
    assert left.place(spend.hash).state == "included"


def test_random_branches_lead_everybody_to_the_same_chain(bench, monkeypatch):
    """Five cores that mine and meet at random end on one head with one state, whatever the order.

    Some are closed and opened again in between; no transaction that a core took is lost.
    """
    monkeypatch.setattr(waiting, "PATIENCE", 1e9)
    nodes, taken = wander(bench, random.Random(11), steps=80)
    longest = max(nodes.values(), key=lambda node: node.snapshot.work)
    for _ in range(10):
        mine(longest)
        for node in nodes.values():
            tell(longest, node)
            for transaction in node.raw(node.pending()):
                longest.offer(transaction)
    assert len({node.snapshot.head for node in nodes.values()}) == 1
    assert {node.place(one).state for one in taken for node in nodes.values()} == {"included"}
    assert len(taken) > 20


def wander(bench, generator, steps):
    """Let five cores take, mine, meet and restart; return them and what they took."""
    nodes = {name: bench.core(name) for name in "abcde"}
    accounts = {name: Account.from_key(name.encode() * 32) for name in nodes}
    taken = []
    for _ in range(steps):
        name, step = generator.choice("abcde"), generator.random()
        if step < 0.4:
            amount = generator.randrange(99)
            call = bench.call(accounts[name], "StakeToken", "approve", ADMIN.address, amount)
            taken.append(nodes[name].submit(call.raw))
        elif step < 0.75:
            mine(nodes[name])
        elif step < 0.95:
            tell(nodes[name], nodes[generator.choice("abcde")])
        else:
            nodes[name].close()
            nodes[name] = bench.core(name)
    return nodes, taken


def test_undoing_equals_executing_anew(bench, monkeypatch):
    """A reorganisation deeper than what can be undone in place gives the same state and events."""
    monkeypatch.setattr(branch, "UNDO", 2)
    left, right = bench.core("left"), bench.core("right")
    for _ in range(5):
        left.submit(bench.mint().raw)
        mine(left)
    for amount in range(7):
        right.submit(bench.mint(amount + 1, nonce=amount).raw)
        mine(right)
    tell(right, left)
    assert left.snapshot.head == right.snapshot.head
    assert supply(left) == sum(range(1, 8))
    assert left._branch.view().events("StakeToken") == right._branch.view().events("StakeToken")


def test_invalid_blocks_are_refused_and_what_follows_them(bench):
    """A block that executes wrongly is refused with the field, now and for good."""
    node = bench.core("node")
    mine(node)
    stolen = bench.call(Account.create(), "StakeToken", "mint", ADMIN.address, 9)
    wrong = sealed(node, transactions=(stolen.raw,))
    for _ in range(2):
        with pytest.raises(MalformedBlock):
            node.accept(Envelope.sign(wrong, None).encode())
    assert node.snapshot.index == 1
    info = ModelInfo("m", cid_to_bytes(cid_of(b"")), 1, 1, ADMIN.address, None)
    with pytest.raises(MalformedBlock) as caught:
        node.accept(Envelope.sign(sealed(node, model_info=(info,)), None).encode())
    assert caught.value.field == "model_info"
    assert node.snapshot.refused == 2
    mine(node)
    assert node.snapshot.index == 2


def test_a_valid_beginning_of_an_invalid_branch_is_followed(bench):
    """A branch counts up to its last valid block."""
    left, right = bench.core("left"), bench.core("right")
    mine(left)
    blocks = [mine(right), mine(right)]
    stolen = bench.call(Account.create(), "StakeToken", "mint", ADMIN.address, 9)
    wrong = Envelope.sign(sealed(right, transactions=(stolen.raw,)), None).encode()
    for data in blocks:
        left.accept(data)
    with pytest.raises(MalformedBlock):
        left.accept(wrong)
    assert left.snapshot.head == right.snapshot.head


def test_orphans_and_the_future_wait(bench):
    """A block before its parent, or ahead of the clock, is neither taken nor refused."""
    left, right = bench.core("left"), bench.core("right")
    first, second = mine(left), mine(left)
    assert right.accept(second) is Outcome.ORPHAN
    bench.clock.seconds -= 60
    assert right.accept(first) is Outcome.EARLY
    bench.clock.seconds += 60
    assert right.accept(first) is Outcome.ADDED
    assert right.accept(first) is Outcome.KNOWN
    assert right.accept(second) is Outcome.ADDED


def test_a_node_stands_where_it_stood(bench):
    """Opened again, a core has the same head, although another branch has as much work."""
    node, other = bench.core("node"), bench.core("other")
    transaction = bench.mint()
    node.submit(transaction.raw)
    mine(node)
    bench.clock.seconds += 1
    node.accept(mine(other))
    waits = bench.mint()
    node.submit(waits.raw)
    head = node.snapshot.head
    node.close()
    with pytest.raises(LedgerUnavailable):
        node.submit(waits.raw)
    again = bench.core("node")
    assert again.snapshot.head == head
    assert again.place(transaction.hash).state == "included"
    assert again.place(waits.hash).state == "pending"


def test_a_damaged_block_on_the_disk_is_fetched_again(bench):
    """A stored block that is damaged costs the blocks after it, and peers give them back."""
    node, other = bench.core("node"), bench.core("other")
    for _ in range(4):
        mine(other)
    tell(other, node)
    victim = node.snapshot.hashes[2]
    node.close()
    import apsw  # noqa: PLC0415

    connection = apsw.Connection(str(bench.folder / "node.db"))
    [(data,)] = connection.execute("SELECT data FROM block WHERE hash = ?", (victim,))
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    connection.execute("UPDATE block SET data = ? WHERE hash = ?", (damaged, victim))
    connection.close()
    node = bench.core("node")
    assert node.snapshot.index == 1
    tell(other, node)
    assert node.snapshot.head == other.snapshot.head


def test_what_cannot_happen_any_more_is_reported(bench, monkeypatch):
    """Of two transactions with one nonce on two branches one is lost, and the node says which."""
    monkeypatch.setattr(waiting, "PATIENCE", -1.0)
    left, right = bench.core("left"), bench.core("right")
    one, two = bench.mint(1, nonce=0), bench.mint(2, nonce=0)
    left.submit(one.raw)
    mine(left)
    right.submit(two.raw)
    mine(right)
    mine(right)
    tell(right, left)
    place = left.place(one.hash)
    assert place.state == "failed"
    assert isinstance(place.error, TransactionRefused)
    assert place.error.reason == "nonce"
    left.close()
    assert bench.core("left").place(one.hash).state == "failed"


def test_clients_get_the_errors_of_the_embedded_chain(bench):
    """A transaction that cannot be executed after what waits is refused at once."""
    node = bench.core("node")
    holder = Account.create()
    node.submit(bench.call(ADMIN, "StakeToken", "mint", holder.address, 5).raw)
    node.submit(bench.call(holder, "StakeToken", "transfer", ADMIN.address, 5).raw)
    with pytest.raises(ContractError) as caught:
        node.submit(bench.call(holder, "StakeToken", "transfer", ADMIN.address, 1).raw)
    assert caught.value.arguments["balance"] == 0
    with pytest.raises(TransactionRefused) as refused:
        node.submit(bench.mint(nonce=7).raw)
    assert refused.value.reason == "nonce"
    mine(node)
    with pytest.raises(TransactionRefused) as replayed:
        node.submit(bench.mint(5, nonce=0).raw)
    assert replayed.value.reason == "nonce"


def test_a_pool_is_bounded(bench, monkeypatch):
    """A sender fills its share of the pool and no more."""
    monkeypatch.setattr("fedledger.ledger_plugins.local.node.pool.MAX_OF_SENDER", 3)
    node = bench.core("node")
    for _ in range(3):
        node.submit(bench.mint().raw)
    with pytest.raises(LedgerUnavailable, match="wait for a block already"):
        node.submit(bench.mint().raw)


def test_a_round_is_verified_before_its_block_is_built_on(bench):
    """Missing contents hold a block back, a wrong round refuses it, a right one lets it in."""
    verdicts = []

    def verifier(ledger, store, task, number):
        assert (task, number) == (1, 1)
        assert ledger.call("TrainingTask", "getTask", 1)[4] == 1
        if not store.has(cid_of(b"update")):
            raise ContentNotFound(cid_of(b"update"))
        if verdicts:
            raise verdicts[0]

    trusting, checking = bench.core("trusting"), bench.core("checking", verifier)
    cid = cid_to_bytes(cid_of(b"a model"))
    calls = [
        bench.call(ADMIN, "TrainingTask", "propose", "m", cid, 1, 0, 0, cid),
        bench.call(ADMIN, "TrainingTask", "submitUpdate", 1, 1, cid, 1, 1),
        bench.call(ADMIN, "TrainingTask", "publishAggregate", 1, 1, cid, "r", [], cid, []),
    ]
    for call in calls:
        trusting.submit(call.raw)
        mine(trusting)
    tell(trusting, checking)
    mine(trusting)
    tell(trusting, checking)
    assert checking.snapshot.index == 2
    assert checking.snapshot.waiting == (cid_of(b"update"),)
    checking.store.put(b"update")
    checking.tend()
    assert checking.snapshot.head == trusting.snapshot.head

    verdicts.append(MalformedBlock("model_info", "wrong"))
    doubting = bench.core("doubting", verifier)
    doubting.store.put(b"update")
    for index in (1, 2):
        doubting.accept(trusting.envelope(trusting.snapshot.hashes[index]))
    with pytest.raises(MalformedBlock):
        doubting.accept(trusting.envelope(trusting.snapshot.hashes[3]))
    doubting.submit(calls[2].raw)
    mine(doubting)
    assert doubting.place(calls[2].hash).error.reason == "aggregate"


def test_what_was_believed_is_verified_when_defending_begins(bench):
    """A core that believed a round verifies it when it is opened with a verifier."""
    node = bench.core("node")
    cid = cid_to_bytes(cid_of(b"a model"))
    for call in (
        bench.call(ADMIN, "TrainingTask", "propose", "m", cid, 1, 0, 0, cid),
        bench.call(ADMIN, "TrainingTask", "publishAggregate", 1, 1, cid, "r", [], cid, []),
    ):
        node.submit(call.raw)
        mine(node)
    node.close()

    def verifier(_ledger, _store, _task, _number):
        raise MalformedBlock("model_info", "wrong")

    assert bench.core("node", verifier).snapshot.index == 1


def test_side_branches_are_bounded(bench, monkeypatch):
    """Too many blocks beside the main branch are forgotten, the main branch never."""
    monkeypatch.setattr(core, "MAX_SIDE_BLOCKS", 3)
    node, other = bench.core("node"), bench.core("other")
    for _ in range(8):
        mine(node)
    for _ in range(7):
        node.accept(mine(other)) if other.snapshot.index < 4 else None
    assert node.snapshot.index == 8
    assert node.snapshot.blocks <= 9 + 3
    node.close()
    assert bench.core("node").snapshot.index == 8


def test_side_branches_are_bounded_in_bytes(bench, monkeypatch):
    """A branch that is not the best yet takes only so much room, however long it says to be.

    What it takes is freed when it becomes the main branch, and counted the same after a restart.
    """
    monkeypatch.setattr(core, "MAX_SIDE_BYTES", 1_000)
    node, other = bench.core("node"), bench.core("other")
    for _ in range(9):
        mine(node)
    size = len(node.envelope(node.snapshot.head))
    assert node._branch.bytes == node._tree.bytes == 9 * size
    outcomes = []
    for _ in range(12):
        data = mine(other)
        outcomes.append(node.accept(data))
    assert outcomes[0] is Outcome.ADDED
    assert outcomes[-1] is Outcome.ORPHAN
    assert node._tree.bytes - node._branch.bytes <= 1_000
    monkeypatch.setattr(core, "MAX_SIDE_BYTES", 100_000)
    tell(other, node)
    assert node.snapshot.head == other.snapshot.head
    assert node._branch.bytes == 12 * size
    node.close()
    again = bench.core("node")
    assert (again._branch.bytes, again._tree.bytes) == (12 * size, 21 * size)


def test_another_chain_is_not_mixed_in(bench):
    """A folder of one chain is not opened with another block 0."""
    bench.core("node").close()
    bench.first = Envelope.sign(GENESIS.block(5), None).encode()
    with pytest.raises(MalformedBlock, match="another block 0"):
        bench.core("node")
