"""A round that a miner makes, without a network."""

import time

import numpy as np
import pytest
from support.clock import Clock
from support.evidence import all_evidence
from support.mined import CLIENTS, OWNER, propose, submit

from fedledger.arrays import to_safetensors
from fedledger.errors import AccountError, AuditError, ContentCorrupted, StoreUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.strategies import audit_ledger, mining
from fedledger.strategies.audit import verify_round
from fedledger.strategies.mining import PATIENCE, Aggregator
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Specification
from fedledger.strategies.rounds.kinds import mined
from fedledger.strategies.rounds.protocol import run_round
from fedledger.strategies.rounds.tasks.task import read_task

STRANGERS = [Account.from_key(bytes([key]) * 32) for key in range(30, 34)]


def end(federation):
    """Let a miner publish the round and pay."""
    aggregate = Aggregator(federation.store, OWNER, Clock())
    for _ in range(2):
        federation.ledger.transact_all(aggregate(federation.ledger, lambda _cid: None))
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


@pytest.fixture
def submitted(federation):
    """A task in which all clients have submitted: its ledger and store."""
    propose(federation)
    submit(federation)
    return federation.ledger, federation.store


class Counted:
    """A ledger that counts the views it is asked for."""

    def __init__(self, ledger):
        self._ledger, self.views = ledger, 0

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def call(self, *args):
        self.views += 1
        return self._ledger.call(*args)


def test_strangers_tasks_are_not_looked_at(federation):
    """A miner asks the ledger as much with two hundred tasks of strangers as with none."""
    propose(federation)
    aggregate, views = Aggregator(federation.store, OWNER, Clock()), []
    for _ in range(2):
        counted = Counted(federation.ledger)
        assert aggregate(counted, pytest.fail) == []
        views.append(counted.views)
        terms = federation.ledger.terms("TrainingTask", "propose")
        cid = cid_to_bytes(cid_of(b"nowhere"))
        data = encode_call("TrainingTask", "propose", "x", cid, 1, 0, 0, cid)
        calls = [UnsignedTransaction(terms, number, data) for number in range(200)]
        if len(views) == 1:
            federation.ledger.transact_all([STRANGERS[0].sign(one) for one in calls])
    assert TrainingTask(federation.ledger).count() == 201
    assert views[0] == views[1]


def test_another_aggregator_goes_on_where_it_is_appointed(federation):
    """The owner's miner publishes no more; who was appointed does, by its own key, and pays."""
    propose(federation, rounds=2)
    submit(federation)
    ledger, store, contract = federation.ledger, federation.store, TrainingTask(federation.ledger)
    owners = Aggregator(store, OWNER, Clock())
    other = Aggregator(store, STRANGERS[0], Clock(), tasks=(1, 9))
    assert other(ledger, pytest.fail) == []
    contract.appoint_aggregator(OWNER, task=1, aggregator=STRANGERS[0].address)
    assert owners(ledger, pytest.fail) == []
    ledger.transact_all(other(ledger, pytest.fail))
    assert contract.task(1).current_round == 1
    ledger.transact_all(other(ledger, pytest.fail))
    assert len(contract.payments(1)) == len(CLIENTS)
    submit(federation, CLIENTS[::-1])
    contract.appoint_aggregator(OWNER, task=1, aggregator=OWNER.address)
    assert other(ledger, pytest.fail) == []
    for _ in range(2):
        ledger.transact_all(owners(ledger, pytest.fail))
    assert contract.task(1).finished
    report = audit_ledger(ledger, store)
    assert report.passed, report.reason


def test_strangers_are_no_part_of_a_round(federation):
    """More strangers than f submit contents that nobody has, and vote: the round ends as without.

    So do their tasks, under the same name and without a document that anybody has.
    """
    propose(federation)
    contract, nowhere = TrainingTask(federation.ledger), cid_of(b"nowhere")
    for one in STRANGERS:
        contract.submit_update(one, task=1, round=1, cid=nowhere, samples=1, accuracy=1)
        contract.submit_votes(one, task=1, round=1, ballot=bytes(32), scores=[1])
        contract.propose(one, model_id="lights", model_cid=nowhere, rounds=1, spec=nowhere)
    submit(federation)
    aggregate = Aggregator(federation.store, OWNER, Clock())
    for _ in range(2):
        federation.ledger.transact_all(aggregate(federation.ledger, pytest.fail))
    [evidence] = all_evidence(federation)
    [phase] = evidence.phases
    assert len(phase.accepted) == len(CLIENTS)
    assert (phase.dropped, len(phase.asked)) == ([], len(CLIENTS))
    report = audit_ledger(federation.ledger, federation.store, [1])
    assert report.passed, report.reason


def test_a_client_that_submits_without_end_costs_its_own_say_alone(federation):
    """Its last answer counts, whatever it is; evidence has one line of it."""
    propose(federation)
    submit(federation)
    contract = TrainingTask(federation.ledger)
    for number in range(300):
        cid = cid_of(b"%d" % number)
        contract.submit_update(CLIENTS[0], task=1, round=1, cid=cid, samples=1, accuracy=1)
    clock = Clock()
    aggregate, wanted = Aggregator(federation.store, OWNER, clock), []
    assert aggregate(federation.ledger, wanted.append) == []
    assert wanted == [cid_of(b"299")]
    clock.sleep(60)
    for _ in range(2):
        federation.ledger.transact_all(aggregate(federation.ledger, wanted.append))
    [evidence] = all_evidence(federation)
    [phase] = evidence.phases
    assert [one.reason for one in phase.dropped] == ["unavailable"]
    assert len(phase.accepted) == len(CLIENTS) - 1
    assert audit_ledger(federation.ledger, federation.store).passed


@pytest.mark.parametrize("how", ["window", "patience"])
def test_an_absent_client_holds_up_a_round_for_so_long(federation, how):
    """It ends without who is absent after the window, or the patience, by the ledger's clock."""
    propose(federation, **{how: 2})
    submit(federation, CLIENTS[:-1])
    assert Aggregator(federation.store, OWNER, Clock())(federation.ledger, pytest.fail) == []
    time.sleep(3)
    TrainingTask(federation.ledger).confirm_history(STRANGERS[0], task=1)  # a block, so time
    end(federation)
    [evidence] = all_evidence(federation)
    [phase] = evidence.phases
    assert len(phase.accepted) == len(CLIENTS) - 1
    assert TrainingTask(federation.ledger).task(1).finished


def test_who_does_not_wait_for_absent_clients_fails_the_audit(federation, monkeypatch):
    """A miner that ends a round while others still have time cannot leave them out."""
    propose(federation, patience=1000)
    submit(federation, CLIENTS[:-1])
    ask = mined.MinedRound.ask

    def at_once(self, *args, **options):
        self._closes = 0
        return ask(self, *args, **options)

    with monkeypatch.context() as here:
        here.setattr(mined.MinedRound, "ask", at_once)
        aggregate = Aggregator(federation.store, OWNER, Clock())
        federation.ledger.transact_all(aggregate(federation.ledger, pytest.fail))
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.FAILED
    assert "it was ended while 1 clients could still answer" in str(report.reason)
    with pytest.raises(AuditError, match="could still answer"):
        verify_round(federation.ledger, federation.store, 1, 1)


def test_a_task_has_patience_and_tolerates_what_it_can_by_default(federation):
    """An hour, and the largest f that so many clients allow."""
    propose(federation, byzantine=None)
    task = TrainingTask(federation.ledger).task(1)
    specification = documents.load(Specification, task.spec, federation.store)
    assert specification.clock == {"by": "ledger", "patience": 3600}
    assert PATIENCE == 3600
    assert specification.settings["byzantine"] == 1


@pytest.mark.parametrize("patience", [-1, 1.5, "1", None, [1], 2**80, True])
def test_patience_that_is_none_is_no_specification(federation, patience):
    """Whoever writes it."""
    propose(federation)
    contract = TrainingTask(federation.ledger)
    specification = documents.load(Specification, contract.task(1).spec, federation.store)
    clock = {"by": "ledger", "patience": patience}
    changed = documents.save(specification.model_copy(update={"clock": clock}), federation.store)
    first = contract.task(1).model_cid
    contract.propose(OWNER, model_id="odd", model_cid=first, rounds=1, spec=changed)
    with pytest.raises(AuditError, match="patience"):
        read_task(contract.task(2), federation.ledger, federation.store)


def test_a_strangers_update_is_refused_before_anything_is_stored(federation):
    """It would count nowhere, so the account is told, and no call is made."""
    propose(federation)
    before = federation.ledger.head(), sorted(federation.path.rglob("*"))
    with pytest.raises(AccountError, match=f"none of the 5 clients of task 1.*{OWNER.address}"):
        submit(federation, STRANGERS[:1])
    assert (federation.ledger.head(), sorted(federation.path.rglob("*"))) == before


@pytest.mark.parametrize(
    "fault",
    [lambda _cid: StoreUnavailable("the disk is full"), lambda cid: ContentCorrupted(cid, None)],
    ids=["unavailable", "corrupted"],
)
def test_a_fault_of_the_own_store_drops_nobody(submitted, monkeypatch, fault):
    """Who cannot read an answer now leaves the round to others, or to later."""
    ledger, store = submitted
    [first, *_] = TrainingTask(ledger).submitted(1, 1)
    get = type(store).get

    def faulty(self, cid, **options):
        if cid == first.cid:
            raise fault(cid)
        return get(self, cid, **options)

    aggregate = Aggregator(store, OWNER, Clock())
    with monkeypatch.context() as here:
        here.setattr(type(store), "get", faulty)
        assert aggregate(ledger, lambda _cid: None) == []
    for _ in range(2):  # the publication, then the rewards
        ledger.transact_all(aggregate(ledger, lambda _cid: None))
    report = audit_ledger(ledger, store)
    assert report.passed, report.reason
    assert (report.rounds[0].accepted, report.rounds[0].dropped) == (5, 0)


def test_a_store_that_takes_nothing_is_tried_again_with_the_next_block(submitted, monkeypatch):
    """A miner does not wait for it, since its node would wait as well; nobody is dropped."""
    ledger, store = submitted

    def away(self, data, **options):
        raise StoreUnavailable("the disk is full")

    clock = Clock()
    aggregate = Aggregator(store, OWNER, clock)
    with monkeypatch.context() as here:
        here.setattr(type(store), "put", away)
        assert aggregate(ledger, pytest.fail) == []
    assert clock.slept == []
    for _ in range(2):  # the publication, then the rewards
        ledger.transact_all(aggregate(ledger, pytest.fail))
    report = audit_ledger(ledger, store)
    assert report.passed, report.reason
    assert (report.rounds[0].accepted, report.rounds[0].dropped) == (5, 0)


def _file(header, values=b""):
    return len(header).to_bytes(8, "little") + header + values


_EMPTY = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
HOSTILE_CLIENT = Account.from_key(b"\x19" * 32)
HOSTILE = {
    "103 bytes": _file(
        b'{"w":{"dtype":"F32","shape":[0,140737488355328,140737488355328],"data_offsets":[0,0]}}'
    ),
    "empty arrays": _file(
        b"{" + b",".join(b'"%d":' % number + _EMPTY for number in range(50)) + b"}"
    ),
    "nested": _file(b"[" * 1_500),
    "nothing": b"",
    "another shape": to_safetensors({"w": np.zeros((2, 3), np.float32)}),
    "not a number": to_safetensors({"w": np.full((3, 2), np.nan, np.float32)}),
    "too large": bytes(100_000),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_one_clients_content_costs_that_client_alone(federation, what, caplog):
    """Whatever it holds, the round ends without it, in the audit as well, and says why."""
    ledger, store = federation.ledger, federation.store
    propose(federation, (*CLIENTS, HOSTILE_CLIENT))
    submit(federation)
    TrainingTask(ledger).submit_update(
        HOSTILE_CLIENT, task=1, round=1, cid=store.put(HOSTILE[what]), samples=1, accuracy=0.5
    )
    aggregate = Aggregator(store, OWNER, Clock())
    for _ in range(2):  # the publication, then the rewards
        ledger.transact_all(aggregate(ledger, pytest.fail))
    report = audit_ledger(ledger, store)
    assert report.passed, report.reason
    [verdict] = report.rounds
    [dropped] = verdict.record.phases[0].dropped
    assert (verdict.accepted, verdict.contributors) == (5, 5)
    assert dropped.party == HOSTILE_CLIENT.address
    assert dropped.reason in ("arrays", "not-finite", "malformed"), dropped
    assert not any(record.exc_info for record in caplog.records), "the decoder expected it"


def test_a_task_that_fails_keeps_no_other_task_waiting(federation, monkeypatch, caplog):
    """An owner's other tasks are aggregated; the failure is named and logged once."""
    ledger, store = federation.ledger, federation.store
    for task, name in ((1, "bad"), (2, "good")):
        propose(federation, model_id=name)
        submit(federation, task=task)

    def fails(protocol, round, state):
        if round.terms.task == 1:
            raise ZeroDivisionError("a protocol's own fault")
        return run_round(protocol, round, state)

    monkeypatch.setattr(mining, "run_round", fails)
    aggregate = Aggregator(store, OWNER, Clock())
    for _ in range(3):
        ledger.transact_all(aggregate(ledger, pytest.fail))
    contract = TrainingTask(ledger)
    assert [contract.task(number).current_round for number in (1, 2)] == [0, 1]
    assert len(contract.payments(2)) == len(CLIENTS)
    [said] = [one for one in caplog.records if one.exc_info]
    assert said.getMessage() == (
        "aggregating task 1 fails: ZeroDivisionError: a protocol's own fault"
    )
