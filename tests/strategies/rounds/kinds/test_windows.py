"""Windows by the ledger's clock: a round lasts at least as long as its window."""

import dataclasses

import pytest
from support.clock import Clock
from support.federation import Federation, make_app, timed_federation
from support.mined import CLIENTS, OWNER, propose, submit

from fedledger.effects import Effects
from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins.base import Receipt
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.mining import Aggregator

NOW = 1_700_000_000.0
WINDOW = 600


class Acting(Clock):
    """A clock on which something happens when somebody has slept."""

    def __init__(self, act=lambda: None):
        super().__init__(NOW)
        self.act = act

    def sleep(self, seconds):
        super().sleep(seconds)
        if seconds >= 1:  # not between two looks at the replies
            self.act()


class Slow(Clock):
    """A ledger's clock that is behind another one.

    Args:
        other: the other clock.
        behind: by how many seconds.
    """

    def __init__(self, other, behind):
        super().__init__()
        self.other, self.behind = other, behind

    def __call__(self):
        return self.other.now - self.behind


def strategy_of(federation, clock, **options):
    effects = dataclasses.replace(Effects.real(), clock=clock)
    return federation.pofl(**{"ledger_window": WINDOW, "effects": effects} | options)


def times_of(federation):
    """Return when each block with a publication was made, in seconds."""
    ledger = federation.ledger
    return [ledger.block(one.block).timestamp for one in TrainingTask(ledger).aggregates(1)]


@pytest.mark.parametrize("behind", [0, 45, -45])
def test_a_round_is_published_when_its_window_is_over(tmp_path, behind):
    """Whether the ledger's clock is right, behind or ahead; nothing can be replaced after it."""
    clock, refused = Acting(), []
    federation = timed_federation(tmp_path, Slow(clock, behind))
    contract, cheat = TrainingTask(federation.ledger), federation.keys.account(2)

    def replace():
        try:
            contract.submit_update(
                cheat,
                task=1,
                round=contract.task(1).current_round + 1,
                cid=federation.store.put(b"another update"),
                samples=1,
                accuracy=1,
            )
        except ContractError as error:
            refused.append(error.error)

    opened = round(NOW) - behind
    clock.act = replace if behind <= 0 else lambda: None
    federation.run(strategy_of(federation, clock), make_app(), rounds=2)
    first, second = times_of(federation)
    assert opened + WINDOW < first <= opened + WINDOW + 60
    assert first + WINDOW < second <= first + WINDOW + 60
    assert refused == (["WindowClosed"] * 2 if behind <= 0 else [])
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [federation.size] * 2


def test_a_ledger_whose_clock_stands_still_ends_the_run(tmp_path):
    """The publication is sent a bounded number of times, and then it is the contract's refusal."""
    clock = Acting()
    federation = timed_federation(tmp_path, Clock(NOW))
    with pytest.raises(ContractError, match="WindowOpen"):
        federation.run(strategy_of(federation, clock), make_app(), rounds=1)
    assert len([seconds for seconds in clock.slept if seconds >= 1]) == 10


def test_a_rollback_while_a_publication_waits(tmp_path):
    """The round that was rolled back meanwhile is dropped, and the task goes on."""
    clock = Acting()
    federation = timed_federation(tmp_path, clock)
    contract = TrainingTask(federation.ledger)

    def go_back():
        if contract.task(1).current_round == 1:
            contract.rollback(federation.server, task=1, round=2, to_round=0)

    def keep(_round, _arrays):
        if not contract.task(1).current_round:
            contract.record_checkpoint(federation.server, task=1, round=0, accuracy=0.5)
        return {}

    clock.act = go_back
    federation.run(strategy_of(federation, clock, measure=keep), make_app(), rounds=3)
    assert [one.round for one in contract.aggregates(1)] == [1, 3]
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_without_a_window_nobody_waits(tmp_path):
    """Rounds follow each other as fast as they are published."""
    clock = Acting()
    federation = timed_federation(tmp_path, clock)
    federation.run(strategy_of(federation, clock, ledger_window=0), make_app(), rounds=2)
    assert not [seconds for seconds in clock.slept if seconds >= 1]


def test_a_window_that_nobody_could_wait_for_is_refused(tmp_path):
    """Its own before it is proposed, another owner's before a round begins."""
    federation = Federation(tmp_path)
    with pytest.raises(ConfigError, match=r"ledger_window: 1000000001 seconds are too long"):
        federation.pofl(ledger_window=10**9 + 1)
    contract, owner = TrainingTask(federation.ledger), federation.keys.account("eve")
    cid = federation.store.put(b"a model")
    contract.propose(
        owner, model_id="test", model_cid=cid, rounds=1, spec=cid, window=1 << 63, reward=0
    )
    contract.appoint_aggregator(owner, task=1, aggregator=federation.server.address)
    with pytest.raises(ConfigError, match=r"ledger_window: 9223372036854775808 seconds"):
        federation.run(federation.pofl(owner=owner.address), make_app(), rounds=1)


def test_a_miner_publishes_when_the_window_is_over(tmp_path):
    """All clients have submitted, or some: before the window's end no miner makes a publication."""
    clock = Clock(NOW)
    federation = timed_federation(tmp_path, clock)
    ledger, store = federation.ledger, federation.store
    propose(federation, rounds=2, window=WINDOW)
    aggregate = Aggregator(store, OWNER, clock)
    for number, answering in enumerate((CLIENTS, CLIENTS[:4])):
        submit(federation, answering, shift=number + 1)
        assert aggregate(ledger, pytest.fail) == []
        clock.now += WINDOW + 1
        assert aggregate(ledger, pytest.fail) == []  # this ledger's newest block is too old to say
        contract = TrainingTask(ledger)
        contract.confirm_history(CLIENTS[0], task=1)
        results = ledger.transact_all(aggregate(ledger, pytest.fail))
        assert all(isinstance(result, Receipt) for result in results)
        assert contract.task(1).current_round == number + 1
        ledger.transact_all(aggregate(ledger, pytest.fail))  # what the round owes
    report = audit_ledger(ledger, store)
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [5, 4]
