"""Models that hold infinities: what may not be finite is what was not in the initial model."""

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower

from fedledger.arrays import to_record
from fedledger.clients import signing_mod
from fedledger.strategies import audit_ledger

F32 = np.float32


def observed():
    """A layer, and buffers as quantisation's observers have them before they saw data."""
    return {
        "w": np.zeros((2, 3), F32),
        "mask": np.triu(np.full((3, 3), -np.inf, F32), 1),
        "min": np.array(np.inf, F32),
        "max": np.array(-np.inf, F32),
        "scale": np.array([np.nan, 1.0], F32),
        "steps": np.array(0, np.int64),
    }


def app_of(change):
    """Return an app whose clients train `w`, and leave the rest as `change(partition)` says."""
    app = ClientApp(mods=[signing_mod])

    @app.train()
    def train(message, context):
        p = int(context.node_config["partition-id"])
        arrays = {key: array.numpy() for key, array in message.content["arrays"].items()}
        arrays["w"] = np.asarray(arrays["w"] + F32(0.5 + p / 100))
        arrays["steps"] = np.asarray(arrays["steps"] + 1)
        arrays |= change(p)
        metrics = MetricRecord({"num-examples": 10})
        return Message(
            RecordDict({"arrays": to_record(arrays), "metrics": metrics}), reply_to=message
        )

    @app.evaluate()
    def evaluate(message, context):
        arrays = message.content["arrays"]
        loss = float(np.mean((arrays["w"].numpy() - 1) ** 2))
        metrics = MetricRecord({"num-examples": 10, "loss": loss})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def made(federation, kind):
    if kind == "anchored":
        return federation.anchored()
    if kind == "averaged":
        return federation.anchored(flower.FedAvgM(fraction_evaluate=0.0, server_momentum=0.9))
    if kind == "elected":
        return federation.pofl(selection="election")
    return federation.pofl(rules=(kind,))


KINDS = ["anchored", "krum", "trimmed_mean", "median", "elected"]


def run(federation, kind, change, rounds=2, accepted=7):
    """Run; every round counts so many updates and is proved or attested; return the model."""
    result = federation.run(made(federation, kind), app_of(change), rounds=rounds, model=observed())
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.record.kept for verdict in report.rounds] == [None] * rounds
    assert [verdict.accepted for verdict in report.rounds] == [accepted] * rounds
    model = {key: array.numpy() for key, array in result.arrays.items()}
    assert (model["w"] > 0.4).all()
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_infinities_that_stay_are_no_obstacle(federation, kind):
    """Clients return the buffers as they got them: the model trains, and they stay."""
    model = run(federation, kind, lambda _: {})
    for key in ("mask", "min", "max", "scale"):
        np.testing.assert_array_equal(model[key], observed()[key])


@pytest.mark.parametrize("kind", KINDS)
def test_observers_that_see_data_become_finite(federation, kind):
    """Each client has its own range; a minimum of zero, as after a ReLU, is one."""
    model = run(
        federation, kind, lambda p: {"min": np.array(0, F32), "max": np.array(5 + p, F32)} | SCALES
    )
    assert 0 <= model["min"] < 1e-30
    assert 5 <= model["max"] <= 11
    assert np.isfinite(model["scale"]).all()
    np.testing.assert_array_equal(model["mask"], observed()["mask"])


SCALES = {"scale": np.array([0.5, 1.0], F32)}


@pytest.mark.parametrize("kind", ["anchored", "median"])
def test_some_clients_see_no_data(federation, kind):
    """Two of seven still have infinities in the first round, then what the others saw."""
    seen = {}

    def change(p):
        seen[p] = seen.get(p, 0) + 1
        return {} if p < 2 else {"min": np.array(-1, F32), "max": np.array(4, F32)}

    run(federation, kind, change)


@pytest.mark.parametrize("kind", ["anchored", "trimmed_mean", "elected"])
@pytest.mark.parametrize(
    "bad",
    [
        {"w": np.full((2, 3), np.nan, F32)},
        {"mask": np.full((3, 3), np.inf, F32)},
        {"scale": np.array([np.nan, np.inf], F32)},
    ],
    ids=["trained", "other coordinates of the mask", "the other scale"],
)
def test_where_the_initial_model_is_finite_replies_have_to_be(federation, kind, bad):
    """A hostile client's NaN is dropped with its reason, in the same arrays too."""
    run(federation, kind, lambda p: bad if p == 3 else {}, accepted=6)
    report = audit_ledger(federation.ledger, federation.store)
    assert [one.reason for one in report.rounds[0].record.phases[0].dropped] == ["not-finite"]


def test_momentum_of_infinities_is_no_model_that_is_worse(federation):
    """Infinity minus infinity is NaN: there nothing has to be finite, and `w` trains."""
    with np.errstate(invalid="ignore"):
        model = run(federation, "averaged", lambda _: {})
    assert np.isfinite(model["w"]).all()
    assert not np.isfinite(model["max"])
