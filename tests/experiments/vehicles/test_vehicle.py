"""Vehicles on a chain whose time is the test's: what a client does that follows its task alone."""

import dataclasses
import json

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from support.clock import Clock

from fedledger.arrays import to_safetensors
from fedledger.clients import signing_mod
from fedledger.effects import Effects
from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    FedledgerError,
    LedgerUnavailable,
    RunError,
)
from fedledger.experiments.vehicles.app import VehicleApp
from fedledger.experiments.vehicles.vehicle import Vehicle
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Membership, StakeToken, TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import audit_ledger
from fedledger.strategies.mining import Aggregator, propose_task

OWNER = Account.from_key(b"\x07" * 32)
STRANGER = Account.from_key(b"\x08" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in range(20, 25)]
MODEL = {"w": np.zeros((3, 2), dtype=np.float32)}
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
            f"local://{folder}/chain.db", clock=self.clock, chain_id=4242
        )
        self.store = open_store(f"file://{folder}/store")
        self.contract = TrainingTask(self.ledger)
        self.aggregate = Aggregator(self.store, OWNER, self.clock)
        self.notes = {}
        self.trained = []
        self.vehicles = {}
        options = {
            "model_id": "digits",
            "clients": [client.address for client in CLIENTS],
            "rounds": 2,
            "byzantine": 1,
            "rules": RULES,
            "window": WINDOW,
            "salt_window": SALTS,
        } | task
        propose_task(self.ledger, self.store, OWNER, to_safetensors(MODEL), **options)

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
            task=1,
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
            self.mine()
            self.clock.now += 1.0
            if self.clock.now % 40 == 0:  # a network's miners make blocks when a round is due
                self.contract.confirm_history(STRANGER, task=1)
            if not left or (until is not None and until()):
                return
        assert until is None, "it did not happen"

    def submitted(self, number=1):
        return {one.client: one.cid for one in self.contract.submitted(1, number)}


@pytest.fixture
def world(tmp_path):
    made = []

    def make(**task):
        made.append(World(tmp_path, **task))
        return made[0]

    yield make
    for one in made:
        for number in list(one.vehicles):
            one.stop(number)
        one.ledger.close()


def test_five_vehicles_train_a_task_to_its_end(world):
    """Each submits and reveals in every round; the lot falls, the audit passes, all confirm."""
    task = world()
    for number in range(5):
        task.vehicle(number)
    task.go(400)
    assert task.contract.task(1).finished
    assert [task.events(number)[0] for number in range(5)] == ["joined"] * 5
    assert all(task.events(number)[-1] == "finished" for number in range(5))
    assert all(
        task.events(number, "trained", "sent", "round") == ["trained", "sent", "sent", "round"] * 2
        for number in range(5)
    )
    assert sorted(task.trained) == [(number, one) for number in range(5) for one in (1, 2)]
    report = audit_ledger(task.ledger, task.store)
    assert report.passed, report.reason
    assert [verdict.rule in RULES for verdict in report.rounds] == [True, True]
    confirmed = task.ledger.events("TrainingTask", "HistoryConfirmed")
    assert {one.address for one in CLIENTS} <= {one.arguments["client"] for one in confirmed}
    paid = [note for number in range(5) for note in task.notes[number] if note.event == "paid"]
    token = StakeToken(task.ledger)
    assert len(paid) * 20 == sum(token.balance(client.address) for client in CLIENTS) > 0


class Killed(BaseException):
    """As a process that is killed: nothing catches it."""


def broken(monkeypatch, owner, name, *, after):
    """Let a method of an object end the process, once, before or after it did its work."""
    whole = getattr(owner, name)

    def kill(*args, **options):
        monkeypatch.setattr(owner, name, whole)
        if after:
            whole(*args, **options)
        raise Killed

    monkeypatch.setattr(owner, name, kill)


@pytest.mark.parametrize(
    ("what", "after", "trained"),
    [
        ("keep", False, 2),  # signed, and nothing left the process: trained again
        ("keep", True, 1),
        ("put", False, 1),
        ("put", True, 1),
        ("transact", False, 1),
        ("transact", True, 1),
    ],
    ids=["signed", "kept", "before-store", "stored", "before-send", "sent"],
)
def test_a_killed_vehicle_goes_on_with_the_same_update(world, monkeypatch, what, after, trained):
    """Wherever it was killed, the ledger has one update of it, and it is not trained twice."""
    task = world()
    vehicle = task.vehicle(0)
    owner = {"keep": vehicle._outbox, "put": task.store, "transact": task.ledger}[what]
    broken(monkeypatch, owner, what, after=after)
    with pytest.raises(Killed):
        task.go(3)
    kept = vehicle._outbox.answers(1)
    task.vehicle(0)
    task.go(5)
    assert len(task.trained) == trained
    events = task.ledger.events("TrainingTask", "UpdateSubmitted")
    assert len(events) == 1
    if kept:
        assert events[0].transaction == kept["update"].hash
        assert task.submitted() == {CLIENTS[0].address: kept["update"].content}
    assert task.store.has(task.submitted()[CLIENTS[0].address])


def test_an_update_whose_nonce_was_used_is_signed_again(world, monkeypatch):
    """The same content, for the same round, in another transaction."""
    task = world()
    vehicle = task.vehicle(0)
    broken(monkeypatch, task.ledger, "transact", after=False)
    with pytest.raises(Killed):
        task.go(3)
    before = vehicle._outbox.answers(1)["update"]
    task.contract.confirm_history(CLIENTS[0], task=1)
    task.vehicle(0)
    task.go(5)
    [event] = task.ledger.events("TrainingTask", "UpdateSubmitted")
    assert event.transaction != before.hash
    assert task.submitted() == {CLIENTS[0].address: before.content}
    assert len(task.trained) == 1


def test_one_process_at_a_time(world):
    """Two would train two updates for one round."""
    task = world()
    task.vehicle(0)
    with pytest.raises(ConfigError, match="another process trains with this account for task 1"):
        Vehicle(
            task.ledger,
            task.store,
            CLIENTS[0],
            task.app(0),
            task=1,
            place=task.folder / "c0",
            effects=task.effects,
        )


@pytest.mark.parametrize("part", ["task-1.json", ".safetensors"])
def test_a_damaged_outbox_sends_nothing(world, monkeypatch, part):
    """What cannot be trusted is not signed over, and the sentence says which file it is."""
    task = world()
    vehicle = task.vehicle(0)
    broken(monkeypatch, task.ledger, "transact", after=False)
    with pytest.raises(Killed):
        task.go(3)
    [path] = [one for one in (task.folder / "c0.outbox").rglob("*") if one.name.endswith(part)]
    path.write_bytes(b"{}")
    assert vehicle is task.vehicles[0]
    task.vehicle(0)
    task.go(3)
    [note] = [note for note in task.notes[0] if note.event == "refused"]
    assert str(path) in note.text
    assert task.submitted() == {}


def test_who_was_away_goes_on_with_the_next_round(world):
    """A round that a vehicle missed costs it that round: nothing is submitted too late."""
    task = world(rounds=3)
    for number in range(5):
        task.vehicle(number)
    task.stop(0)
    task.go(150, until=lambda: task.contract.task(1).current_round == 1)
    task.vehicle(0)
    task.go(400)
    assert {one for number, one in task.trained if number == 0} == {2, 3}
    assert task.events(0)[-1] == "finished"
    report = audit_ledger(task.ledger, task.store)
    assert report.passed, report.reason


def test_who_comes_after_the_window_does_not_train(world):
    """What could not be submitted any more is not trained; its round goes on without it."""
    task = world()
    task.clock.now += WINDOW + 2
    task.vehicle(0)
    task.go(5)
    assert (0, 1) not in task.trained
    assert task.submitted() == {}


def test_an_app_that_fails_is_left_out_of_the_round(world):
    """Three times it is asked; then the vehicle waits for the next round, and takes part there."""
    task = world()
    calls = []

    def train(message, context):
        calls.append(message.content["config"]["server-round"])
        if calls[-1] == 1:
            raise ZeroDivisionError("no data today")
        w = message.content["arrays"]["w"].numpy() + np.float32(1)
        metrics = MetricRecord({"num-examples": 10})
        arrays = ArrayRecord({"w": Array(w)})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    app = ClientApp()  # without the mod: the vehicle signs itself
    app.train()(train)
    task.vehicle(0, app=VehicleApp(app))
    for number in range(1, 5):
        task.vehicle(number)
    task.go(400)
    assert calls == [1, 1, 1, 2]
    said = [note.text for note in task.notes[0] if note.event == "failed"]
    assert len(said) == 3
    assert "no data today" in said[0]
    assert said[2].endswith("it is left out")
    assert CLIENTS[0].address in task.submitted(2)


@pytest.mark.parametrize("what", ["not-finite", "another shape", "no metrics", "negative"])
def test_what_no_aggregator_would_take_is_not_sent(world, what):
    """An app's reply is checked by the same checks as at a server, before anything leaves."""
    task = world()

    def train(message, context):
        w = message.content["arrays"]["w"].numpy()
        w = np.full((2, 2), 1, np.float32) if what == "another shape" else w + np.float32(1)
        w = w * np.float32("nan") if what == "not-finite" else w
        metrics: dict[str, float] = {"num-examples": -1 if what == "negative" else 10}
        metrics = {"loss": 1.0} if what == "no metrics" else metrics
        content = {"arrays": ArrayRecord({"w": Array(w)}), "metrics": MetricRecord(metrics)}
        return Message(RecordDict(content), reply_to=message)

    app = ClientApp()
    app.train()(train)
    task.vehicle(0, app=VehicleApp(app))
    task.go(8)
    assert task.events(0) == ["joined", "failed", "failed", "failed"]
    assert task.submitted() == {}


def test_a_rollback_is_followed(world):
    """The owner ends an open round; the vehicles go on with the next one from the checkpoint."""
    task = world(rounds=4)
    task.contract.record_checkpoint(OWNER, task=1, round=0, accuracy=0.5)
    for number in range(5):
        task.vehicle(number)
    task.go(150, until=lambda: task.contract.task(1).current_round == 1)
    task.go(3)
    task.contract.rollback(OWNER, task=1, round=2, to_round=0)
    task.go(400)
    assert task.events(0, "round", "rolled-back") == ["round", "rolled-back", "round", "round"]
    assert task.events(0)[-1] == "finished"
    assert [one for number, one in task.trained if number == 0] == [1, 2, 3, 4]
    report = audit_ledger(task.ledger, task.store)
    assert report.passed, report.reason


def test_who_is_no_client_is_told(world):
    """The specification fixes the list; nothing is signed or trained."""
    task = world()
    with pytest.raises(RunError, match="is none of the 5 clients of task 1"):
        task.vehicle(5).run()
    assert task.trained == []


def damaged(task, cid, data):
    """Put other bytes where a content lies."""
    [path] = [one for one in (task.folder / "store").rglob("*") if cid[-20:] in one.name]
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_current_model_of_other_bytes_is_not_trained(world):
    """It is asked for again, said once, an error in the end; with the right bytes it goes on."""
    task = world()
    cid = task.contract.task(1).current_cid
    right = task.store.get(cid)
    damaged(task, cid, right[:-1] + b"\x01")
    with pytest.raises(ContentCorrupted, match=cid):
        task.vehicle(0, patience=30).run()
    assert task.events(0) == ["joined", "waiting"]
    assert task.trained == []
    damaged(task, cid, right)
    task.vehicle(0)
    task.go(3)
    assert len(task.trained) == 1


def specification_of(task, **changes):
    """Propose another task, 2, with a specification that says something else; return the ledger."""
    old = json.loads(task.store.get(task.contract.task(1).spec))
    spec = task.store.put(json.dumps(old | changes, sort_keys=True, separators=(",", ":")).encode())
    task.contract.propose(
        OWNER,
        model_id="other",
        model_cid=task.contract.task(1).model_cid,
        rounds=1,
        window=WINDOW,
        reward=1,
        spec=spec,
    )


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({"protocol": "nobody-has-it"}, RunError, "protocol 'nobody-has-it' is not known here"),
        ({"protocol_version": 999}, RunError, "has version 999 there"),
        ({"clock": {"by": "aggregator", "name": "wall"}}, RunError, "is run by a Flower server"),
        ({"parties": {"clients": ["0xnobody"]}}, FedledgerError, "0xnobody among the clients"),
        ({"layout": HUGE}, FedledgerError, "w"),
    ],
    ids=["protocol", "version", "server", "stranger", "huge"],
)
def test_a_specification_that_cannot_be_followed(world, changes, error, why):
    """It ends with one clear sentence, and at once: no patience makes it better."""
    task = world()
    specification_of(task, **changes)
    vehicle = Vehicle(
        task.ledger,
        task.store,
        CLIENTS[0],
        task.app(0),
        task=2,
        place=task.folder / "c0",
        effects=task.effects,
        patience=100,
    )
    task.vehicles[99] = vehicle
    with pytest.raises(error, match=why):
        vehicle.run()
    assert task.clock.slept == []
    assert task.trained == []


class Unreachable:
    """A ledger whose node goes away for a while."""

    def __init__(self, ledger):
        self._ledger = ledger
        self.gone = 0

    def __getattr__(self, name):
        if self.gone and name in {"head", "call", "events", "matching", "transact"}:
            self.gone -= 1
            raise LedgerUnavailable("the node does not answer")
        return getattr(self._ledger, name)


def test_a_node_that_does_not_answer_is_asked_again(world):
    """With growing pauses, said once; afterwards it goes on, and in the end it is an error."""
    task = world()
    ledger = Unreachable(task.ledger)
    vehicle = task.vehicle(0, ledger=ledger, patience=300)
    assert vehicle.step() is False
    ledger.gone = 6
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        task.clock.now += seconds
        if len(slept) == 8:
            ledger.gone = 10**9

    task.clock.sleep = sleep
    with pytest.raises(LedgerUnavailable, match="the node does not answer"):
        vehicle.run()
    assert slept[:6] == [1, 2, 4, 8, 16, 30]
    assert task.events(0, "waiting", "again") == ["waiting", "again", "waiting"]
    assert sum(slept[8:]) == 300


def test_a_salt_goes_to_the_first_list_alone(world):
    """As under Flower: asked about another list, a client names the first one again."""
    task = world()
    for number in range(5):
        task.vehicle(number)
    task.go(WINDOW + 2)
    task.go(20, until=lambda: len(task.contract.reveals(1, 1)) == 5)
    lists = {one.list for one in task.contract.reveals(1, 1)}
    assert len(lists) == 1


def test_an_election_is_followed_too(world):
    """The vehicle knows no list of phases: a protocol that asks for votes gets them."""
    task = world(rules=("krum", "trimmed_mean"), selection="timestamp")
    old = json.loads(task.store.get(task.contract.task(1).spec))
    settings = old["settings"] | {"selection": "election", "vote_window": 20.0}
    specification_of(task, settings=settings)
    vehicles = []
    for number in range(5):
        app = task.app(number)

        @app.client.evaluate()
        def score(message, context):
            w = message.content["arrays"]["w"].numpy()
            loss = float(np.abs(w - 1).mean())
            metrics = MetricRecord({"loss": loss, "num-examples": 1})
            return Message(RecordDict({"metrics": metrics}), reply_to=message)

        vehicles.append(
            Vehicle(
                task.ledger,
                task.store,
                CLIENTS[number],
                app,
                task=2,
                place=task.folder / f"c{number}",
                effects=task.effects,
                tell=task.notes.setdefault(number, []).append,
            )
        )
    task.vehicles = dict(enumerate(vehicles))
    task.go(200)
    assert task.contract.task(2).finished
    assert [note.fields["phase"] for note in task.notes[0] if note.event == "sent"] == [
        "update",
        "votes",
    ]
    report = audit_ledger(task.ledger, task.store, tasks=[2])
    assert report.passed, report.reason


def test_sealed_updates_are_opened_after_the_window(world):
    """Nobody can read them before; then each vehicle opens its own, and the round goes on."""
    task = world(sealed=True)
    for number in range(5):
        task.vehicle(number)
    task.go(WINDOW - 5)
    named = task.submitted()
    assert len(named) == 5
    assert not any(task.store.has(cid) for cid in named.values())
    task.vehicle(2)  # killed and started again
    task.go(400)
    assert task.events(0, "sent", "opened", "round") == ["sent", "opened", "sent", "round"] * 2
    assert [one for number, one in task.trained if number == 2] == [1, 2]
    assert task.events(2)[-1] == "finished"
    report = audit_ledger(task.ledger, task.store)
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [5, 5]


def test_who_is_admitted_takes_part_from_the_next_round(world):
    """Where the specification lets clients join, a vehicle waits for that, and says how."""
    task = world(membership="owner", rounds=2)
    for number in range(6):
        task.vehicle(number)
    task.go(5)
    [note] = [note for note in task.notes[5] if note.event == "waiting"]
    assert "is none of the task's clients now. Ask to join with `fedledger task join`" in note.text
    assert CLIENTS[0].address in task.submitted()
    assert OWNER.address not in task.submitted()
    decides = Membership(task.ledger)
    decides.join(OWNER, task=1)
    decides.admit(OWNER, task=1, account=OWNER.address)
    task.go(400)
    assert OWNER.address in task.submitted(2)
    assert [one for number, one in task.trained if number == 5] == [2]
    assert task.events(5)[-1] == "finished"
    report = audit_ledger(task.ledger, task.store)
    assert report.passed, report.reason
