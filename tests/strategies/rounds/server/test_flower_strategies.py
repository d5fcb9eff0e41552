"""Every strategy of Flower's over `Anchored`: run, counted, audited, equal to plain Flower."""

import inspect

import numpy as np
import pytest
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import adaptiveclipping_mod, fixedclipping_mod
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy
from support.federation import arrays_of, initial_model, make_app

from fedledger.arrays import to_record
from fedledger.clients import signing_mod
from fedledger.errors import ConfigError
from fedledger.experiments.run.engines import get_engine
from fedledger.strategies import audit_ledger

FIXED, ADAPTIVE = {"clipping_norm": 1.0}, {"initial_clipping_norm": 1.0}
PLAIN = {
    "Bulyan": {"num_malicious_nodes": 1},
    "FedAdagrad": {},
    "FedAdam": {},
    "FedAvg": {},
    "FedAvgM": {"server_momentum": 0.9},
    "FedMedian": {},
    "FedProx": {"proximal_mu": 0.1},
    "FedTrimmedAvg": {"beta": 0.2},
    "FedYogi": {},
    "Krum": {"num_malicious_nodes": 1},
    "MultiKrum": {"num_malicious_nodes": 1, "num_nodes_to_select": 3},
    "QFedAvg": {"client_learning_rate": 0.1, "train_loss_key": "loss"},
}
PRIVATE = {
    "DifferentialPrivacyServerSideFixedClipping": (None, FIXED),
    "DifferentialPrivacyServerSideAdaptiveClipping": (None, ADAPTIVE),
    "DifferentialPrivacyClientSideFixedClipping": (fixedclipping_mod, FIXED),
    "DifferentialPrivacyClientSideAdaptiveClipping": (adaptiveclipping_mod, ADAPTIVE),
}
REFUSED = ("FedXgbBagging", "FedXgbCyclic")


def made(name):
    """Return a new strategy of a name, and the mod that its clients need."""
    if name in PLAIN:
        return getattr(flower, name)(fraction_evaluate=0.0, **PLAIN[name]), None
    mod, options = PRIVATE[name]
    inner = flower.FedAvg(fraction_evaluate=0.0)
    common = {"noise_multiplier": 0.1, "num_sampled_clients": 7}
    return getattr(flower, name)(inner, **common, **options), mod


def app_with(mod, *, signed):
    app = ClientApp(mods=[*([signing_mod] if signed else []), *([mod] if mod else [])])
    app.train()(make_app(signed=False))
    return app


def floats():
    """Without a counter: Flower's averages of whole numbers are no whole numbers."""
    return {k: v for k, v in initial_model().items() if v.dtype.kind == "f"}


def test_no_strategy_of_flower_is_missing_here():
    """What a new Flower brings is run here, or refused by name."""
    there = {
        name
        for name, cls in vars(flower).items()
        if inspect.isclass(cls) and issubclass(cls, Strategy) and cls is not Strategy
    }
    assert there == {*PLAIN, *PRIVATE, *REFUSED}


@pytest.mark.parametrize("name", [*PLAIN, *PRIVATE])
def test_it_ends_with_the_model_of_plain_flower(federation, name):
    """Two rounds, every update counted, passed; without the ledger the same model comes out."""
    strategy, mod = made(name)
    np.random.seed(3)  # noqa: NPY002 - where Flower's noise comes from
    result = federation.run(
        federation.anchored(strategy), app_with(mod, signed=True), rounds=2, model=floats()
    )
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [(verdict.accepted, verdict.dropped) for verdict in report.rounds] == [(7, 0)] * 2
    assert {verdict.record.kept for verdict in report.rounds} == {None}

    plain, mod = made(name)
    np.random.seed(3)  # noqa: NPY002 - as above
    alone = get_engine("inprocess").run(
        app_with(mod, signed=False),
        7,
        lambda grid: plain.start(grid, to_record(floats()), num_rounds=2),
    )
    ours, theirs = arrays_of(result.arrays), arrays_of(alone.arrays)
    assert list(ours) == list(theirs)
    for key, values in ours.items():
        # Some come back as float64; a task's model keeps its float32 from round to round.
        closeness = 0 if theirs[key].dtype == values.dtype else 1e-6
        np.testing.assert_allclose(values, theirs[key], rtol=closeness, atol=closeness, err_msg=key)


def test_a_strategy_for_trees_is_refused_before_anything_happens(federation):
    """By its name, inside a wrapper or derived from: no task, no training."""

    class Mine(flower.FedXgbBagging):
        """A user's own."""

    wrapped = flower.DifferentialPrivacyServerSideFixedClipping(flower.FedXgbCyclic(), 1, 1, 7)
    for strategy in (flower.FedXgbBagging(), flower.FedXgbCyclic(), Mine(), wrapped):
        inner = getattr(strategy, "strategy", strategy)
        with pytest.raises(ConfigError, match=f"{type(inner).__name__} cannot be anchored"):
            federation.anchored(strategy)


def test_a_model_without_values_is_refused(federation):
    """Whatever grows from nothing, by whichever strategy: what would it be aggregated into?"""
    empty = {"trees": np.zeros(0, np.uint8)}
    with pytest.raises(ConfigError, match="the initial model holds no values"):
        federation.run(federation.anchored(), make_app(), model=empty)
    assert not audit_ledger(federation.ledger, federation.store).rounds


def test_a_strategy_weighs_by_its_own_metric_in_a_wrapper_too(federation):
    """Clients report 'rows' alone, and the wrapper has no such attribute."""
    app = ClientApp(mods=[signing_mod])

    @app.train()
    def train(message, context):
        own = 1 + int(context.node_config["partition-id"])
        arrays = {key: np.asarray(a.numpy() + own) for key, a in message.content["arrays"].items()}
        metrics = MetricRecord({"rows": 3})
        return Message(
            RecordDict({"arrays": to_record(arrays), "metrics": metrics}), reply_to=message
        )

    inner = flower.FedAvg(fraction_evaluate=0.0, weighted_by_key="rows")
    wrapper = flower.DifferentialPrivacyServerSideFixedClipping(inner, 0.1, 1.0, 7)
    federation.run(federation.anchored(wrapper), app, rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [7]


def test_a_strategy_that_raises_keeps_the_model_and_the_run(federation):
    """One client that sends back what it got: Flower's clipping divides by its norm, zero."""

    def same(reply, message, context):
        reply.content["arrays"] = message.content["arrays"]
        return reply

    wrapper = flower.DifferentialPrivacyServerSideFixedClipping(
        flower.FedAvg(fraction_evaluate=0.0), 0.1, 1.0, 7
    )
    app = make_app(before_signing={3: same})
    federation.run(federation.anchored(wrapper), app, rounds=2)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert ["ZeroDivisionError" in str(one.record.kept) for one in report.rounds] == [True] * 2


def test_adapters_alone_are_a_model_like_any_other(federation):
    """Who trains a few of many arrays makes those the model; nothing else is ever sent."""
    adapters = {"lora.A": np.ones((2, 8), np.float32), "lora.B": np.zeros((8, 2), np.float32)}
    result = federation.run(federation.anchored(), make_app(), rounds=2, model=adapters)
    assert isinstance(result.arrays, ArrayRecord)
    assert not np.array_equal(result.arrays["lora.B"].numpy(), adapters["lora.B"])
    assert audit_ledger(federation.ledger, federation.store).passed
