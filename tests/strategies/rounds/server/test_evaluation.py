"""Evaluation beside a run on a ledger: whatever happens in it, the run goes on to its end."""

import math

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower
from support.federation import initial_model, make_app

from fedledger.clients import signing_mod
from fedledger.strategies import audit_ledger


def app_that_answers(answer):
    """Return an app whose evaluation of partition p is `answer(p)`: metrics, or it raises."""
    app = ClientApp(mods=[signing_mod])
    app.train()(make_app(signed=False))

    @app.evaluate()
    def evaluate(message, context):
        metrics = answer(int(context.node_config["partition-id"]))
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    return app


def ends(federation, strategy, app, rounds=2, **start):
    """Run, check that every round is there, and return Flower's result."""
    result = federation.run(strategy, app, rounds=rounds, **start)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.record.kept for verdict in report.rounds] == [None] * rounds
    assert not np.array_equal(result.arrays["layer.bias"].numpy(), initial_model()["layer.bias"])
    return result


@pytest.mark.parametrize("kind", ["anchored", "pofl"])
def test_nobody_has_validation_data(federation, kind):
    """All report 0 examples: there is no average, and no round is lost."""
    app = app_that_answers(lambda _: {"num-examples": 0, "loss": 0.0})
    strategy = getattr(federation, kind)()
    strategy.inner.fraction_evaluate = 1.0
    result = ends(federation, strategy, app)
    assert result.evaluate_metrics_clientapp == {}


def test_who_has_none_does_not_spoil_the_average_of_the_others(federation):
    """Two of seven: their NaN has no weight."""

    def answer(p):
        return {"num-examples": 0, "loss": math.nan} if p < 2 else {"num-examples": 4, "loss": 2.0}

    result = ends(federation, federation.anchored(flower.FedAvg()), app_that_answers(answer))
    assert {n: dict(m) for n, m in result.evaluate_metrics_clientapp.items()} == {
        1: {"loss": 2.0},
        2: {"loss": 2.0},
    }


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_one_loss_that_is_not_finite_is_not_everybodys(federation, odd, caplog):
    """The others' average stands, and the log says whose was left out."""

    def answer(p):
        return {"num-examples": 4, "loss": odd if p == 1 else 2.0, "more": [1.0]}

    result = ends(federation, federation.anchored(flower.FedAvg()), app_that_answers(answer), 1)
    assert result.evaluate_metrics_clientapp[1]["loss"] == pytest.approx(2.0)
    assert "is left out: its 'loss' is not finite" in caplog.text


STRANGE = {
    "no examples": {"loss": 1.0},
    "nothing": {},
    "negative": {"num-examples": -3, "loss": 1.0},
    "all cancel": {"num-examples": -0.0, "loss": 1.0},
    "a list": {"num-examples": [1, 2], "loss": 1.0},
    "not a number": {"num-examples": math.nan, "loss": 1.0},
    "infinite": {"num-examples": math.inf, "loss": math.inf},
    "huge": {"num-examples": 2**63 - 1, "loss": 1e308},
    "tiny": {"num-examples": 5e-324, "loss": 1e308},
    "lists": {"num-examples": 1, "loss": [1.0, 2.0], "nothing": []},
}


@pytest.mark.parametrize("metrics", STRANGE.values(), ids=STRANGE)
def test_strange_metrics(federation, metrics):
    """Of everybody, and of one among six that say what is usual."""
    ends(federation, federation.anchored(flower.FedAvg()), app_that_answers(lambda _: metrics), 1)


@pytest.mark.parametrize("metrics", STRANGE.values(), ids=STRANGE)
def test_strange_metrics_of_one_client(federation, metrics):
    """Six others say what is usual."""
    usual = {"num-examples": 1, "loss": 1.0}
    app = app_that_answers(lambda p: metrics if p == 3 else usual)
    result = ends(federation, federation.anchored(flower.FedAvg()), app, 1)
    assert result.evaluate_metrics_clientapp[1]["loss"] > 0


def test_clients_that_raise(federation):
    """One of them, then all of them."""

    def answer(p):
        raise RuntimeError(f"no data at {p}: \udcff")

    ends(federation, federation.anchored(flower.FedAvg()), app_that_answers(answer))


def test_the_servers_own_evaluation_raises(federation):
    """Before the first round and after each: nothing was measured, everything was trained."""
    seen = []

    def evaluate(server_round, arrays):
        seen.append(server_round)
        return 1 / 0

    result = ends(federation, federation.anchored(), make_app(), evaluate_fn=evaluate)
    assert seen == [0, 1, 2]
    assert result.evaluate_metrics_serverapp == {}


@pytest.mark.parametrize("found", [{"loss": 1.0}, "fine", 3, [], np.inf], ids=str)
def test_the_servers_evaluation_returns_no_metrics(federation, found):
    """Flower's summary at the end would stumble over it."""
    result = ends(
        federation, federation.anchored(), make_app(), 1, evaluate_fn=lambda _n, _a: found
    )
    assert result.evaluate_metrics_serverapp == {}


def test_metrics_of_the_server_are_kept(federation):
    """The usual case, and that of a round without."""

    def evaluate(server_round, arrays):
        return MetricRecord({"loss": float(server_round)}) if server_round != 1 else None

    result = ends(federation, federation.anchored(), make_app(), evaluate_fn=evaluate)
    assert set(result.evaluate_metrics_serverapp) == {0, 2}


def test_a_strategy_that_fails_to_evaluate(federation):
    """In choosing nodes, in averaging, by returning something else."""

    class Clumsy(flower.FedAvg):
        def configure_evaluate(self, server_round, arrays, config, grid):
            if server_round == 1:
                raise ValueError("no nodes")
            return super().configure_evaluate(server_round, arrays, config, grid)

        def aggregate_evaluate(self, server_round, replies):
            if server_round == 2:
                raise KeyError("loss")
            return {"replies": len(replies)}

    app = app_that_answers(lambda _: {"num-examples": 1, "loss": 1.0})
    result = ends(federation, federation.anchored(Clumsy()), app, 3)
    assert result.evaluate_metrics_clientapp == {}


def test_the_average_of_training_metrics_fails(federation):
    """PoFL takes it from the strategy inside; it is no part of the round."""
    strategy = federation.pofl()

    def average(contents, weight):
        raise ZeroDivisionError

    strategy.inner.train_metrics_aggr_fn = average
    result = ends(federation, strategy, make_app())
    assert result.train_metrics_clientapp == {}


def test_messages_of_evaluation_may_come_from_a_generator(federation):
    """A strategy may yield them one by one."""

    class Lazy(flower.FedAvg):
        def configure_evaluate(self, server_round, arrays, config, grid):
            yield from super().configure_evaluate(server_round, arrays, config, grid)

    app = app_that_answers(lambda _: {"num-examples": 1, "loss": 1.0})
    result = ends(
        federation, federation.anchored(Lazy()), app, 1, evaluate_config=ConfigRecord({"a": 1})
    )
    assert dict(result.evaluate_metrics_clientapp[1]) == {"loss": pytest.approx(1.0)}
