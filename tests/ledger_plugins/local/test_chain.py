"""The chain in memory: execution, model info, drafts, and blocks that somebody else made."""

from dataclasses import replace

import pytest

from fedledger.errors import (
    ChainCorrupted,
    ContractError,
    LedgerUnavailable,
    MalformedBlock,
    TransactionRefused,
)
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import CallTerms, UnsignedTransaction
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.contracts.stake_token.twin import StakeToken
from fedledger.ledger_plugins.contracts.twin import Entry, ModelInfo
from fedledger.ledger_plugins.local.chain import chain as chain_module
from fedledger.ledger_plugins.local.chain.block import Block, seal
from fedledger.ledger_plugins.local.chain.chain import Chain, replay
from fedledger.ledger_plugins.local.chain.directory import contract_address
from fedledger.ledger_plugins.local.chain.genesis import Genesis
from fedledger.ledger_plugins.local.chain.undo import UndoableState, UndoLog

ADMIN = Account.from_key(b"\1" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in (2, 3, 4)]
CID = b"\x01\x55\x12\x20" + bytes(32)
GENESIS = Genesis.new(7, 2**254, ADMIN.address)


class Bench:
    """A chain, and calls signed for it with the accounts' next nonces."""

    def __init__(self) -> None:
        self.chain = Chain(GENESIS.block(1_000))
        self.nonces: dict[str, int] = {}
        self.encoded = [GENESIS.block(1_000).encode()]

    def sign(self, account, contract, function, *args, **terms):
        nonce = self.nonces.get(account.address, 0)
        self.nonces[account.address] = nonce + 1
        return account.sign(
            UnsignedTransaction(
                CallTerms(**({"chain_id": 7, "to": contract_address(contract)} | terms)),
                nonce,
                encode_call(contract, function, *args),
            )
        )

    def mint(self, amount=1):
        return self.sign(ADMIN, "StakeToken", "mint", ADMIN.address, amount)

    def block(self, *transactions) -> Block:
        """Put `transactions` into the chain's next block."""
        with self.chain.begin(self.chain.head.timestamp + 1_000) as draft:
            for transaction in transactions:
                draft.add(transaction)
            block = draft.seal()
            draft.keep(block)
        self.encoded.append(block.encode())
        return block

    def view(self, function="totalSupply", *args, contract="StakeToken"):
        return self.chain.execution.view(contract, function, args, seconds=0, block=0)


@pytest.fixture
def bench():
    return Bench()


def resealed(block, **changes):
    """Return `block` with `changes` and a valid hash and nonce: what a cheating miner makes."""
    fields = {
        "index": block.header.index,
        "previous_hash": block.header.previous_hash,
        "timestamp": block.header.timestamp,
        "transactions": block.transactions,
        "model_info": block.model_info,
        "difficulty": GENESIS.difficulty,
    }
    return seal(**(fields | changes))


def test_model_info_follows_proposals_and_rounds(bench):
    """Table II: one entry a proposal and a round; accuracy is the claims' mean by samples."""
    first = bench.block(bench.sign(ADMIN, "TrainingTask", "propose", "cell", CID, 2, 0, 20, CID))
    assert first.model_info == (ModelInfo("cell", CID, 2, 0, ADMIN.address, None),)
    assert first.header.model_flag == 1
    claims = [(10, 900_000), (30, 500_001), (60, 1)]
    updates = bench.block(
        bench.sign(CLIENTS[0], "TrainingTask", "submitUpdate", 1, 1, CID, 1, 2, *[bytes(32)] * 2),
        *(
            bench.sign(
                client,
                "TrainingTask",
                "submitUpdate",
                1,
                1,
                CID,
                samples,
                accuracy,
                *[bytes(32)] * 2,
            )
            for client, (samples, accuracy) in zip(CLIENTS, claims, strict=True)
        ),
    )
    assert (updates.model_info, updates.header.model_flag) == ((), 0)
    other = CID[:-1] + b"\1"
    chosen = [client.address for client in CLIENTS[:2]]
    rounds = bench.block(
        bench.sign(ADMIN, "TrainingTask", "publishAggregate", 1, 1, other, "krum", chosen, CID, []),
        bench.sign(ADMIN, "TrainingTask", "publishAggregate", 1, 2, CID, "krum", [], CID, []),
    )
    mean = (10 * 900_000 + 30 * 500_001) // 40
    assert rounds.model_info == (
        ModelInfo("cell", other, 2, 1, ADMIN.address, mean),
        ModelInfo("cell", CID, 2, 2, ADMIN.address, None),
    )
    assert replay(bench.encoded).head == bench.chain.head


def test_claims_without_samples_count_alike(bench):
    """A round whose contributors all claim no samples takes the plain mean."""
    bench.block(bench.sign(ADMIN, "TrainingTask", "propose", "cell", CID, 2, 0, 20, CID))
    bench.block(
        *(
            bench.sign(
                client, "TrainingTask", "submitUpdate", 1, 1, CID, 0, accuracy, *[bytes(32)] * 2
            )
            for client, accuracy in zip(CLIENTS, (1, 2, 6), strict=True)
        )
    )
    everybody = [client.address for client in CLIENTS]
    block = bench.block(
        bench.sign(ADMIN, "TrainingTask", "publishAggregate", 1, 1, CID, "krum", everybody, CID, [])
    )
    assert block.model_info[0].accuracy == 3


def test_a_valid_block_is_followed(bench):
    """A chain that follows another one's blocks comes to the same head, state and events."""
    for amount in (1, 2, 3):
        bench.block(bench.mint(amount), bench.mint(amount))
    again = replay(bench.encoded)
    assert again.head == bench.chain.head
    assert again.execution.view("StakeToken", "totalSupply", (), seconds=0, block=0) == 12
    assert again.records.places == bench.chain.records.places
    assert again.records.events("StakeToken", None, 0, 9) == bench.chain.records.events(
        "StakeToken", None, 0, 9
    )


@pytest.mark.parametrize("kind", ["refused", "contract", "malformed", "replayed", "view"])
def test_a_block_with_a_transaction_that_fails_is_refused(bench, kind):
    """A block that holds a failing transaction is no valid block, and the chain stays as it was."""
    bench.block(done := bench.mint())
    honest = Bench()
    honest.block(done)
    valid = bench.block(bench.mint())
    view = replace(bench.mint().unsigned, nonce=1, data=encode_call("StakeToken", "totalSupply"))
    bad = {
        "refused": bench.mint().raw,
        "contract": bench.sign(CLIENTS[0], "StakeToken", "mint", ADMIN.address, 1).raw,
        "malformed": b"\2nonsense",
        "replayed": done.raw,
        "view": ADMIN.sign(view).raw,
    }[kind]
    head = honest.chain.head
    for transactions in ((bad,), (*valid.transactions, bad)):
        with pytest.raises(MalformedBlock) as caught:
            honest.chain.extend(resealed(valid, transactions=transactions))
        assert caught.value.field == "transactions"
        assert f"transaction {len(transactions) - 1}" in str(caught.value)
        assert (honest.chain.head, honest.view()) == (head, 1)
        assert honest.chain.execution.nonce(ADMIN.address) == 1
    honest.chain.extend(valid)
    assert honest.view() == 2


def test_a_block_with_wrong_model_info_is_refused(bench):
    """Model info is recomputed: another entry, a missing one, an invented one are refused."""
    block = bench.block(bench.sign(ADMIN, "TrainingTask", "propose", "cell", CID, 2, 0, 20, CID))
    (info,) = block.model_info
    follower = Bench().chain
    for model_info in ((), (replace(info, accuracy=0),), (info, info)):
        with pytest.raises(MalformedBlock) as caught:
            follower.extend(resealed(block, model_info=model_info))
        assert caught.value.field == "model_info"
    follower.extend(block)


def test_a_block_that_does_not_follow_is_refused(bench):
    """Equations (4) and (5) are checked before anything is executed."""
    bench.block(bench.mint())
    second = bench.block(bench.mint())
    with pytest.raises(MalformedBlock) as caught:
        Bench().chain.extend(second)
    assert caught.value.field == "index"
    with pytest.raises(MalformedBlock) as caught:
        bench.chain.extend(second)
    assert caught.value.field == "index"


def test_replay_names_the_first_bad_block(bench):
    """ChainCorrupted has the index of the first block that does not verify."""
    for _ in range(4):
        bench.block(bench.mint())
    assert replay(bench.encoded).head.index == 4
    for index in range(5):
        damaged = bytearray(bench.encoded[index])
        damaged[-1] ^= 1
        encoded = [*bench.encoded[:index], bytes(damaged), *bench.encoded[index + 1 :]]
        with pytest.raises(ChainCorrupted) as caught:
            replay(encoded)
        assert caught.value.block == index
    with pytest.raises(ChainCorrupted) as caught:
        replay([*bench.encoded[:2], *bench.encoded[3:]])
    assert caught.value.block == 2
    with pytest.raises(ChainCorrupted):
        replay([])


def test_a_draft_that_is_dropped_leaves_nothing(bench):
    """Dropped, forgotten or interrupted: a draft's transactions never happened."""
    with bench.chain.begin(5_000) as draft:
        draft.add(transaction := bench.mint())
    assert (bench.view(), bench.chain.execution.nonce(ADMIN.address)) == (0, 0)
    forgotten = bench.chain.begin(5_000)
    forgotten.add(transaction)
    assert bench.view() == 1
    bench.chain.begin(5_000).drop()
    forgotten.drop()
    assert (bench.view(), bench.chain.execution.nonce(ADMIN.address)) == (0, 0)
    bench.block(transaction)
    draft.drop()
    assert bench.view() == 1


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (ZeroDivisionError, TransactionRefused),
        (MemoryError, MemoryError),
        (KeyboardInterrupt, KeyboardInterrupt),
        (ContractError, ContractError),
    ],
)
def test_whatever_a_contract_raises_nothing_is_half_changed(bench, monkeypatch, error, seen):
    """L2: a bug in a contract, or an interrupt, undoes the call like a refusal does."""
    bench.block(bench.mint())
    before = dict(bench.chain.execution._states["StakeToken"])
    original = StakeToken.mint

    def breaks(self, to, amount):
        original(self, to, amount)
        self.state["junk",] = 1
        del self.state["supply",]
        raise error("StakeToken", "Broken", {}) if error is ContractError else error

    monkeypatch.setattr(StakeToken, "mint", breaks)
    with bench.chain.begin(9_000) as draft:
        with pytest.raises(seen):
            draft.add(transaction := bench.mint())
        assert dict(bench.chain.execution._states["StakeToken"]) == before
        assert bench.chain.execution.nonce(ADMIN.address) == 1
        monkeypatch.undo()
        draft.add(transaction)
        assert [event.position for one in draft.executed for event in one.events] == [0]


def test_a_view_changes_nothing(bench, monkeypatch):
    """A view that writes is undone."""

    def writes(self):
        self.state["supply",] = 99
        return 99

    monkeypatch.setattr(StakeToken, "totalSupply", writes)
    assert bench.view() == 99
    monkeypatch.undo()
    assert bench.view() == 0


def test_blocks_are_bounded(bench, monkeypatch):
    """L9: a draft says when it is full, by number and by bytes; a fuller block is refused."""
    transactions = [bench.mint() for _ in range(3)]
    monkeypatch.setattr(chain_module, "MAX_BLOCK_TRANSACTIONS", 2)
    with bench.chain.begin(5_000) as draft:
        for transaction in transactions[:2]:
            assert draft.fits(transaction)
            draft.add(transaction)
        assert not draft.fits(transactions[2])
    monkeypatch.undo()
    block = bench.block(*transactions)
    monkeypatch.setattr(chain_module, "MAX_BLOCK_BYTES", len(transactions[0].raw) * 3 - 1)
    with pytest.raises(MalformedBlock) as caught:
        Bench().chain.extend(block)
    assert caught.value.field == "transactions"
    monkeypatch.undo()
    Bench().chain.extend(block)


def test_transactions_for_elsewhere_are_refused(bench):
    """L1: another chain, fees, an unknown address: refused with a reason, nothing executed."""
    cases = [
        ({"chain_id": 8}, "chain"),
        ({"to": ADMIN.address}, "contract"),
        ({"gas": 1}, "value"),
        ({"max_fee_per_gas": 1}, "value"),
    ]
    with bench.chain.begin(5_000) as draft:
        for terms, reason in cases:
            signed = bench.sign(ADMIN, "StakeToken", "mint", ADMIN.address, 1, **terms)
            with pytest.raises(TransactionRefused) as caught:
                draft.add(signed)
            assert caught.value.reason == reason
    assert bench.view() == 0


def test_a_chain_with_unknown_contracts_is_not_guessed_at():
    """A chain of a later version, with a contract unknown here, is refused by name."""
    genesis = replace(
        GENESIS, contracts=(*GENESIS.contracts, Entry("Zeppelin", 1, bytes(32), bytes(32)))
    )
    with pytest.raises(LedgerUnavailable, match="Zeppelin"):
        Chain(genesis.block(0))


def test_a_chain_may_have_fewer_contracts():
    """A chain made before a contract existed keeps working without it."""
    chain = Chain(Genesis.new(7, 2**254, None, ["TrainingTask"]).block(0))
    assert chain.contracts().keys() == {"TrainingTask"}


def test_state_takes_only_what_cannot_change_behind_its_back():
    """The log could not undo a change inside a list, so a state refuses to hold one."""
    state = UndoableState(UndoLog())
    for value in ([1], {"a": 1}, (1, [2]), 1.0, None):
        with pytest.raises(TypeError):
            state["key"] = value
    state["key"] = (1, "a", (b"x", True))
    with pytest.raises(KeyError):
        del state["other"]


def test_a_log_undoes_writes_and_deletions_in_order():
    """Undo goes back to a mark, through overwriting, deleting and writing again."""
    log = UndoLog()
    state = UndoableState(log, {"a": 1, "b": 2})
    state["a"] = 3
    mark = log.mark()
    state["a"] = 4
    del state["b"]
    state["b"] = 5
    state["c"] = 6
    del state["a"]
    log.undo(mark)
    assert dict(state) == {"a": 3, "b": 2}
    log.undo(0)
    assert dict(state) == {"a": 1, "b": 2}
