"""Encrypted rounds that several nodes publish: trainers open one list a round, whoever leads."""

import dataclasses

import pytest
from flwr.app import Error, Message
from support.clock import Ahead
from support.encrypted import EncryptedFederation
from support.federation import make_app
from support.turns import Nodes

from fedledger.effects import Effects
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import audit_ledger

SECONDS = 10_000
ROUNDS = 2


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


class Turning(EncryptedFederation):
    """Encrypted rounds of an owner's task, which two nodes publish."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger.close()
        self.clock, self.owner = Ahead(), self.keys.account("owner")
        url, admin = f"local://{self.path}/timed.db", self.owner.address
        self.ledger = open_local_ledger(url, clock=self.clock.wall, admin=admin, chain_id=4242)
        self.dealt = self.deal()
        two = [self.keys.account(f"node {number}") for number in range(2)]
        self.nodes = Nodes(self.ledger, self.owner, two, self.clock)

    def strategy(self, account):
        effects = dataclasses.replace(Effects.real(), clock=self.clock)
        return self.encrypted(account=account, owner=self.owner.address, effects=effects)

    def begin(self):
        """Propose the task, and give it nodes."""
        strategy = self.strategy(self.owner)
        self.until_killed(strategy, "configure_train")
        self.nodes.begin(SECONDS)

    def until_killed(self, strategy, name, at=1):
        """Run until a method of the strategy, or of its task, is called for the `at`-th time.

        Returns its arguments.
        """
        where = strategy if hasattr(strategy, name) else strategy.task
        honest, calls = getattr(where, name), []

        def killed(*arguments, **named):
            calls.append(arguments)
            if len(calls) == at:
                raise _Killed
            return honest(*arguments, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, name, killed)
            with pytest.raises(_Killed):
                self.run(strategy, make_app(), ROUNDS)
        return calls[-1]

    def aggregates(self):
        return TrainingTask(self.ledger).aggregates(1)


@pytest.fixture
def turning(tmp_path):
    federation = Turning(tmp_path)
    federation.begin()
    yield federation
    federation.close()


def test_who_takes_over_opens_the_list_that_was_opened(turning):
    """Killed right before it publishes: trainers give the next node what they gave the first."""
    first, second = turning.nodes.order(1)
    _, made, *_ = turning.until_killed(turning.strategy(first), "publish", at=2)
    turning.run(turning.strategy(second), make_app(), ROUNDS)
    assert [one.rule for one in turning.aggregates()] == ["masked mean"] * ROUNDS
    assert turning.aggregates()[1].commitments["list"] == made.commitments["list"]
    led = [(one.node, one.round) for one in turning.nodes.contract.led(1)]
    assert led == [(first.address, 1), (second.address, 2)]
    report = audit_ledger(turning.ledger, turning.store)
    assert report.passed, report.reason


def test_another_list_than_the_one_that_was_opened_keeps_the_model(turning):
    """A trainer that is away for the next node leaves another list, which nobody signs."""
    first, second = turning.nodes.order(1)
    turning.until_killed(turning.strategy(first), "publish", at=1)

    def away(reply, message, _context):
        number = int(message.content.config_records["config"]["server-round"])
        return Message(Error(0), reply_to=message) if number == 1 else reply

    turning.run(turning.strategy(second), make_app(after_signing={4: away}), ROUNDS)
    kept, *others = turning.aggregates()
    assert (kept.rule, kept.contributors) == ("kept", ())
    assert [one.rule for one in others] == ["masked mean"]
    report = audit_ledger(turning.ledger, turning.store)
    assert report.passed, report.reason
    assert "0 signatures of the list arrived in time" in (report.rounds[0].record.kept or "")
