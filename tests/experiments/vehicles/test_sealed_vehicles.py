"""A vehicle in a task whose updates are sealed: it opens its own when the window is over."""

import dataclasses

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from support.clock import Clock

from fedledger.arrays import to_safetensors
from fedledger.clients import signing_mod
from fedledger.effects import Effects
from fedledger.experiments.vehicles.app import VehicleApp
from fedledger.experiments.vehicles.vehicle import Vehicle
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.openings import Pending, open_pending
from fedledger.strategies import audit_ledger
from fedledger.strategies.mining import Aggregator, propose_task, submit_update
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

OWNER = Account.from_key(b"\x07" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in range(20, 25)]
MODEL = {"w": np.zeros((3, 2), dtype=np.float32)}
WINDOW = 60


class Going(Clock):
    """A clock by which the world goes on while somebody sleeps."""

    def __init__(self):
        super().__init__(1_700_000_000.0)
        self.goes = lambda: None

    def sleep(self, seconds):
        super().sleep(seconds)
        self.goes()


def app():
    """Return an app that moves the model a little."""
    made = ClientApp(mods=[signing_mod])

    @made.train()
    def train(message, context):
        w = message.content["arrays"]["w"].numpy() + np.float32(1.5)
        metrics = MetricRecord({"num-examples": 10, "accuracy": 0.5})
        records = {"arrays": ArrayRecord({"w": Array(w)}), "metrics": metrics}
        return Message(RecordDict(records), reply_to=message)

    return VehicleApp(made)


def test_a_vehicle_opens_what_it_sealed(tmp_path):
    """Its update is in no store before, and counts in every round."""
    clock = Going()
    effects = dataclasses.replace(Effects.real(), clock=clock)
    ledger = open_local_ledger(f"local://{tmp_path}/chain.db", clock=clock, chain_id=4242)
    store = open_store(f"file://{tmp_path}/store")
    contract, aggregate = TrainingTask(ledger), Aggregator(store, OWNER, clock)
    propose_task(
        ledger,
        store,
        OWNER,
        to_safetensors(MODEL),
        model_id="lights",
        clients=[client.address for client in CLIENTS],
        rounds=2,
        byzantine=1,
        rules=("median",),
        window=WINDOW,
        sealed=True,
    )
    early, submitted = [], set()

    def go():
        number = contract.task(1).current_round + 1
        for shift, client in enumerate(CLIENTS[1:] if number <= 2 else []):
            pending = Pending.beside(tmp_path / client.address, effects.disk)
            if (number, shift) not in submitted:
                submitted.add((number, shift))
                model = to_safetensors({"w": np.full((3, 2), number + shift / 100, np.float32)})
                options = {"task": 1, "samples": 1, "accuracy": 0.5, "pending": pending}
                submit_update(ledger, store, client, model, **options)
            open_pending(ledger, store, pending)
        if clock.now <= contract.task(1).opened_at + WINDOW:
            early.extend(store.has(one.cid) for one in contract.submitted(1, number))
        ledger.transact_all(aggregate(ledger, lambda _cid: None))
        contract.confirm_history(OWNER, task=1)  # a block, so time

    clock.goes = go
    vehicle = Vehicle(
        ledger,
        store,
        CLIENTS[0],
        app(),
        task=1,
        journal=tmp_path / "c0.json.journal",
        effects=effects,
        poll=5.0,
    )
    vehicle.run()
    vehicle.close()
    for one in contract.aggregates(1):
        phase = documents.load(Evidence, one.evidence, store).phases[0]
        assert [one.party for one in phase.accepted] == [client.address for client in CLIENTS]
    assert early
    assert not any(early)
    assert list((tmp_path / "c0.json.pending").iterdir()) == []
    report = audit_ledger(ledger, store)
    assert report.passed, report.reason
    ledger.close()
    store.close()
