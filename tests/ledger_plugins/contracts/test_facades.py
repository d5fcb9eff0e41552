"""The façades over a small ledger in memory, and the call that clients sign offline."""

from dataclasses import FrozenInstanceError

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from support.twins import TWINS, Environment, genesis_states

from fedledger.errors import CallError, ContractError, InvalidCid, TransactionRefused
from fedledger.ledger_plugins.accounts import Account, decode_transaction
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.base import (
    Block,
    CallTerms,
    Event,
    Head,
    Ledger,
    Receipt,
    UnsignedTransaction,
)
from fedledger.ledger_plugins.contracts import (
    StakeToken,
    Task,
    TrainingTask,
    abi,
    cid_text,
)
from fedledger.ledger_plugins.contracts.meanings import fraction_to_ppm
from fedledger.ledger_plugins.contracts.stake_token.facade import DEFAULT_ADMIN_ROLE, MINTER_ROLE
from fedledger.ledger_plugins.contracts.training_task.calls import REVEAL_SALT, SUBMIT_UPDATE
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

ADDRESSES = {name: address_from_bytes(bytes([9 + i]) * 20) for i, name in enumerate(sorted(TWINS))}
WINDOW = 60
CONTRACTS = {address: name for name, address in ADDRESSES.items()}
OWNER, ANN, BOB = (Account.from_key(bytes([n]) * 32) for n in (1, 2, 3))
MODEL, SPEC, UPDATE, UPDATE2, NEXT, EVIDENCE = (cid_of(bytes([n])) for n in range(6))


class MemoryLedger(Ledger):
    """One block a transaction, no persistence, no undo."""

    chain_id = 7

    def __init__(self):
        self.states = genesis_states(OWNER.address, ADDRESSES)
        self.transactions, self.log, self.now = {}, [], 1_000

    def terms(self, contract, function):
        abi.function_inputs(contract, function)
        return CallTerms(self.chain_id, ADDRESSES[contract])

    def contracts(self):
        return {}

    def index_of(self, block_hash):
        raise NotImplementedError

    def nonce(self, address):
        return sum(signed.sender == address for signed in self.transactions.values())

    def transact(self, transaction):
        assert transaction == decode_transaction(transaction.raw)
        assert transaction.unsigned.nonce == self.nonce(transaction.sender)
        contract = CONTRACTS[transaction.unsigned.terms.to]
        function, args = abi.decode_call(contract, transaction.unsigned.data)
        block, events = len(self.transactions) + 1, []

        def emit(source, name, arguments):
            event = Event(source, name, arguments, block, transaction.hash, len(events))
            events.append(event)

        self._run(contract, transaction.sender, function, args, emit)
        self.transactions[transaction.hash] = transaction
        self.log += events
        return Receipt(transaction.hash, block, "0x00", 0, tuple(events))

    def call(self, contract, function, *args):
        _, decoded = abi.decode_call(contract, abi.encode_call(contract, function, *args))
        return self._run(contract, ZERO_ADDRESS, function, decoded, None)

    def _run(self, contract, sender, function, args, emit):
        environment = Environment(self.now, 1, ADDRESSES, self.states, emit, TWINS)
        return getattr(TWINS[contract](environment, sender), function)(*args)

    def events(self, contract, event=None, *, since=0, until=None):
        return [
            one
            for one in self.log
            if one.contract == contract
            and event in (None, one.name)
            and since <= one.block <= (until or one.block)
        ]

    def transaction(self, transaction):
        return self.transactions[transaction]

    def head(self):
        block = self.block(len(self.transactions))
        return Head(block.index, block.hash, block.timestamp)

    def block(self, index):
        return Block(index, f"0x{index:064x}", f"0x{max(0, index - 1):064x}", self.now, ())

    def verify(self):
        raise NotImplementedError

    def close(self):
        pass


@pytest.fixture
def ledger():
    return MemoryLedger()


@pytest.fixture
def tasks(ledger):
    contract = TrainingTask(ledger)
    task, receipt = contract.propose(
        OWNER, model_id="digits", model_cid=MODEL, rounds=2, spec=SPEC, window=WINDOW
    )
    assert task == receipt.event("TaskProposed").arguments["task"] == 1
    return contract


def submit(tasks, client, cid=UPDATE, accuracy=0.5, number=1):
    return tasks.submit_update(client, task=1, round=number, cid=cid, samples=10, accuracy=accuracy)


def publish(tasks, contributors, number=1, **more):
    tasks.ledger.now += WINDOW + 1
    return tasks.publish_aggregate(
        OWNER,
        task=1,
        round=number,
        cid=NEXT,
        rule="krum",
        contributors=contributors,
        evidence=EVIDENCE,
        **more,
    )


def test_a_task_reads_as_it_was_proposed(tasks):
    """A task comes back as a frozen record, its CIDs as text."""
    task = tasks.task(1)
    assert task == Task(
        id=1,
        owner=OWNER.address,
        model_id="digits",
        model_cid=MODEL,
        rounds=2,
        current_round=0,
        window=WINDOW,
        reward=20,
        spec=SPEC,
        current_cid=MODEL,
        opened_at=1_000,
        finished=False,
    )
    with pytest.raises(FrozenInstanceError):
        task.reward = 21
    assert (tasks.count(), tasks.token()) == (1, ADDRESSES["StakeToken"])


def test_tasks_are_found_by_owner_and_name(tasks):
    """`find` lists the tasks of one owner under one name, oldest first."""
    for account, name in ((OWNER, "digits"), (ANN, "digits"), (OWNER, "other")):
        tasks.propose(account, model_id=name, model_cid=MODEL, rounds=1, spec=SPEC)
    assert tasks.find(OWNER.address, "digits") == [1, 2]
    assert tasks.find(ANN.address, "digits") == [3]
    assert tasks.find(BOB.address, "digits") == []


def test_a_round_through_the_facade(ledger, tasks):
    """Submissions, the aggregate and payments read as what was sent, with where it stands."""
    submit(tasks, ANN, UPDATE)
    submit(tasks, BOB, UPDATE)
    last = submit(tasks, ANN, UPDATE2, accuracy=0.912345)
    found = tasks.submissions(1, 1)
    assert set(found) == {ANN.address, BOB.address}
    ann = found[ANN.address]
    assert (ann.client, ann.cid, ann.samples, ann.accuracy) == (ANN.address, UPDATE2, 10, 0.912345)
    assert (ann.transaction, ann.block, ann.position) == (last.transaction, last.block, 0)
    assert tasks.submissions(1, 1, until=2).keys() == {ANN.address}
    assert tasks.submissions(1, 1, since=4).keys() == {ANN.address}
    assert tasks.submissions(1, 2) == tasks.submissions(2, 1) == {}

    receipt = publish(tasks, [ANN.address])
    (aggregate,) = tasks.aggregates(1)
    assert (aggregate.task, aggregate.round, aggregate.cid) == (1, 1, NEXT)
    assert (aggregate.rule, aggregate.evidence) == ("krum", EVIDENCE)
    assert (aggregate.contributors, aggregate.commitments) == ((ANN.address,), {})
    assert (aggregate.transaction, aggregate.block) == (receipt.transaction, receipt.block)
    assert (tasks.task(1).current_round, tasks.task(1).current_cid) == (1, NEXT)
    assert tasks.aggregates(2) == []

    assert tasks.payments(1) == []
    tasks.pay_rewards(BOB, task=1, round=1, clients=[ANN.address])
    (payment,) = tasks.payments(1)
    assert (payment.round, payment.client, payment.amount) == (1, ANN.address, 20)
    assert StakeToken(ledger).balance(ANN.address) == 20
    assert [tasks.status(1, 1, who.address) for who in (ANN, BOB, OWNER)] == [3, 1, 0]


def test_a_seal_and_its_salt_through_the_facade(ledger, tasks):
    """An update has a seal, or none; once the window is over, each reveal comes back."""
    salt, about = b"\1" * 32, {"task": 1, "round": 1}
    update = {"cid": UPDATE, "samples": 1, "accuracy": 1}
    tasks.submit_update(ANN, **about, **update, seal=keccak(salt))
    tasks.submit_update(BOB, **about, **update)
    seals = {who: one.seal for who, one in tasks.submissions(1, 1).items()}
    assert seals == {ANN.address: keccak(salt), BOB.address: bytes(32)}
    with pytest.raises(ContractError, match=r"WindowOpen\(deadline=1060, time=1000\)"):
        tasks.reveal_salt(ANN, **about, list=bytes(32), salt=salt)
    ledger.now += WINDOW + 1
    for listed in (b"\2" * 32, b"\3" * 32):
        seen = ledger.settled().hash
        receipt = tasks.reveal_salt(ANN, **about, list=listed, salt=salt)
    first, last = tasks.reveals(1, 1)
    assert (first.client, first.list, first.salt) == (ANN.address, b"\2" * 32, salt)
    assert (last.list, last.seen) == (b"\3" * 32, seen)
    assert (last.transaction, last.block) == (receipt.transaction, receipt.block)
    assert tasks.reveals(1, 2) == tasks.reveals(2, 1) == tasks.reveals(1, 1, until=3) == []
    with pytest.raises(CallError, match="salt"):
        tasks.reveal_salt(ANN, **about, list=bytes(32), salt=b"\1" * 31)
    with pytest.raises(CallError, match="seal"):
        tasks.submit_update(ANN, **about, **update, seal="1" * 32)
    values = REVEAL_SALT.decode(ledger.transaction(receipt.transaction).unsigned.data)
    assert values | {REVEAL_SALT.party: ANN.address} == receipt.events[0].arguments


def test_commitments_come_back_by_name(tasks):
    """Commitments are read as they were given, by name, and the record cannot be changed."""
    given = {"salts": b"\1" * 32, "arrivals": b"\2" * 32, "~" * 32: bytes(32)}
    receipt = publish(tasks, [], commitments=given)
    said = receipt.event("AggregatePublished").arguments["commitments"]
    assert [name.rstrip(b"\0").decode() for name, _ in said] == sorted(given)
    publish(tasks, [], 2)
    first, second = tasks.aggregates(1)
    assert (first.commitments, second.commitments) == (given, {})
    assert len({first, second}) == 2
    with pytest.raises(TypeError):
        first.commitments["salts"] = bytes(32)


@pytest.mark.parametrize("name", ["", "a" * 33, "é", "a\0", "a\tb", 7, b"salts"])
def test_bad_names_of_commitments_are_refused(tasks, name):
    """A name is 1 to 32 letters of printable ASCII; nothing else is sent."""
    with pytest.raises(CallError, match="printable ASCII"):
        publish(tasks, [], commitments={name: bytes(32)})
    assert tasks.aggregates(1) == []


@pytest.mark.parametrize("value", [b"", bytes(31), bytes(33), "a" * 32, None])
def test_bad_commitments_are_refused(tasks, value):
    """A commitment has 32 bytes; which one has not is said."""
    with pytest.raises(CallError, match="commitment 'salts': 32 bytes wanted"):
        publish(tasks, [], commitments={"keys": bytes(32), "salts": value})


def test_a_name_that_is_no_text_hides_nothing(ledger, tasks):
    """The contract takes any bytes that ascend: such names are shown in hexadecimal, not raised."""
    names = [bytes(31) + b"\1", b"a\0b".ljust(32, b"\0"), b"keys".ljust(32, b"\0"), b"\xff" * 32]
    pairs = [(name, bytes(32)) for name in names]
    cid = cid_to_bytes(NEXT)
    ledger.now += WINDOW + 1
    call = ("publishAggregate", 1, 1, cid, "r", [], cid, pairs)
    ledger.transact(OWNER.sign(ledger.prepare(OWNER.address, "TrainingTask", *call)))
    (aggregate,) = tasks.aggregates(1)
    expected = ["0x" + name.hex() for name in names]
    assert list(aggregate.commitments) == [*expected[:2], "keys", expected[3]]


def test_a_hostile_cid_hides_nothing(ledger, tasks):
    """Bytes that pass the contract but are no CID are shown in hexadecimal, not raised."""
    raw = b"\x01\xff\xff\xff"
    call = ledger.prepare(
        ANN.address, "TrainingTask", "submitUpdate", 1, 1, raw, 1, 1, *[bytes(32)] * 2
    )
    ledger.transact(ANN.sign(call))
    submit(tasks, BOB)
    found = tasks.submissions(1, 1)
    assert (found[ANN.address].cid, found[BOB.address].cid) == ("f01ffffff", UPDATE)
    with pytest.raises(InvalidCid):
        cid_to_bytes(found[ANN.address].cid)


def test_errors_come_before_and_from_the_contract(tasks):
    """A bad argument is a CallError or InvalidCid before sending, a refusal a ContractError."""
    with pytest.raises(InvalidCid):
        submit(tasks, ANN, "no cid")
    with pytest.raises(CallError, match="accuracy"):
        submit(tasks, ANN, accuracy=1.01)
    with pytest.raises(CallError, match="rounds"):
        tasks.propose(ANN, model_id="m", model_cid=MODEL, rounds=1 << 32, spec=SPEC)
    with pytest.raises(ContractError, match="WrongRound"):
        submit(tasks, ANN, number=2)
    assert tasks.ledger.nonce(ANN.address) == 0


def test_the_token_through_its_facade(ledger):
    """Every function of the token is reached, and transfers read back in order."""
    token = StakeToken(ledger)
    assert (token.name(), token.symbol(), token.decimals()) == ("fedledger stake", "STAKE", 0)
    receipt = token.mint(OWNER, ANN.address, 10)
    token.transfer(ANN, BOB.address, 3)
    token.approve(ANN, BOB.address, 5)
    token.transfer_from(BOB, ANN.address, BOB.address, 4)
    assert (token.balance(ANN.address), token.balance(BOB.address)) == (3, 7)
    assert (token.total_supply(), token.allowance(ANN.address, BOB.address)) == (10, 1)
    moved = [(one.sender, one.recipient, one.amount) for one in token.transfers()]
    assert moved == [
        (ZERO_ADDRESS, ANN.address, 10),
        (ANN.address, BOB.address, 3),
        (ANN.address, BOB.address, 4),
    ]
    assert token.transfers(until=1)[0].transaction == receipt.transaction
    assert not token.has_role(MINTER_ROLE, ANN.address)
    token.grant_role(OWNER, MINTER_ROLE, ANN.address)
    assert token.has_role(MINTER_ROLE, ANN.address)
    token.revoke_role(OWNER, MINTER_ROLE, ANN.address)
    assert not token.has_role(MINTER_ROLE, ANN.address)
    assert token.has_role(DEFAULT_ADMIN_ROLE, OWNER.address)


# The offline call ---------------------------------------------------------------------------


def offline(terms, *, accuracy=0.25, **changes):
    values = {"task": 1, "round": 1, "cid": cid_to_bytes(UPDATE), "samples": 10}
    values |= {"seal": bytes(32), "seen": bytes(32)}
    data = SUBMIT_UPDATE.encode(values | changes | {"accuracy": fraction_to_ppm(accuracy)})
    return ANN.sign(UnsignedTransaction(terms, 0, data))


def test_an_update_is_signed_offline_and_relayed(ledger, tasks):
    """What a client signs offline is read by the server and is what the ledger says."""
    signed = offline(ledger.terms("TrainingTask", "submitUpdate"))
    received = decode_transaction(signed.raw)
    assert received.sender == ANN.address
    call = SUBMIT_UPDATE.decode(received.unsigned.data)
    assert (cid_text(call["cid"]), call["samples"], call["accuracy"]) == (UPDATE, 10, 250_000)
    ledger.transact(received)
    (found,) = tasks.submissions(1, 1).values()
    assert (found.client, found.cid, found.accuracy) == (ANN.address, UPDATE, 0.25)
    assert found.transaction == signed.hash


@given(accuracy=st.floats(0, 1), samples=st.integers(0, 2**64 - 1), task=st.integers(0, 2**256 - 1))
def test_accuracies_keep_six_digits(accuracy, samples, task):
    """An accuracy comes back within half a millionth, and signing it again changes nothing."""
    terms = CallTerms(1, ADDRESSES["TrainingTask"])
    signed = offline(terms, accuracy=accuracy, samples=samples, task=task)
    call = SUBMIT_UPDATE.decode(signed.unsigned.data)
    said = call["accuracy"] / 1_000_000
    assert abs(said - accuracy) <= 0.5000001e-6
    assert (call["samples"], call["task"]) == (samples, task)
    assert offline(terms, accuracy=said, samples=samples, task=task).raw == signed.raw


@pytest.mark.parametrize(
    "accuracy", [-1e-9, 1.0000001, float("nan"), float("inf"), "1", None, True]
)
def test_bad_accuracies_are_refused(accuracy):
    """An accuracy is a number from 0 to 1."""
    with pytest.raises(CallError, match="a fraction from 0 to 1 wanted"):
        offline(CallTerms(1, ADDRESSES["TrainingTask"]), accuracy=accuracy)


def test_bad_cids_and_samples_are_refused():
    """A client learns of a wrong value before it signs."""
    terms = CallTerms(1, ADDRESSES["TrainingTask"])
    with pytest.raises(CallError, match="cid"):
        offline(terms, cid=UPDATE)
    with pytest.raises(CallError, match="samples"):
        offline(terms, samples=-1)


class Shared(MemoryLedger):
    """Whenever a call was prepared, another process of the account is first, so many times.

    Args:
        others: how many times.
    """

    def __init__(self, others):
        super().__init__()
        self.others, self.tried = others, 0

    def prepare(self, address, contract, function, *args):
        unsigned = super().prepare(address, contract, function, *args)
        self.tried += 1
        if self.others:
            self.others -= 1
            other = super().prepare(address, "TrainingTask", "confirmHistory", 1, bytes(32))
            super().transact(OWNER.sign(other))
        return unsigned

    def transact(self, transaction):
        if transaction.unsigned.nonce != self.nonce(transaction.sender):
            raise TransactionRefused("nonce", "another one was first")
        return super().transact(transaction)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_nonce_that_another_process_has_taken_is_no_refusal(others):
    """The call is signed anew, and there once."""
    ledger = Shared(0)
    contract = TrainingTask(ledger)
    task, _ = contract.propose(OWNER, model_id="m", model_cid=MODEL, rounds=1, spec=SPEC)
    ledger.others, ledger.tried = others, 0
    contract.appoint_aggregator(OWNER, task=task, aggregator=ANN.address)
    assert ledger.tried == others + 1
    assert [one.name for one in ledger.log].count("AggregatorAppointed") == 1


def test_a_nonce_that_is_always_taken_is_one():
    """After some tries the ledger's word stands."""
    ledger = Shared(0)
    contract = TrainingTask(ledger)
    task, _ = contract.propose(OWNER, model_id="m", model_cid=MODEL, rounds=1, spec=SPEC)
    ledger.others = 99
    with pytest.raises(TransactionRefused, match="another one was first"):
        contract.appoint_aggregator(OWNER, task=task, aggregator=ANN.address)
    assert "AggregatorAppointed" not in [one.name for one in ledger.log]
