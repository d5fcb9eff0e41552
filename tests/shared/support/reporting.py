"""A task of an owner, whose aggregator lies in one round, and whose members report it."""

import dataclasses
import time

import numpy as np
import pytest

from fedledger.errors import ConfigError
from fedledger.ledger_plugins.base import Ledger
from fedledger.ledger_plugins.contracts import Bonds, Reports, StakeToken, TrainingTask
from fedledger.strategies.audit.reporting import accuse_aggregate, find, verdict_on
from fedledger.strategies.rounds.tasks.task import LedgerTask

from .federation import Federation, make_app

__all__ = ["LIE", "ROUNDS", "Story"]

LIE = 2  # the round of which another model is published
ROUNDS = 4


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


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

    def run_until(self, account, last) -> None:
        """Run the task as an account, and end after a round."""

        def end(number, _arrays):
            if number == last:
                raise _Killed

        with pytest.raises(_Killed):
            self.run(account, end)

    def begin(self) -> None:
        """The owner makes the first round, and appoints members and the aggregator that lies."""
        self.run_until(self.owner, 1)
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
