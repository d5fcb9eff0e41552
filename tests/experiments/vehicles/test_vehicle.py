"""Vehicles on a chain whose time is the test's: what a client does that follows its task alone."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from support.mined import CLIENTS, OWNER
from support.vehicles import RULES, WINDOW

from fedledger.errors import (
    ConfigError,
)
from fedledger.experiments.vehicles.app import VehicleApp
from fedledger.experiments.vehicles.vehicle import Vehicle
from fedledger.ledger_plugins.contracts import Bonds, Reports, StakeToken
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies import audit_ledger


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
    assert "update: ZeroDivisionError: no data today; it is tried again" in said[0]
    assert said[2].endswith("it is left out")
    assert CLIENTS[0].address in task.submitted(2)


def test_a_vehicle_says_that_its_task_is_halted_and_that_it_goes_on(world):
    """Nobody publishes for a while; it stays, and trains the rest when somebody does."""
    task = world()
    for number in range(5):
        task.vehicle(number)
    halted = task.ledger.contracts()["Reports"].address
    task.contract.appoint_aggregator(OWNER, task=1, aggregator=halted)
    task.go(300)
    assert task.contract.task(1).current_round == 0
    [said] = [note for note in task.notes[0] if note.event == "halted"]
    assert said.text.startswith("the task is halted as its aggregator did not publish")
    task.contract.appoint_aggregator(OWNER, task=1, aggregator=OWNER.address)
    task.go(400)
    assert task.contract.task(1).finished
    assert task.events(0, "halted", "again", "finished") == ["halted", "again", "finished"]


def test_a_vehicle_whose_account_a_verdict_excludes_says_so_and_trains_no_more(world):
    """Two of three members find it guilty in the first round; the second goes on without it."""
    task = world()
    for number in range(5):
        task.vehicle(number)
    members = CLIENTS[2:]
    task.contract.appoint_members(OWNER, task=1, members=[one.address for one in members])
    StakeToken(task.ledger).mint(OWNER, members[0].address, 50)
    Bonds(task.ledger).deposit(members[0], 50)
    task.go(60, until=task.submitted)
    reports = Reports(task.ledger)
    about = {"kind": "update", "subject": CLIENTS[0].address, "task": 1, "round": 1}
    report, _ = reports.accuse(members[0], **about, evidence=cid_of(b"evidence"))
    for one in members[:2]:
        reports.decide(one, report=report, guilty=True)
    reports.settle(members[0], report=report)
    task.go(400)
    assert task.contract.task(1).finished
    assert [number for number, at in task.trained if at == 2] == [1, 2, 3, 4]
    said = [note.text for note in task.notes[0] if note.event == "waiting"]
    assert any("is none of the task's clients now" in text for text in said), said
    audit = audit_ledger(task.ledger, task.store)
    assert audit.passed, audit.reason
