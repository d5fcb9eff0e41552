"""What vehicles are told, shown and asked for that is wrong, and what they do then."""

import json
import shutil
import sys

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from support.mined import CLIENTS, OWNER
from support.vehicles import HUGE, STRANGER, WINDOW

from fedledger.effects import Effects
from fedledger.errors import (
    ContentCorrupted,
    FedledgerError,
    LedgerUnavailable,
    RunError,
    StoreUnavailable,
    TransactionsLost,
)
from fedledger.experiments.vehicles.app import VehicleApp
from fedledger.experiments.vehicles.running import task_named
from fedledger.experiments.vehicles.vehicle import Vehicle
from fedledger.ledger_plugins.contracts import Membership, TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.storage.local import FileStore
from fedledger.strategies import audit_ledger
from fedledger.strategies.aggregation import kernels
from fedledger.strategies.mining import Aggregator


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
        self.lost = {}

    def __getattr__(self, name):
        if self.lost and name == "head":
            lost, self.lost = self.lost, {}
            raise TransactionsLost(lost)
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


def test_a_call_that_the_ledger_lost_ends_no_vehicle(world):
    """On Ethereum a reorganisation can take a call for good: it says so, and goes on."""
    task = world(rounds=1)
    ledger = Unreachable(task.ledger)
    for number in range(1, 5):
        task.vehicle(number)
    vehicle = task.vehicle(0, ledger=ledger)
    ledger.lost = {"0xabc": "its round has ended"}

    def sleep(_seconds):
        task.go(1)

    task.clock.sleep = sleep
    vehicles, task.vehicles = task.vehicles, {n: v for n, v in task.vehicles.items() if n}
    vehicle.run()
    task.vehicles = vehicles
    [note] = [note for note in task.notes[0] if note.event == "again"]
    assert note.text == "the ledger was reorganised and lost 1 calls: 0xabc: its round has ended"
    assert task.contract.task(1).finished
    assert CLIENTS[0].address in task.submitted()


def test_the_node_config_says_what_may_be_signed(world):
    """Pins and limits hold for a vehicle as under Flower; the number of its task is its own."""
    task = world()
    app = task.app(0)
    app.node_config = {"ledger-chain-id": 7, "ledger-task": 9}
    task.vehicle(0, app=app)
    task.go(3)
    [note] = [note for note in task.notes[0] if note.event == "refused"]
    assert "signs for chain-id 7, the server asks for 4242" in note.text
    assert task.submitted() == {}
    app.node_config = {"ledger-chain-id": 4242, "ledger-task": 9}
    task.vehicle(0, app=app)
    task.go(3)
    assert list(task.submitted()) == [CLIENTS[0].address]


def test_a_ledger_that_is_gone_is_no_task_that_is_missing(world):
    """Who waits for a name hears that nobody answers, and gives up after its patience."""
    task = world()
    ledger, told = Unreachable(task.ledger), []

    def sleep(seconds):
        task.clock.now += seconds

    def find(name, owner=OWNER.address):
        return task_named(ledger, name, owner, "0xme", task.clock, 30.0, told.append)

    task.clock.sleep = sleep
    ledger.gone = 5
    assert find("digits") == 1
    assert [note.event for note in told] == ["waiting", "again"]
    assert "the node does not answer; it is asked again for 30 s" in told[0].text
    ledger.gone, before = 10**9, task.clock.now
    with pytest.raises(LedgerUnavailable, match="the node does not answer"):
        find("digits")
    assert task.clock.now - before == 30


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


def test_an_election_without_what_computes_it_ends_at_once(world, monkeypatch):
    """Each voter computes the candidates: who cannot does not wait for rounds without end."""
    task = world(rules=("krum", "trimmed_mean"), selection="timestamp")
    old = json.loads(task.store.get(task.contract.task(1).spec))
    specification_of(task, settings=old["settings"] | {"selection": "election"})
    vehicle = task.vehicle(0, task=2)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, f"{kernels.__name__}.compiled", raising=False)
    monkeypatch.delattr(kernels, "compiled", raising=False)
    with pytest.raises(RunError, match=r"compute with numba, .*pip install 'fedledger\[server\]'"):
        vehicle.run()
    assert task.clock.slept == []


def test_a_store_that_refuses_its_account_ends_a_vehicle(world):
    """Nobody waits ten minutes for what stays so."""
    task = world()

    class Refusing(FileStore):
        def _write_all(self, _contents):
            raise StoreUnavailable("account 0x… may not write here", lasting=True)

    store = Refusing(task.folder / "store", Effects.real())
    vehicle = task.vehicle(0, store=store)
    with pytest.raises(RunError, match="may not write here"):
        vehicle.run()
    assert task.clock.slept == []


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


def branch(task, name, depth=6):
    """Let the world go on from a copy of its chain; return it, with a depth as a network's."""
    task.ledger.close()
    shutil.copy(task.folder / "chain.db", task.folder / name)
    ledger = open_local_ledger(f"local://{task.folder}/{name}", clock=task.clock, chain_id=4242)
    ledger.settled_depth = depth  # type: ignore[misc]
    task.ledger, task.contract = ledger, TrainingTask(ledger)
    for number in range(5):
        task.vehicle(number)
    return ledger


def test_a_round_that_begins_with_another_model_is_trained_again(world):
    """A lie about the round before was believed, until the chain that has the truth was longer."""
    task = world(sealed=False)
    task.ledger.settled_depth = 6
    for number in range(5):
        task.vehicle(number)
    task.idle = True  # nobody publishes
    task.go(WINDOW + 30, until=lambda: len(task.contract.reveals(1, 1)) == 5)
    lies = branch(task, "lies.db")
    task.idle, task.aggregate = False, Aggregator(task.store, OWNER, task.clock, malicious=True)
    task.go(20, until=lambda: len(task.submitted(2)) == 5)
    believed = task.submitted(2)
    lies.close()
    task.aggregate = Aggregator(task.store, OWNER, task.clock)
    branch(task, "truth.db")
    task.go(20, until=lambda: len(task.submitted(2)) == 5)
    assert not set(believed.values()) & set(task.submitted(2).values())
    assert [one for number, one in task.trained if number == 0] == [1, 2, 2]
    task.go(400)
    assert task.contract.task(1).finished
    report = audit_ledger(task.ledger, task.store)
    assert report.passed, report.reason


def test_another_history_is_not_signed(world):
    """Whoever rewrites what a vehicle has named needs its signature again, and does not get it."""
    task = world()
    mine = branch(task, "mine.db", depth=0)
    task.go(5)
    assert len(task.submitted()) == 5
    mine.close()
    for number in range(4):  # the fifth has named a block with the others' calls
        task.stop(number)
    task.ledger = open_local_ledger(
        f"local://{task.folder}/chain.db", clock=task.clock, chain_id=4242
    )
    task.contract = TrainingTask(task.ledger)
    task.contract.confirm_history(STRANGER, task=1)
    task.vehicle(4)
    task.go(5)
    assert task.submitted() == {}
    [note] = [note for note in task.notes[4] if note.event == "refused"]
    assert "it signs for no other history" in note.text
    (task.folder / "c4.journal").unlink()  # somebody says that it is right
    task.go(5)
    assert list(task.submitted()) == [CLIENTS[4].address]
    assert [one for number, one in task.trained if number == 4] == [1]
