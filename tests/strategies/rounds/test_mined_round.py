"""A round that a miner makes, without a network."""

import numpy as np
import pytest
from support.clock import Clock

from fedledger.arrays import to_safetensors
from fedledger.errors import ContentCorrupted, StoreUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
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
