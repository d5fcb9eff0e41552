"""Min-Max and Min-Sum, against the paper's search in plain Python."""

import math

import numpy as np
import pytest
from support.colluders import a_round, columns, plain

from fedledger.experiments.adversary.attacks import Knowledge
from fedledger.experiments.adversary.attacks.min_max import MinMax
from fedledger.experiments.adversary.attacks.min_sum import MinSum

RNG = np.random.default_rng
ATTACKS = {"min_max": MinMax, "min_sum": MinSum}
PERTURBATIONS = ("std", "unit", "sign")


def updates(known, knowledge):
    rows = known.honest if knowledge == "full" else known.own
    return [
        [w - w_re for w, w_re in zip(row, known.model.tolist(), strict=True)] for row in plain(rows)
    ]


def squared(left, right):
    return sum((a - b) ** 2 for a, b in zip(left, right, strict=True))


def perturbation(benign, kind):
    mean = [sum(values) / len(values) for values in columns(benign)]
    if kind == "unit":
        length = math.sqrt(sum(value**2 for value in mean))
        return mean, [-value / length for value in mean]
    if kind == "sign":
        return mean, [-math.copysign(1, value) for value in mean]
    return mean, [
        -math.sqrt(sum((value - mu) ** 2 for value in values) / len(values))
        for values, mu in zip(columns(benign), mean, strict=True)
    ]


def within(name, candidate, benign):
    """Return the paper's bound for a candidate, as a difference that must not be positive."""
    if name == "min_max":
        reach = max(math.sqrt(squared(candidate, row)) for row in benign)
        return reach - max(math.sqrt(squared(a, b)) for a in benign for b in benign)
    total = sum(squared(candidate, row) for row in benign)
    return total - max(sum(squared(a, b) for b in benign) for a in benign)


def searched(name, benign, kind):
    """Return the malicious update as the paper's algorithm finds it: double steps, then halve."""
    mean, p = perturbation(benign, kind)

    def moved(gamma):
        return [mu + gamma * step for mu, step in zip(mean, p, strict=True)]

    gamma, step, best = 50.0, 50.0, 0.0
    while step > 1e-12:
        if within(name, moved(gamma), benign) <= 0:
            best = gamma
            gamma += step / 2
        else:
            gamma -= step / 2
        step /= 2
    return moved(best)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("kind", PERTURBATIONS)
@pytest.mark.parametrize("knowledge", ["full", "partial"])
def test_the_root_is_what_the_papers_search_finds(name, kind, knowledge):
    """The closed form agrees with the search over gamma, for each perturbation and knowledge."""
    for seed in range(3):
        known = a_round(seed, malicious=4)
        crafted = ATTACKS[name](knowledge=knowledge, perturbation=kind).craft(known, RNG(0))
        expected = known.model + searched(name, updates(known, knowledge), kind)
        assert np.allclose(crafted, [expected] * 4, atol=2e-6)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_the_step_is_inside_the_bound_and_no_longer_one_is(name, kind):
    """The bound holds to a relative 10⁻⁵, and a step longer by 10⁻³ breaks it."""
    known = a_round(9, clients=30, malicious=9, size=300)
    benign = updates(known, "full")
    mean, _ = perturbation(benign, kind)
    crafted = ATTACKS[name](perturbation=kind).craft(known, RNG(0))
    update = [w - w_re for w, w_re in zip(plain(crafted)[0], known.model.tolist(), strict=True)]
    longer = [mu + 1.001 * (value - mu) for mu, value in zip(mean, update, strict=True)]
    scale = max(squared(a, b) for a in benign for b in benign)
    assert within(name, update, benign) <= 1e-5 * scale
    assert within(name, longer, benign) > 0


@pytest.mark.parametrize("name", ATTACKS)
def test_a_large_common_part_of_the_weights_changes_nothing(name):
    """The attack sees differences: adding a model of size 100 to everything moves the result by it.

    Updates are 10⁻² and weights 10², so what remains is the rounding of the weights themselves.
    """
    near = a_round(10, spread=0.01)
    shift = np.float32(100)
    far = Knowledge(near.model + shift, near.own + shift, near.honest + shift, near.clients)
    rounded = Knowledge(far.model - shift, far.own - shift, far.honest - shift, far.clients)
    crafted = ATTACKS[name]().craft(far, RNG(0)) - shift
    assert np.allclose(crafted, ATTACKS[name]().craft(rounded, RNG(0)), atol=2e-5)


def test_one_benign_model_leaves_no_room():
    """With a single benign model to hide behind the upload is that model."""
    known = a_round(11, clients=3, malicious=2)
    assert known.honest is not None
    for attack in (MinMax(), MinSum(), MinMax(perturbation="sign")):
        assert np.allclose(attack.craft(known, RNG(0)), known.honest[0], atol=1e-6)
