"""Whom a verdict excluded is a client no longer, whatever rule the specification has."""

import time

import pytest
from support.federation import Federation, make_app

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import (
    Bonds,
    Membership,
    Reports,
    StakeToken,
    TrainingTask,
)
from fedledger.ledger_plugins.contracts.membership.facade import ClientAdmitted, ClientReplaced
from fedledger.ledger_plugins.contracts.reports.kinds import Exclusion
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.tasks.membership import changed_clients

A, B, C, D = (f"0x{number:040x}" for number in range(4))
PLACE = {"transaction": "0x", "block": 1, "position": 0, "task": 1, "votes": 0}
GONE = Exclusion(A, b"r" * 32, (1, 0))


def test_an_excluded_account_has_no_place_and_gets_none():
    """Neither by admission, nor as somebody's successor, nor by handing its own on."""
    admitted = ClientAdmitted(**PLACE, account=A)
    to_it = ClientReplaced(**PLACE, account=B, by=A)
    of_it = ClientReplaced(**PLACE, account=A, by=D)
    assert changed_clients([A, B, C], [GONE]) == (B, C)
    assert changed_clients([A, B, C], [GONE, admitted, of_it]) == (B, C)
    assert changed_clients([A, B, C], [GONE, to_it]) == (C,)
    assert changed_clients([A, B, C], [of_it, GONE]) == (D, B, C)
    assert changed_clients([B, C], [GONE, admitted]) == (B, C)


class Trial:
    """A task of seven clients, three of them members, and a report on the first client."""

    def __init__(self, federation):
        self.federation, self.ledger = federation, federation.ledger
        self.members = [federation.keys.account(number) for number in (4, 5, 6)]
        self.subject = federation.clients[0]

    def begin(self):
        owner, ledger = self.federation.server, self.ledger
        TrainingTask(ledger).appoint_members(
            owner, task=1, members=[one.address for one in self.members]
        )
        StakeToken(ledger).mint(owner, self.members[0].address, 50)
        Bonds(ledger).deposit(self.members[0], 50)
        since = TrainingTask(ledger).member_since(1, self.members[0].address) or 0
        while ledger.head().timestamp <= since:  # only members of an earlier second judge
            time.sleep(0.05)
            StakeToken(ledger).mint(owner, owner.address, 1)

    def convict(self):
        reports = Reports(self.ledger)
        about = {"kind": "update", "subject": self.subject, "task": 1, "round": 1}
        report, _ = reports.accuse(self.members[0], **about, evidence=cid_of(b"evidence"))
        for one in self.members[:2]:
            reports.decide(one, report=report, guilty=True)
        assert reports.exclusions(1) == []  # decided, and nothing followed yet
        reports.settle(self.members[0], report=report)


@pytest.fixture
def trial(tmp_path):
    federation = Federation(tmp_path)
    federation.ledger.close()
    path = f"local://{tmp_path}/court.db"
    federation.ledger = open_ledger(path, admin=federation.server.address)
    yield Trial(federation)
    federation.close()


@pytest.mark.parametrize("rule", [None, "owner"])
def test_an_excluded_clients_update_counts_no_more(trial, rule):
    """From the round after the verdict on; the owner lets it in again, and it stays outside."""
    federation = trial.federation

    def measure(number, _arrays):
        if number == 1:
            trial.begin()
        if number == 2:
            trial.convict()
            if rule == "owner":
                decides, first = Membership(trial.ledger), federation.keys.account(0)
                decides.join(first, task=1)
                decides.admit(federation.server, task=1, account=first.address)
        return {}

    strategy = federation.pofl(membership=rule, measure=measure)
    federation.run(strategy, make_app(), rounds=4)
    kept = [
        documents.load(Evidence, one.evidence, federation.store)
        for one in TrainingTask(federation.ledger).aggregates(1)
    ]
    counted = [{one.party for one in each.phase("update").accepted} for each in kept]
    assert [trial.subject in each for each in counted] == [True, True, False, False]
    assert [len(each) for each in counted] == [7, 7, 6, 6]
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_an_aggregator_that_counts_an_excluded_client_fails_the_audit(trial, monkeypatch):
    """It knows of no exclusion; whoever looks afterwards does."""
    federation = trial.federation

    def measure(number, _arrays):
        if number == 1:
            trial.begin()
            trial.convict()
        return {}

    with monkeypatch.context() as patched:
        patched.setattr(Reports, "exclusions", lambda _self, _task: [])
        federation.run(federation.pofl(measure=measure), make_app(), rounds=2)
    report = audit_ledger(federation.ledger, federation.store)
    assert [one.passed for one in report.rounds] == [True, False]
    assert trial.subject in (report.rounds[1].reason or "")
