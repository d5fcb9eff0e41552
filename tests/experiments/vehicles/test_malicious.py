"""Vehicles that attack: what a client alone can do, and what it is refused."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.errors import ConfigError, RunError, UnknownNameError
from fedledger.experiments.adversary.attacks import ATTACKS, NO_ATTACK
from fedledger.experiments.adversary.poisoning import poisoned
from fedledger.experiments.run.engines.wire import set_id, task_identity
from fedledger.experiments.vehicles.app import VehicleApp
from fedledger.experiments.vehicles.malicious import malicious


def replies(between, *, trained):
    """Return the model that a client signs whose app trained `trained`, from zeros."""
    with task_identity(1):
        start = ArrayRecord({"w": Array(np.zeros(3, np.float32)), "n": Array(np.array([1]))})
        asked = Message(RecordDict({"arrays": start}), dst_node_id=7, message_type="train")
        set_id(asked, "1-1-update")
        arrays = ArrayRecord({"w": Array(trained), "n": Array(np.array([5]))})
        content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
        return between(asked, Message(content, reply_to=asked)).content["arrays"]


def test_a_model_attack_changes_what_is_signed():
    """Only floating-point values are crafted; the app itself is not asked."""
    between = malicious("sign_flip,scale=3", VehicleApp(ClientApp()), 1)
    found = replies(between, trained=np.array([1, -2, 0.5], np.float32))
    assert found["w"].numpy().tolist() == [-3, 6, -1.5]
    assert found["n"].numpy().tolist() == [5]


def test_nothing_is_changed_without_an_attack():
    """The name that stands for none."""
    between = malicious(NO_ATTACK, VehicleApp(ClientApp()), 1)
    assert replies(between, trained=np.ones(3, np.float32))["w"].numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("alie", "sign_flip or ipm,knowledge=partial make do without"),
        ("ipm", ": ipm,knowledge=partial makes do with its own"),
        ("alie,knowledge=partial", "no z is defined"),
        ("min_max,knowledge=partial", "of one model it makes that model"),
        ("gaussian", "of one model it makes that model"),
    ],
)
def test_an_attack_that_does_nothing_alone_is_refused_at_once(text, why):
    """Before anything is trained, and what is named in its place works."""
    with pytest.raises(ConfigError, match=why):
        malicious(text, VehicleApp(ClientApp()), 1)
    trained = np.array([1, -2, 0.5], np.float32)
    for other in ("sign_flip", "ipm,knowledge=partial"):
        found = replies(malicious(other, VehicleApp(ClientApp()), 1), trained=trained)
        assert found["w"].numpy().tolist() != trained.tolist(), other


@pytest.mark.parametrize("name", sorted(set(ATTACKS.names()) - {NO_ATTACK}))
def test_each_attack_works_or_is_refused(name):
    """None fails in a way that nobody foresaw: it attacks, or a sentence says what it lacks."""
    trained, said = np.array([1, -2, 0.5], np.float32), ""
    try:
        found = replies(malicious(name, VehicleApp(ClientApp()), 1), trained=trained)
    except (ConfigError, RunError) as error:
        said = str(error)
    known = (
        "a client alone does not see before it submits",
        "is not one for a client alone",
        "does not look at 'malicious'",
    )
    if said:
        assert any(one in said for one in known), said
    else:
        assert np.isfinite(found["w"].numpy()).all()
        assert found["w"].numpy().tolist() != trained.tolist()
        assert found["n"].numpy().tolist() == [5]


def test_an_unknown_attack_is_named():
    """And so is a parameter that it does not have."""
    with pytest.raises(UnknownNameError, match="sign_flop"):
        malicious("sign_flop", VehicleApp(ClientApp()), 1)
    with pytest.raises(UnknownNameError, match="strength"):
        malicious("sign_flip,strength=3", VehicleApp(ClientApp()), 1)
    with pytest.raises(ConfigError, match="KEY=VALUE wanted, not '3'"):
        malicious("sign_flip,3", VehicleApp(ClientApp()), 1)


def test_data_is_poisoned_by_the_app():
    """The app finds the attack in its node config; one that does not look is refused."""
    app = VehicleApp(ClientApp())
    between = malicious("label_flip", app, 1)
    trained = np.ones(3, np.float32)
    with pytest.raises(RunError, match="the app has not poisoned its data"):
        replies(between, trained=trained)
    images, labels = np.zeros((10, 1, 2, 2), np.float32), np.arange(10)
    _, flipped = poisoned(app.context(1, 7), images, labels, classes=10)
    assert flipped.tolist() != labels.tolist()
    assert replies(between, trained=trained)["w"].numpy().tolist() == [1, 1, 1]


def test_an_honest_client_trains_on_its_own_data():
    """Nothing in its node config says otherwise."""
    context = Context(1, 1, {}, RecordDict({"x": ConfigRecord({})}), {})
    images, labels = np.zeros((10, 1, 2, 2), np.float32), np.arange(10)
    found = poisoned(context, images, labels, classes=10)
    assert found[0] is images
    assert found[1] is labels
