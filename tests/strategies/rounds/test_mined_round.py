"""A round that a miner makes, without a network."""

import numpy as np
import pytest
from support.clock import Clock

from fedledger.arrays import to_safetensors
from fedledger.errors import ContentCorrupted, StoreUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger, mining
from fedledger.strategies.mining import Aggregator, propose_task, submit_update

OWNER = Account.from_key(b"\x07" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in range(20, 25)]
MODEL = {"w": np.zeros((3, 2), dtype=np.float32)}


@pytest.fixture
def submitted(federation):
    """A task in which all clients have submitted: its ledger and store."""
    ledger, store = federation.ledger, federation.store
    options = {"model_id": "lights", "rounds": 1, "byzantine": 1, "rules": ("median",)}
    clients = [client.address for client in CLIENTS]
    propose_task(ledger, store, OWNER, to_safetensors(MODEL), clients=clients, **options)
    for number, client in enumerate(CLIENTS):
        model = to_safetensors({"w": MODEL["w"] + np.float32(1 + number / 100)})
        submit_update(ledger, store, client, model, task=1, samples=1, accuracy=0.5)
    return ledger, store


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
    options = {"model_id": "lights", "rounds": 1, "byzantine": 1, "rules": ("median",)}
    clients = [client.address for client in (*CLIENTS, HOSTILE_CLIENT)]
    propose_task(ledger, store, OWNER, to_safetensors(MODEL), clients=clients, **options)
    for number, client in enumerate(CLIENTS):
        model = to_safetensors({"w": MODEL["w"] + np.float32(1 + number / 100)})
        submit_update(ledger, store, client, model, task=1, samples=1, accuracy=0.5)
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
    clients = [client.address for client in CLIENTS]
    options = {"clients": clients, "rounds": 1, "byzantine": 1, "rules": ("median",)}
    for name in ("bad", "good"):
        propose_task(ledger, store, OWNER, to_safetensors(MODEL), model_id=name, **options)
        for number, client in enumerate(CLIENTS):
            model = to_safetensors({"w": MODEL["w"] + np.float32(1 + number / 100)})
            task = {"bad": 1, "good": 2}[name]
            submit_update(ledger, store, client, model, task=task, samples=1, accuracy=0.5)
    run_round = mining.run_round

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
