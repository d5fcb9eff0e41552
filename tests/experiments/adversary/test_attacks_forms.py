"""What all model attacks share: names, parameters, knowledge, and the form of what they craft."""

import numpy as np
import pytest
from support.colluders import a_round, without_honest

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.adversary.attacks import ATTACKS, Knowledge, ModelAttack, load_attack
from fedledger.experiments.config.choices import Choice

MODEL_ATTACKS = [name for name in ATTACKS.names() if issubclass(ATTACKS.load(name), ModelAttack)]
OF_KNOWLEDGE = [name for name in MODEL_ATTACKS if name not in ("gaussian", "sign_flip")]


def attack(name, **parameters):
    return load_attack(Choice(name=name, parameters=parameters))


def test_every_attack_is_registered():
    """The nine attacks on models stand beside label flipping."""
    assert set(MODEL_ATTACKS) == {
        "alie",
        "bulyan_attack",
        "gaussian",
        "ipm",
        "krum_attack",
        "min_max",
        "min_sum",
        "sign_flip",
        "trimmed_mean_attack",
    }
    assert {"label_flip", "none"} <= set(ATTACKS.names())


@pytest.mark.parametrize("name", MODEL_ATTACKS)
def test_what_is_crafted_are_finite_float32_weights_for_each_malicious_client(name):
    """Any attack gives (c, d) finite float32 weights, for one malicious client as for many."""
    for malicious in (1, 2, 6):
        known = a_round(clients=14, malicious=malicious)
        crafted = attack(name).craft(known, np.random.default_rng(1))
        assert crafted.shape == (malicious, 20)
        assert crafted.dtype == np.float32
        assert np.isfinite(crafted).all()


@pytest.mark.parametrize("name", MODEL_ATTACKS)
def test_crafting_changes_nothing_it_was_given_and_repeats(name):
    """The same knowledge and generator give the same bits, and what was given stays as it is."""
    known = a_round(3)
    before = [known.model.copy(), known.own.copy(), known.honest.copy()]
    first = attack(name).craft(known, np.random.default_rng(5)).copy()
    again = attack(name).craft(known, np.random.default_rng(5))
    assert np.array_equal(first, again)
    for left, right in zip(before, [known.model, known.own, known.honest], strict=True):
        assert np.array_equal(left, right)


@pytest.mark.parametrize("name", OF_KNOWLEDGE)
def test_partial_knowledge_never_looks_at_honest_models(name):
    """With partial knowledge an attack crafts the same whether the honest models are there or not.

    With full knowledge they matter, and it says so and refuses to do without.
    """
    known = a_round(4)
    partial = attack(name, knowledge="partial")
    assert not partial.needs_honest
    seen = partial.craft(known, np.random.default_rng(2))
    unseen = partial.craft(without_honest(known), np.random.default_rng(2))
    assert np.array_equal(seen, unseen)
    full = attack(name)
    assert full.needs_honest
    assert not np.array_equal(full.craft(known, np.random.default_rng(2)), seen)
    with pytest.raises(ConfigError, match="honest clients' models"):
        full.craft(without_honest(known), np.random.default_rng(2))


@pytest.mark.parametrize("name", MODEL_ATTACKS)
def test_a_round_without_movement_is_survived(name):
    """When every client returns the global model unchanged, what is crafted is still finite."""
    model = np.linspace(-1, 1, 20, dtype=np.float32)
    rows = np.tile(model, (13, 1))
    crafted = attack(name).craft(Knowledge(model, rows[:3], rows[3:], 13), np.random.default_rng(0))
    assert np.isfinite(crafted).all()


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("sign_flip", {"scale": 0.0}, "scale must be positive"),
        ("sign_flip", {"scale": float("nan")}, "scale must be positive"),
        ("ipm", {"epsilon": -1.0}, "epsilon must be positive"),
        ("alie", {"z": float("inf")}, "z must be finite"),
        ("krum_attack", {"epsilon": -0.1}, "epsilon must not be negative"),
        ("krum_attack", {"threshold": 0.0}, "threshold must be positive"),
        ("krum_attack", {"direction": "median"}, "direction"),
        ("bulyan_attack", {"epsilon": -0.1}, "epsilon must not be negative"),
        ("trimmed_mean_attack", {"b": 1.0}, "b must be above 1"),
        ("trimmed_mean_attack", {"direction": "up"}, "direction"),
        ("min_max", {"perturbation": "cos"}, "perturbation"),
        ("min_sum", {"perturbation": "cos"}, "perturbation"),
        ("min_sum", {"knowledge": "none"}, "knowledge"),
        ("ipm", {"epsilon": "large"}, "epsilon"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(name, parameters, text):
    """Each parameter out of range or of the wrong type is named."""
    with pytest.raises(ConfigError, match=text):
        attack(name, **parameters)


def test_direct_use_is_checked_as_well():
    """An attack made without the registry refuses the same values."""
    for name, wrong in [
        ("krum_attack", {"direction": "up"}),
        ("trimmed_mean_attack", {"direction": "up"}),
        ("min_max", {"perturbation": "up"}),
        ("alie", {"knowledge": "all"}),
    ]:
        with pytest.raises(ConfigError, match=r"up|all"):
            ATTACKS.load(name)(**wrong)


def test_an_unknown_attack_or_parameter_is_named_with_the_nearest():
    """A typing error is answered with what was meant."""
    with pytest.raises(UnknownNameError, match="did you mean 'krum_attack'"):
        attack("krum_atack")
    with pytest.raises(UnknownNameError, match="did you mean 'epsilon'"):
        attack("krum_attack", epsilom=0.1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"own": np.zeros((3, 19), np.float32)}, "own.*20 parameters"),
        ({"honest": np.zeros((10, 20))}, "honest.*float64"),
        ({"own": np.zeros((0, 20), np.float32)}, "own: there is none"),
        ({"honest": np.zeros((9, 20), np.float32)}, "3 malicious and 9 honest models of 13"),
        ({"clients": 2, "honest": None}, "3 of 2 clients"),
    ],
)
def test_knowledge_that_does_not_fit_together_is_refused(change, text):
    """Shapes, types and counts are checked before any attack sees them."""
    known = a_round()
    fields = {"model": known.model, "own": known.own, "honest": known.honest, "clients": 13}
    with pytest.raises(ConfigError, match=text):
        Knowledge(**(fields | change))
