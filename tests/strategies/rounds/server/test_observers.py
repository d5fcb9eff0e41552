"""Who listens to a run, and what is measured in it."""

import threading

import pytest
from support.federation import make_app

from fedledger.effects import Effects
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.server import observers


def test_an_observer_can_neither_fail_nor_change_a_run(federation):
    """One raises, one changes all that it gets; the next one is told what was published."""
    told = []

    def failing(evidence):
        raise RuntimeError("the dashboard is down")

    def changing(evidence):
        evidence.contributors.clear()
        evidence.state["through"] = 7
        evidence.phases[0].accepted.clear()

    watching = (failing, changing, told.append)
    federation.run(federation.pofl(observers=watching), make_app(), rounds=3)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [evidence.round for evidence in told] == [1, 2, 3]
    assert [len(one.phases[0].accepted) for one in told] == [7, 7, 7]
    assert [tuple(one.contributors) for one in told] == [
        verdict.record.contributors for verdict in report.rounds
    ]
    assert [one.state["through"] for one in told] == [1, 2, 3]


def test_an_observer_that_never_returns_delays_nothing(federation, monkeypatch):
    """It is left behind, and the rounds that it misses are counted."""
    monkeypatch.setattr(observers, "_PATIENCE", 0.1)
    free = threading.Event()
    strategy = federation.pofl()
    never = [lambda _: free.wait(60)]
    strategy.observers = observers.Observers(never, Effects.real().work, waiting=1)
    federation.run(strategy, make_app(), rounds=4)
    assert strategy.observers.missed >= 1
    assert audit_ledger(federation.ledger, federation.store).passed
    free.set()


@pytest.mark.parametrize(
    "found",
    [None, 3, {"loss": "low"}, {"loss": 1e305}, {"loss": 10**400}, {"x" * 500: 1.0}, {1: 2.0}],
    ids=lambda found: str(found)[:20],
)
def test_what_is_no_measurement_is_named(federation, found, caplog):
    """A metric is a name and a number that fits into the evidence; the round ends without it."""
    federation.run(federation.pofl(measure=lambda _r, _a: found), make_app(), rounds=1)
    assert "measure of round 1 is left out" in caplog.text
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.record.measured for verdict in report.rounds] == [()]


def test_what_is_not_finite_is_not_measured(federation):
    """A loss that ran away is left out; the others are in the record."""
    values = {"accuracy": 0.5, "loss": float("inf"), "other": float("nan")}
    federation.run(federation.pofl(measure=lambda _r, _a: values), make_app(), rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    [record] = [verdict.record for verdict in report.rounds]
    assert [(one.metric, one.ppm) for one in record.measured] == [("accuracy", 500_000)]
    assert record.value("loss") is None
