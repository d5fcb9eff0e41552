"""Checkpoints that a run records by itself, and members that it appoints."""

import itertools

import pytest
from flwr.app import MetricRecord
from support.federation import make_app

from fedledger.errors import ConfigError, LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.server import checkpoints as module


def kept(federation):
    return [
        (one.round, one.accuracy, one.by) for one in TrainingTask(federation.ledger).checkpoints(1)
    ]


def measuring(*accuracies):
    return lambda number, _: {"accuracy": accuracies[number - 1], "loss": 1.0}


def run(federation, rounds=4, *, evaluate=None, app=None, **options):
    strategy = federation.pofl(**options)
    federation.run(strategy, app or make_app(), rounds=rounds, evaluate_fn=evaluate)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_the_best_models_by_the_strategys_measure(federation):
    """Rounds 1 and 3 are better than all before; 2 and 4 are not, and an equal one is not."""
    run(federation, measure=measuring(0.5, 0.4, 0.7, 0.7), checkpoints="best")
    me = federation.server.address
    assert kept(federation) == [(1, 0.5, me), (3, 0.7, me)]


def test_the_best_models_by_the_runs_evaluation(federation):
    """Where the strategy measures nothing, `evaluate_fn` says it; round 0 is no round."""

    def evaluate(number, _):
        return MetricRecord({"accuracy": [0.9, 0.5, 0.6, 0.55, 0.8][number]})

    run(federation, evaluate=evaluate, checkpoints="best")
    assert [(number, accuracy) for number, accuracy, _ in kept(federation)] == [
        (1, 0.5),
        (2, 0.6),
        (4, 0.8),
    ]


def test_every_nth_model(federation):
    """With 2, those of rounds 2 and 4; nobody measured, so none has an accuracy."""
    run(federation, checkpoints=2)
    assert [(number, accuracy) for number, accuracy, _ in kept(federation)] == [(2, 0), (4, 0)]


def test_never_is_the_default(federation):
    """A run without the option records nothing, and appoints nobody."""
    run(federation, rounds=1, measure=measuring(0.5))
    assert kept(federation) == []
    assert TrainingTask(federation.ledger).roles(1).members == 0


def test_a_measure_that_is_no_fraction_keeps_nothing(federation):
    """One above 1, none, and one that raises: the run goes on, and round 4 is the first kept."""
    values = iter([{"accuracy": 1.5}, {"loss": 0.1}, None, {"accuracy": 0.3}])
    run(federation, measure=lambda *_: next(values), checkpoints="best")
    assert [number for number, *_ in kept(federation)] == [4]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("judge", ["measure", "evaluation"])
def test_a_killed_run_records_what_it_owes(federation, monkeypatch, judge):
    """Killed between a round's publication and its checkpoint: the next run records it first."""
    scores = (0.5, 0.8, 0.7)
    measure = measuring(*scores) if judge == "measure" else None

    def evaluate(number, _):
        return MetricRecord({"accuracy": scores[number - 1] if number else 0.0})

    options = {"measure": measure, "checkpoints": "best"}
    whole, calls = module.Keeper._judge, itertools.count(1)

    def dies(self, *arguments):
        if next(calls) == 2:
            raise Killed
        whole(self, *arguments)

    monkeypatch.setattr(module.Keeper, "_judge", dies)
    with pytest.raises(Killed):
        run(federation, rounds=3, evaluate=evaluate, **options)
    assert [number for number, *_ in kept(federation)] == [1]
    federation.reopen()
    run(federation, rounds=3, evaluate=evaluate, **options)
    assert [(number, accuracy) for number, accuracy, _ in kept(federation)] == [(1, 0.5), (2, 0.8)]


def test_a_model_that_is_not_the_newest_any_more_is_left_out(federation):
    """Somebody rolls back between publication and checkpoint: that is said, and the run goes on."""
    contract = TrainingTask(federation.ledger)

    def evaluate(number, _):
        if number == 0:
            contract.record_checkpoint(federation.server, task=1, round=0, accuracy=0)
        if number == 2:
            contract.rollback(federation.server, task=1, round=3, to_round=0)
        return MetricRecord({"accuracy": 0.2 * number})

    run(federation, evaluate=evaluate, checkpoints=1)
    assert [number for number, *_ in kept(federation)] == [0, 1, 4]


def test_the_owner_appoints_the_clients(federation):
    """`members="clients"`: all of them, right after the proposal, before the first round."""
    run(federation, rounds=1, members="clients")
    contract = TrainingTask(federation.ledger)
    [change] = contract.member_changes(1)
    assert list(change.members) == federation.clients
    assert change.block < contract.aggregates(1)[0].block


def test_a_resumed_run_appoints_nobody_again(federation):
    """Whom the owner revoked stays revoked; whom a killed run did not reach is appointed."""
    contract, others = TrainingTask(federation.ledger), [Account.create() for _ in range(3)]
    addresses = [one.address for one in others]

    def stop(number, _):
        if number == 1:
            contract.revoke_members(federation.server, task=1, members=addresses[:1])
            raise Killed

    with pytest.raises(Killed):
        run(federation, rounds=2, evaluate=stop, members=addresses[:2])
    run(federation, rounds=2, members=addresses)
    assert [contract.is_member(1, one) for one in addresses] == [False, True, True]


def test_options_that_cannot_be_are_refused_before_a_task_is_proposed(federation):
    """No such checkpoints, nobody to measure, odd members, members of somebody else's task."""
    stranger = Account.create().address
    for options, says in (
        ({"checkpoints": "sometimes"}, "neither 'never' nor 'best'"),
        ({"checkpoints": 0}, "at least 1"),
        ({"checkpoints": True}, "at least 1"),
        ({"members": ["0x12"]}, "members: "),
        ({"members": [stranger, stranger]}, "members: "),
        ({"members": "clients", "owner": stranger}, "appoints them"),
    ):
        with pytest.raises(ConfigError, match=says):
            federation.pofl(**options)
    with pytest.raises(ConfigError, match="nobody says how good a model is"):
        federation.run(federation.pofl(checkpoints="best"), make_app(), rounds=1)
    assert TrainingTask(federation.ledger).count() == 0


def test_a_ledger_that_is_gone_ends_the_run(federation, monkeypatch):
    """A checkpoint that cannot be recorded since nothing can be is the run's failure."""

    def gone(*_, **__):
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(TrainingTask, "record_checkpoint", gone)
    with pytest.raises(LedgerUnavailable):
        federation.run(federation.pofl(checkpoints=1), make_app(), rounds=1)
