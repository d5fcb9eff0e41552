"""The lot where nobody serves: clients and miners meet on the ledger alone."""

import numpy as np
import pytest
from support.clock import Clock
from support.mined import OWNER, propose, trained

from fedledger.arrays import to_safetensors
from fedledger.errors import AuditError, ConfigError, ContractError, UpdateRejected
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Receipt
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit import verify_round
from fedledger.strategies.mining import (
    Aggregator,
    reveal_salt,
    salt_times,
    submit_update,
)
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Dropped, Evidence
from fedledger.strategies.rounds.kinds.mined import MinedRound

STRANGER = Account.from_key(b"\x08" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in range(20, 27)]
RULES = ("krum", "trimmed_mean", "median")
FALLBACK = "trimmed_mean"
NOW, WINDOW, SALTS = 1_700_000_000.0, 600, 60


class Mined:
    """A task whose owner mines, on a chain with a clock of its own."""

    def __init__(self, folder, rounds):
        self.clock = Clock(NOW)
        self.ledger = open_local_ledger(
            f"local://{folder}/chain.db", clock=self.clock, chain_id=4242
        )
        self.store = open_store(f"file://{folder}/store")
        self.contract = TrainingTask(self.ledger)
        self.aggregate = Aggregator(self.store, OWNER, self.clock)
        options = {"rules": RULES, "window": WINDOW, "salt_window": SALTS}
        propose(self, CLIENTS, rounds=rounds, **options)

    @property
    def number(self):
        return self.contract.task(1).current_round + 1

    def model(self, client):
        return trained(self.number + CLIENTS.index(client) / 100)

    def submit(self, clients=CLIENTS):
        for client in clients:
            model = self.model(client)
            submit_update(self.ledger, self.store, client, model, task=1, samples=1, accuracy=0.5)

    def end_window(self):
        self.clock.now = self.contract.task(1).opened_at + WINDOW + 1.0

    def reveal(self, clients=CLIENTS):
        for client in clients:
            reveal_salt(self.ledger, self.store, client, task=1)

    def end_salts(self):
        """Let their time pass, and somebody make a block."""
        self.clock.now += SALTS + 1
        self.contract.confirm_history(CLIENTS[0], task=1)

    def mine(self):
        """Make the publication, and pay; return the round's evidence, or None while it is open."""
        calls = self.aggregate(self.ledger, lambda _cid: None)
        if not calls:
            return None
        assert all(isinstance(one, Receipt) for one in self.ledger.transact_all(calls))
        if not self.contract.task(1).finished:
            self.ledger.transact_all(self.aggregate(self.ledger, lambda _cid: None))
        return documents.load(Evidence, self.contract.aggregates(1)[-1].evidence, self.store)

    def round(self, clients=CLIENTS):
        """Run a whole round; `clients` reveal."""
        self.submit()
        self.end_window()
        self.reveal(clients)
        if clients is not CLIENTS:
            self.end_salts()
        return self.mine()

    def audit(self):
        while calls := self.aggregate(self.ledger, lambda _cid: None):  # what is owed still
            self.ledger.transact_all(calls)
        return audit_ledger(self.ledger, self.store)


@pytest.fixture
def mined(tmp_path):
    made = []

    def make(rounds=1):
        made.append(Mined(tmp_path, rounds))
        return made[0]

    yield make
    for one in made:
        one.ledger.close()


def test_the_clients_salts_choose_the_rules(mined):
    """All reveal: every round has its lot as soon as the last salt is there, and is proved."""
    task = mined(rounds=8)
    assert salt_times(task.ledger, task.store, task=1) == (NOW + WINDOW, NOW + WINDOW + SALTS)
    found = []
    for number in range(1, 9):
        task.submit()
        task.end_window()
        task.reveal(CLIENTS[:-1])
        assert task.mine() is None
        task.reveal(CLIENTS[-1:])
        found.append(task.mine())
        verify_round(task.ledger, task.store, 1, number)
    assert {one.rule for one in found} == set(RULES)
    assert all(len(one.phase("salts").accepted) == len(CLIENTS) for one in found)
    assert found[-1].state["silent"] == []
    assert salt_times(task.ledger, task.store, task=1) is None
    report = task.audit()
    assert report.passed, report.reason


def test_who_does_not_reveal_is_not_waited_for_again(mined):
    """One silent client: the fallback after the salts' time; later rounds draw without it."""
    task = mined(rounds=6)
    others = CLIENTS[:3] + CLIENTS[4:]
    task.submit()
    task.end_window()
    task.reveal(others)
    assert task.mine() is None
    task.end_salts()
    first = task.mine()
    assert (first.rule, first.state["silent"]) == (FALLBACK, [CLIENTS[3].address])
    later = []
    for _ in range(5):
        task.submit()
        task.end_window()
        with pytest.raises(ConfigError, match="did not reveal its salt when it was asked before"):
            task.reveal(CLIENTS[3:4])
        task.reveal(others)
        later.append(task.mine())
    assert {one.rule for one in later} != {FALLBACK}
    assert all(len(one.phase("update").accepted) == len(CLIENTS) for one in later)
    report = task.audit()
    assert report.passed, report.reason


def test_salts_wait_for_the_window(mined):
    """Before the window is over nothing is revealed; a client that waits reveals at its end."""
    task = mined()
    task.submit()
    with pytest.raises(ContractError, match="WindowOpen"):
        task.reveal(CLIENTS[:1])
    said = []
    reveal_salt(task.ledger, task.store, CLIENTS[0], task=1, clock=task.clock, say=said.append)
    assert task.clock.now == NOW + WINDOW + 1
    assert said[0] == WINDOW + 1
    assert len(said) == WINDOW // 10 + 1
    task.reveal(CLIENTS[1:])
    assert task.mine().rule in RULES
    with pytest.raises(ConfigError, match="throws no lots on the ledger, or is finished"):
        task.reveal(CLIENTS[:1])


def _raw(task, client, **changes):
    """Reveal by a call of the client's own making."""
    values = {"list": b"\1" * 32, "salt": b"\2" * 32, "round": task.number} | changes
    task.contract.reveal_salt(client, task=1, **values)


def test_nobody_else_matters(mined):
    """Reveals of a stranger, and of a client that is not asked, neither count nor stop anybody."""
    task = mined(rounds=2)
    task.round(clients=CLIENTS[1:])
    task.submit()
    task.end_window()
    _raw(task, STRANGER)
    _raw(task, CLIENTS[0])  # silent in the round before, so nobody waits for it
    task.reveal(CLIENTS[1:])
    second = task.mine()
    assert [one.party for one in second.phase("salts").accepted] == [
        client.address for client in CLIENTS[1:]
    ]
    report = task.audit()
    assert report.passed, report.reason


@pytest.mark.parametrize(
    ("before", "after", "lot"),
    [
        ({}, None, True),  # a wrong one, replaced by the right one
        (None, {}, False),  # the right one, replaced by one of another list and salt
        (None, {"own": True}, False),  # the right salt for another list
    ],
    ids=["repaired", "spoilt", "other-list"],
)
def test_the_last_reveal_counts(mined, before, after, lot):
    """A client's wrong reveal is its own loss: the round goes on, and later without it."""
    task = mined(rounds=2)
    task.submit()
    task.end_window()
    cheat, others = CLIENTS[0], CLIENTS[1:]
    if before is not None:
        _raw(task, cheat)
    task.reveal([cheat])
    if after is not None:
        [event] = task.contract.reveals(1, 1)
        _raw(task, cheat, **({"salt": event.salt} if after else {}))
    task.reveal(others)
    first = task.mine()
    assert first.state["silent"] == ([] if lot else [cheat.address])
    if not lot:
        assert first.rule == FALLBACK
    second = task.round(clients=CLIENTS if lot else others)
    assert len(second.phase("salts").accepted) == (7 if lot else 6)
    report = task.audit()
    assert report.passed, report.reason


def test_a_round_that_ends_before_its_salts_fails(mined, monkeypatch):
    """Who publishes while a salt may still come is refused by nodes and found by the audit."""
    task = mined()
    task.submit()
    task.end_window()
    task.reveal(CLIENTS[:-1])
    with monkeypatch.context() as here:
        here.setattr(MinedRound, "_wait", lambda *_: None)
        assert task.mine() is not None
    with pytest.raises(AuditError, match="it was ended while 1 clients could still answer"):
        verify_round(task.ledger, task.store, 1, 1)
    assert task.audit().outcome is Outcome.FAILED


def test_a_salt_that_is_there_cannot_be_dropped(mined, monkeypatch):
    """An aggregator that calls a good salt unusable, to have the fallback, fails."""
    task = mined()
    task.submit()
    task.end_window()
    task.reveal()
    honest = MinedRound.ask

    def dropping(self, phase, *args, **options):
        answers = honest(self, phase, *args, **options)
        if phase.name != "salts":
            return answers
        left = self.phases[-1].accepted[0]
        entry = Dropped(reason="salt", detail="so they say", party=left.party)
        changes = {"accepted": self.phases[-1].accepted[1:], "dropped": [entry]}
        self.phases[-1] = self.phases[-1].model_copy(update=changes)
        return type(answers)(answers.accepted[1:], answers.standing)

    with monkeypatch.context() as here:
        here.setattr(MinedRound, "ask", dropping)
        assert task.mine().rule == FALLBACK
    with pytest.raises(AuditError, match="1 answers were dropped that are usable"):
        verify_round(task.ledger, task.store, 1, 1)


@pytest.mark.parametrize("copiers", [1, 2], ids=["f", "f+1"])
def test_copies_count_once_and_stop_nobody(mined, copiers):
    """The first submission of a content counts; its copies are dropped, unpaid, and on the list."""
    task = mined()
    task.submit(CLIENTS[copiers:])
    [victim] = [one for one in task.contract.submitted(1, 1) if one.client == CLIENTS[6].address]
    for cheat in CLIENTS[:copiers]:
        model = task.model(CLIENTS[6])
        submit_update(task.ledger, task.store, cheat, model, task=1, samples=1, accuracy=1)
    task.end_window()
    task.reveal()
    found = task.mine()
    dropped = found.phase("update").dropped
    assert [(one.party, one.reason) for one in dropped] == [
        (cheat.address, "copy") for cheat in CLIENTS[:copiers]
    ]
    assert victim.client in {one.party for one in found.phase("update").accepted}
    assert len(found.phase("salts").accepted) == len(CLIENTS)
    report = task.audit()
    assert report.passed, report.reason
    paid = {one.client for one in task.contract.payments(1)}
    assert not paid & {cheat.address for cheat in CLIENTS[:copiers]}


def test_one_client_claims_one_content(mined):
    """Who sees contents coming and names them all first holds the last one alone."""
    task = mined()
    cheat, others = CLIENTS[0], CLIENTS[1:]
    for client in others:  # the first model is zero, so updates are models
        cid = cid_of(task.model(client))
        task.contract.submit_update(cheat, task=1, round=1, cid=cid, samples=1, accuracy=1)
    task.submit(others)
    task.end_window()
    task.reveal(others)
    task.end_salts()
    update = task.mine().phase("update")
    assert len(update.accepted) == len(others)
    assert [one.party for one in update.dropped] == [others[-1].address]
    assert task.audit().passed


@pytest.mark.parametrize("content", ["not-finite", "unavailable"])
def test_an_unusable_update_stays_on_the_list(mined, content):
    """Its salt is part of the lot, and its client cannot undo that by what it uploads."""
    task = mined()
    task.submit(CLIENTS[1:])
    data = to_safetensors({"w": np.full((3, 2), np.nan, dtype=np.float32)})
    cid = task.store.put(data) if content == "not-finite" else cid_of(b"nobody has it")
    submit_update(
        task.ledger, task.store, CLIENTS[0], task.model(CLIENTS[0]), task=1, samples=1, accuracy=1
    )
    [mine] = [one for one in task.contract.submitted(1, 1) if one.client == CLIENTS[0].address]
    task.contract.submit_update(
        CLIENTS[0], task=1, round=1, cid=cid, samples=1, accuracy=1, seal=mine.seal
    )
    task.end_window()
    task.reveal()
    found = task.mine()
    if found is None:  # it is looked for first
        task.clock.now += 11
        found = task.mine()
    assert [one.reason for one in found.phase("update").dropped] == [content]
    assert len(found.phase("salts").accepted) == len(CLIENTS)
    assert found.state["silent"] == []
    report = task.audit()
    assert report.passed, report.reason


def test_more_reveals_of_another_history_than_tolerated_wait(mined):
    """Clients whose blocks a reorganisation took sign again, and the round is honest then."""
    task = mined()
    task.submit()
    task.end_window()
    task.reveal()
    right = {one.client: one for one in task.contract.reveals(1, 1)}
    for client in CLIENTS[:2]:
        given = right[client.address]
        _raw(task, client, list=given.list, salt=given.salt, seen="0x" + "ab" * 32)
    assert task.mine() is None
    task.reveal(CLIENTS[:1])
    found = task.mine()
    assert [one.reason for one in found.phase("salts").dropped] == ["history"]
    assert task.audit().passed


def test_lots_go_on_after_rollbacks(mined):
    """What clients remember of rounds that a rollback has undone is held against nobody."""
    task = mined(rounds=8)
    task.contract.record_checkpoint(OWNER, task=1, round=0, accuracy=0.5)
    for _ in range(2):
        task.round()
    task.submit()
    task.end_window()
    task.reveal()
    task.contract.rollback(OWNER, task=1, round=3, to_round=0)
    assert len(task.round().phase("salts").accepted) == len(CLIENTS)
    assert task.number == 5
    task.round(clients=CLIENTS[1:])
    found = task.round(clients=CLIENTS[1:])
    assert (found.state["since"], found.state["silent"]) == (4, [CLIENTS[0].address])
    report = task.audit()
    assert report.passed, report.reason


def _nan(task, clients):
    """Let clients submit what is no model."""
    for number, client in enumerate(clients):
        values = np.full((3, 2), np.nan, dtype=np.float32)
        values[0, 0] = number  # each its own
        cid = task.store.put(to_safetensors({"w": values}))
        task.contract.submit_update(client, task=1, round=1, cid=cid, samples=1, accuracy=1)


@pytest.mark.parametrize("bad", [2, 3])
def test_more_than_f_unusable_updates_stop_no_task(mined, bad):
    """Everybody sees that they are unusable, so the round ends: with a model if enough are left."""
    task = mined()
    task.submit(CLIENTS[bad:])
    _nan(task, CLIENTS[:bad])
    task.end_window()
    task.reveal(CLIENTS[bad:])
    task.end_salts()
    found = task.mine()
    assert [one.reason for one in found.phase("update").dropped] == ["not-finite"] * bad
    assert (found.kept is None) is (bad == 2)  # 5 of 7 are the least that PoFL takes
    report = task.audit()
    assert report.passed, report.reason


def test_a_usable_update_cannot_be_called_unusable(mined, monkeypatch):
    """The audit looks at what was dropped, and nodes that verify do."""
    task = mined()
    honest = MinedRound._answer

    def denying(self, phase, subject, event, owners):
        if phase.name == "update" and event.arguments["client"] == CLIENTS[0].address:
            raise UpdateRejected("not-finite", "so it is said")
        return honest(self, phase, subject, event, owners)

    monkeypatch.setattr(MinedRound, "_answer", denying)
    task.submit()
    task.end_window()
    task.reveal()
    task.mine()
    monkeypatch.undo()
    with pytest.raises(AuditError, match="1 answers were dropped that are usable"):
        verify_round(task.ledger, task.store, 1, 1)
    assert task.audit().outcome is Outcome.FAILED
