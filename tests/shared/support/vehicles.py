"""A chain whose time is the test's, its miner, and vehicles that look at it in turn."""

import dataclasses

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.clients import signing_mod
from fedledger.effects import Effects
from fedledger.experiments.vehicles.app import VehicleApp
from fedledger.experiments.vehicles.vehicle import Vehicle
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies.mining import Aggregator
from support.clock import Clock
from support.mined import CLIENTS, OWNER, propose

STRANGER = Account.from_key(b"\x08" * 32)
NOW, WINDOW, SALTS = 1_700_000_000.0, 60, 30
RULES = ("krum", "multi_krum")
HUGE = {"arrays": [{"key": "w", "shape": [10**6, 10**6], "dtype": "float32"}]}


class World:
    """A chain, a miner, and vehicles that look at it in turn."""

    def __init__(self, folder, **task):
        self.folder = folder
        self.clock = Clock(NOW)
        self.effects = dataclasses.replace(Effects.real(), clock=self.clock)
        self.ledger = open_local_ledger(
            f"local://{folder}/chain.db", clock=self.clock, chain_id=4242, admin=OWNER.address
        )
        self.store = open_store(f"file://{folder}/store")
        self.contract = TrainingTask(self.ledger)
        self.aggregate = Aggregator(self.store, OWNER, self.clock)
        self.notes = {}
        self.trained = []
        self.vehicles = {}
        self.idle = False
        options = {"rounds": 2, "rules": RULES, "window": WINDOW, "salt_window": SALTS}
        propose(self, **{"model_id": "digits"} | options | task)

    def app(self, number):
        """An app that moves the model a little, its own way; each training gives another model."""

        def train(message, context):
            self.trained.append((number, message.content["config"]["server-round"]))
            w = message.content["arrays"]["w"].numpy()
            w = w + np.float32(1 + number / 100 + len(self.trained) / 10_000)
            metrics = MetricRecord({"num-examples": 10 + number, "accuracy": 0.5})
            arrays = ArrayRecord({"w": Array(w)})
            return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

        app = ClientApp(mods=[signing_mod])
        app.train()(train)
        return VehicleApp(app)

    def vehicle(self, number, **options):
        """Return a client's vehicle; one that was there before is gone, as if it was killed."""
        self.stop(number)
        made = Vehicle(
            options.pop("ledger", self.ledger),
            options.pop("store", self.store),
            CLIENTS[number] if number < len(CLIENTS) else OWNER,
            options.pop("app", None) or self.app(number),
            task=options.pop("task", 1),
            place=self.folder / f"c{number}",
            effects=self.effects,
            tell=self.notes.setdefault(number, []).append,
            **options,
        )
        self.vehicles[number] = made
        return made

    def stop(self, number):
        if number in self.vehicles:
            self.vehicles.pop(number).close()

    def events(self, number, *kinds):
        return [note.event for note in self.notes[number] if not kinds or note.event in kinds]

    def mine(self):
        for _ in range(2):
            self.ledger.transact_all(self.aggregate(self.ledger, lambda _cid: None))

    def go(self, seconds, until=None):
        """Let time pass; vehicles look, and the miner works, every second."""
        left = dict(self.vehicles)
        for _ in range(seconds):
            for number, vehicle in list(left.items()):
                if vehicle.step():
                    del left[number]
            if not self.idle:
                self.mine()
            self.clock.now += 1.0
            if self.clock.now % 40 == 0:  # a network's miners make blocks when a round is due
                self.contract.confirm_history(STRANGER, task=1)
            if not left or (until is not None and until()):
                return
        assert until is None, "it did not happen"

    def submitted(self, number=1):
        return {one.client: one.cid for one in self.contract.submitted(1, number)}
