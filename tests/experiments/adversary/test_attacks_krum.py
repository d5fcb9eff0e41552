"""The attacks on Krum and Bulyan, against the paper's search in plain Python."""

import math

import numpy as np
import pytest
from support.colluders import a_round, columns, plain

from fedledger.errors import TooFewUpdates
from fedledger.experiments.adversary.attacks import Knowledge
from fedledger.experiments.adversary.attacks.bulyan_attack import BulyanAttack
from fedledger.experiments.adversary.attacks.krum_attack import KrumAttack
from fedledger.strategies.aggregation import bulyan, krum

RNG = np.random.default_rng


def squared(left, right):
    return sum((a - b) ** 2 for a, b in zip(left, right, strict=True))


def scores(models, tolerated):
    """Return Krum's score of each model: its nearest m - f - 2 others, at least one."""
    found = []
    for i, model in enumerate(models):
        others = sorted(squared(model, other) for j, other in enumerate(models) if j != i)
        found.append(sum(others[: max(1, len(models) - tolerated - 2)]))
    return found


def picked(models, tolerated):
    found = scores(models, tolerated)
    return min(range(len(models)), key=lambda i: (round(found[i], 12), i))


def bound(benign, w_re, copies):
    """Return the largest λ, with m = copies + benign models and c = copies."""
    m, c, d = len(benign) + copies, copies, len(w_re)
    sums = []
    for i, model in enumerate(benign):
        others = sorted(squared(model, other) for j, other in enumerate(benign) if j != i)
        sums.append(sum(others[: max(1, m - c - 2)]))
    farthest = max(math.sqrt(squared(model, w_re)) for model in benign)
    return math.sqrt(min(sums) / (max(1, m - 2 * c - 1) * d)) + farthest / math.sqrt(d)


def halved(benign, w_re, s, copies):
    factor = bound(benign, w_re, copies)
    while factor >= 1e-5:
        crafted = [w - factor * sign for w, sign in zip(w_re, s, strict=True)]
        if picked([crafted] * copies + benign, copies) < copies:
            return factor, crafted
        factor /= 2
    return None, None


def crafted_by_hand(known, knowledge, direction="mean"):
    """Return λ and w'_1 as the paper says."""
    w_re, own = known.model.tolist(), plain(known.own)
    benign = plain(known.honest) if knowledge == "full" else own
    seen = own + benign if knowledge == "full" else own
    before = [sum(values) / len(values) for values in columns(seen)]
    if direction == "rule":
        before = seen[picked(seen, len(own))]
    s = [1 if after > w else -1 for after, w in zip(before, w_re, strict=True)]
    if knowledge == "full":
        return halved(benign, w_re, s, len(own))
    for copies in range(1, 100):
        factor, crafted = halved(benign, w_re, s, copies)
        if factor is not None:
            return factor, crafted
    raise AssertionError("no λ")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("knowledge", "direction"), [("full", "mean"), ("full", "rule"), ("partial", "mean")]
)
def test_the_crafted_model_is_the_papers(seed, knowledge, direction):
    """λ and w'_1 are those of the search written out, where Krum is run anew for every λ."""
    known = a_round(seed, clients=17, malicious=5, size=30)
    factor, expected = crafted_by_hand(known, knowledge, direction)
    attack = KrumAttack(knowledge=knowledge, direction=direction, epsilon=0.0)
    crafted = attack.craft(known, RNG(seed))
    assert factor is not None
    assert np.allclose(crafted, [expected] * 5, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("malicious", [1, 2, 3])
def test_partial_knowledge_of_few_clients_still_ends(malicious):
    """With one, two or three models of its own the attacker finds a λ, by the same search."""
    known = a_round(20 + malicious, clients=12, malicious=malicious)
    factor, expected = crafted_by_hand(known, "partial")
    crafted = KrumAttack(knowledge="partial", epsilon=0.0).craft(known, RNG(0))
    assert factor > 1e-5
    assert np.allclose(crafted, [expected] * malicious, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_our_krum_picks_a_crafted_model(seed):
    """With full knowledge the rule selects an upload of the attacker's, in any order of clients."""
    known = a_round(seed, clients=30, malicious=9, size=400)
    crafted = KrumAttack().craft(known, RNG(seed))
    assert crafted is not known.own
    rows = np.concatenate([crafted, known.honest]) - known.model
    order = RNG(seed).permutation(30)
    result = krum.aggregate(list(rows[order].astype(np.float32)), byzantine=9)
    assert order[result.selected[0]] < 9
    step = crafted[0] - known.model
    assert len(set(np.abs(step).round(4))) == 1, "a step of λ in every parameter"
    mean = np.concatenate([known.own, known.honest]).mean(axis=0)
    assert (np.sign(step) == -np.sign(mean - known.model)).all(), "against the update's sign"


def test_the_copies_differ_and_lie_within_epsilon():
    """Each malicious client uploads a model of its own, within ε of the first by Euclid."""
    known = a_round(3, clients=30, malicious=9, size=1000)
    crafted = KrumAttack(epsilon=0.01).craft(known, RNG(0)).astype(np.float64)
    distances = np.linalg.norm(crafted - crafted[0], axis=1)
    assert len(np.unique(crafted, axis=0)) == 9
    assert (distances[1:] > 1e-3).all()
    assert distances.max() <= 0.01 * 1.001
    assert len(np.unique(KrumAttack(epsilon=0.0).craft(known, RNG(0)), axis=0)) == 1


def test_a_large_epsilon_does_not_fool_the_attacker():
    """λ counts as found only when Krum picks among what is uploaded; here no spread copy passes."""
    known = a_round(4, clients=13, malicious=3)
    rows = KrumAttack(epsilon=0.0).craft(known, RNG(0))
    assert rows is not known.own
    assert KrumAttack(epsilon=50.0).craft(known, RNG(0)) is known.own


def test_without_a_factor_the_models_before_the_attack_are_uploaded():
    """When even the threshold is too far for Krum, the attack is given up in that round."""
    known = a_round(5)
    assert KrumAttack(threshold=10.0).craft(known, RNG(0)) is known.own
    still = np.tile(known.model, (13, 1))
    nothing = Knowledge(known.model, still[:3], still[3:], 13)
    assert KrumAttack().craft(nothing, RNG(0)) is nothing.own


def test_the_bound_has_the_number_of_parameters_in_it():
    """Each parameter repeated four times leaves λ as it is: distances double, and so does √d."""
    known = a_round(6, clients=17, malicious=5)
    wide = Knowledge(
        np.repeat(known.model, 4), np.repeat(known.own, 4, 1), np.repeat(known.honest, 4, 1), 17
    )
    attack = KrumAttack(epsilon=0.0)
    narrow_step = attack.craft(known, RNG(0))[0] - known.model
    wide_step = attack.craft(wide, RNG(0))[0] - wide.model
    assert np.allclose(np.repeat(narrow_step, 4), wide_step, atol=1e-6)


def test_the_direction_of_the_rule_needs_enough_clients():
    """Krum as the measure of the direction cannot be run on fewer than 2c + 3 models."""
    known = a_round(7, clients=9, malicious=4)
    with pytest.raises(TooFewUpdates, match="krum"):
        KrumAttack(direction="rule").craft(known, RNG(0))
    assert np.isfinite(KrumAttack().craft(known, RNG(0))).all()


def test_bulyan_is_attacked_with_the_models_against_krum():
    """The same models, bit for bit, and most of them pass Bulyan's first step."""
    known = a_round(8, clients=30, malicious=6, size=200)
    for knowledge in ("full", "partial"):
        one = KrumAttack(knowledge=knowledge).craft(known, RNG(4))
        other = BulyanAttack(knowledge=knowledge).craft(known, RNG(4))
        assert np.array_equal(one, other)
    crafted = BulyanAttack().craft(known, RNG(4))
    rows = list((np.concatenate([crafted, known.honest]) - known.model).astype(np.float32))
    result = bulyan.aggregate(rows, byzantine=6)
    assert len(set(range(6)) & set(result.selected)) > 3
