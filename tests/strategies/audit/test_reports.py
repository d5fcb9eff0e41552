"""A dishonest aggregator is reported, convicted and replaced in the middle of a run."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.anvil import Anvil
from support.federation import Federation, make_app

from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.base import Ledger
from fedledger.ledger_plugins.contracts import Bonds, Reports, StakeToken, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.reporting import accuse_aggregate, find, finding_of, verdict_on
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.task import LedgerTask

LIE = 2  # the round of which another model is published
ROUNDS = 4
WEEK = 604_800


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


@contextmanager
def embedded(folder: Path, admin: str) -> Iterator[Ledger]:
    with open_ledger(f"local://{folder}/reports.db", admin=admin) as ledger:
        yield ledger


@contextmanager
def anvil(folder: Path, admin: str) -> Iterator[Ledger]:
    with Anvil(folder) as node:
        url = f"ethereum+{node.url}"
        deploy(url, admin=admin)
        with open_ledger(url) as ledger:
            yield ledger


class Story:
    """A task of an owner, with members, pledges, and an aggregator that lies in one round."""

    def __init__(self, federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.federation = federation
        account = federation.keys.account
        self.owner, self.liar, self.next = account("owner"), federation.server, account("next")
        self.members = [account(number) for number in range(5)]
        self.report: bytes | None = None
        honest = LedgerTask.publish

        def publish(task, round, result, *rest):
            if round.number == LIE and task.account == self.liar and result.model is not None:
                wrong = {
                    key: np.asarray(value + 1, dtype=value.dtype)
                    for key, value in result.model.items()
                }
                result = dataclasses.replace(result, model=wrong)
            return honest(task, round, result, *rest)

        monkeypatch.setattr(LedgerTask, "publish", publish)

    @property
    def ledger(self) -> Ledger:
        return self.federation.ledger

    @property
    def reports(self) -> Reports:
        return Reports(self.ledger)

    @property
    def tasks(self) -> TrainingTask:
        return TrainingTask(self.ledger)

    def free(self, *accounts):
        return [Bonds(self.ledger).free(one.address) for one in accounts]

    def run(self, account, hook=None):
        strategy = self.federation.pofl(account=account, owner=self.owner.address)
        return self.federation.run(strategy, make_app(), ROUNDS, evaluate_fn=hook)

    def begin(self) -> None:
        """The owner makes the first round, and appoints members and the aggregator that lies."""

        def end(number, _arrays):
            if number == 1:
                raise _Killed

        with pytest.raises(_Killed):
            self.run(self.owner, end)
        self.tasks.appoint_members(
            self.owner, task=1, members=[one.address for one in self.members]
        )
        self.tasks.appoint_aggregator(self.owner, task=1, aggregator=self.liar.address)
        for one in (*self.members, self.liar):
            StakeToken(self.ledger).mint(self.owner, one.address, 160)
            Bonds(self.ledger).deposit(one, 160)
        for one in self.members:
            self.reports.pledge(one, task=1, amount=40)
        self.reports.pledge(self.liar, task=1, amount=150)
        since = self.tasks.member_since(1, self.members[0].address) or 0
        while self.ledger.head().timestamp <= since:  # only members of an earlier second judge
            time.sleep(0.05)
            StakeToken(self.ledger).mint(self.owner, self.owner.address, 1)

    def convict(self, number, _arrays) -> None:
        """Accuse after the round with the lie, and let three of five members decide."""
        if number != LIE:
            return
        reporter = self.members[0]
        with pytest.raises(ConfigError, match="replays: there is nothing"):
            accuse_aggregate(self.ledger, self.federation.store, reporter, 1, 1)
        self.report, finding = accuse_aggregate(
            self.ledger, self.federation.store, reporter, 1, LIE
        )
        assert finding.publisher == self.liar.address
        assert "aggregate" in (finding.reason or "")
        for member, guilty in zip(self.members, (False, True, True, True), strict=False):
            found, why = verdict_on(
                self.ledger, self.federation.store, find(self.ledger, self.report.hex()[:9])
            )
            assert found, why
            self.reports.decide(member, report=self.report, guilty=guilty)
        self.reports.settle(self.members[4], report=self.report)


@pytest.mark.parametrize("where", [embedded, anvil])
def test_a_dishonest_aggregator_is_reported_halted_and_replaced(tmp_path, monkeypatch, where):
    """Convicted by the majority in the middle of a run; another account ends the run."""
    monkeypatch.chdir(tmp_path)
    federation = Federation(tmp_path)
    federation.ledger.close()
    with where(tmp_path, federation.keys.account("owner").address) as ledger:
        federation.ledger = ledger
        story = Story(federation, monkeypatch)
        story.begin()
        with pytest.raises(ConfigError, match=r"is halted by report [0-9a-f]{64} \(aggregate, ro"):
            story.run(story.liar, story.convict)
        assert story.report is not None
        assert story.tasks.task(1).current_round == LIE
        with pytest.raises(ConfigError, match="is halted by report"):
            story.run(story.next)

        # The honest have their pledges back at once, and what the verdict gives them.
        for one in story.members:
            story.reports.unpledge(one, task=1)
            story.reports.claim(one, report=story.report)
        assert story.free(*story.members) == [160 + 10 + 5, *[160 + 5] * 4]
        assert story.reports.pledged(1, story.liar.address).amount == 50
        with pytest.raises(ContractError, match="ExcludedAccount"):
            story.reports.pledge(story.liar, task=1, amount=10)

        story.tasks.appoint_aggregator(story.owner, task=1, aggregator=story.next.address)
        story.run(story.next)
        assert story.tasks.task(1).finished
        found = audit_ledger(ledger, federation.store)
        outcomes = [one.outcome for one in found.rounds]
        assert outcomes == [
            Outcome.FAILED if number == LIE else Outcome.PASSED for number in range(1, ROUNDS + 1)
        ]
        assert f"round {LIE}: aggregate" in (found.reason or "")
        [judged] = found.reports
        assert (judged.guilty, judged.follows, judged.subject) == (
            *(True, True),
            story.liar.address,
        )
        assert judged.wrong == (story.members[0].address,)
        assert f"WRONG VERDICTS by {story.members[0].address}" in judged.sentence
        finding = finding_of(ledger, federation.store, 1, LIE)
        assert finding.witness is not None
        assert finding.witness.coordinate == 0


def test_who_was_excluded_and_publishes_again_fails_the_audit(tmp_path, monkeypatch):
    """An owner may appoint it again: the rounds are good, and the audit passes none of them."""
    federation = Federation(tmp_path)
    federation.ledger.close()
    with embedded(tmp_path, federation.keys.account("owner").address) as ledger:
        federation.ledger = ledger
        story = Story(federation, monkeypatch)
        story.begin()
        with pytest.raises(ConfigError, match="is halted by report"):
            story.run(story.liar, story.convict)
        story.tasks.appoint_aggregator(story.owner, task=1, aggregator=story.liar.address)
        story.run(story.liar)
        found = audit_ledger(ledger, federation.store)
        assert [one.passed for one in found.rounds] == [True, False, False, False]
        assert "had excluded it from the task before" in (found.rounds[2].reason or "")
