"""The attack on the trimmed mean, against its intervals in plain Python."""

import math

import numpy as np
import pytest
from support.colluders import a_round, columns

from fedledger.experiments.adversary.attacks import Knowledge
from fedledger.experiments.adversary.attacks.trimmed_mean_attack import TrimmedMeanAttack
from fedledger.strategies.aggregation import trimmed_mean

RNG = np.random.default_rng


def intervals(known, knowledge, b, direction="mean"):
    """Return each parameter's interval as the paper has it."""
    found = []
    values_of = zip(columns(known.own), columns(known.honest), known.model.tolist(), strict=True)
    for own, honest, w_re in values_of:
        if knowledge == "partial":
            mu = sum(own) / len(own)
            sigma = math.sqrt(sum((value - mu) ** 2 for value in own) / len(own))
            if mu > w_re:
                found.append((mu - 4 * sigma, mu - 3 * sigma))
            else:
                found.append((mu + 3 * sigma, mu + 4 * sigma))
            continue
        everyone = sorted(own + honest)
        if direction == "rule":
            everyone = everyone[len(own) : -len(own)]
        s = 1 if sum(everyone) / len(everyone) > w_re else -1
        w_max, w_min = max(honest), min(honest)
        if s == -1:
            found.append((w_max, b * w_max) if w_max > 0 else (w_max, w_max / b))
        else:
            found.append((w_min / b, w_min) if w_min > 0 else (b * w_min, w_min))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("knowledge", "b", "direction"),
    [("full", 2.0, "mean"), ("full", 1.5, "rule"), ("partial", 2.0, "mean")],
)
def test_each_draw_lies_in_the_papers_interval(seed, knowledge, b, direction):
    """Every parameter of every upload lies in its interval, up to the rounding of its ends."""
    known = a_round(seed, size=60)
    attack = TrimmedMeanAttack(knowledge=knowledge, b=b, direction=direction)
    crafted = columns(attack.craft(known, RNG(seed)))
    for values, (low, high) in zip(crafted, intervals(known, knowledge, b, direction), strict=True):
        slack = 1e-6 * max(abs(low), abs(high))
        assert low <= high
        assert all(low - slack <= value <= high + slack for value in values)


def test_draws_fill_their_intervals_and_differ_between_attackers():
    """Draws are uniform, fresh for each client and each parameter; none is copied to another."""
    known = a_round(5, malicious=5, clients=20, size=800)
    crafted = TrimmedMeanAttack().craft(known, RNG(3))
    ends = np.array(intervals(known, "full", 2.0))
    position = (crafted - ends[:, 0]) / (ends[:, 1] - ends[:, 0])
    assert len(np.unique(crafted, axis=0)) == 5
    assert np.abs(np.corrcoef(position) - np.eye(5)).max() < 4 / math.sqrt(800)
    for row in position:
        assert abs(row.mean() - 0.5) < 4 * math.sqrt(1 / 12 / 800)
        assert (row < 0.1).any()
        assert (row > 0.9).any()


def test_all_four_signs_occur_and_the_direction_is_the_updates():
    """The round has each case of the equation, and s is not the sign of the weights."""
    known = a_round(6, size=200)
    before = np.concatenate([known.own, known.honest]).mean(axis=0)
    up = before > known.model
    crafted = TrimmedMeanAttack().craft(known, RNG(0))
    high, low = known.honest.max(axis=0), known.honest.min(axis=0)
    assert {(bool(a), bool(b)) for a, b in zip(up, before > 0, strict=True)} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }
    assert (crafted[:, up] <= low[up]).all()
    assert (crafted[:, ~up] >= high[~up]).all()


@pytest.mark.parametrize("knowledge", ["full", "partial"])
def test_the_trimmed_mean_moves_against_the_direction_of_change(knowledge):
    """With the attack the rule's result lies further back, for every parameter, than without."""
    known = a_round(7, clients=20, malicious=6, size=100)
    everyone = np.concatenate([known.own, known.honest])
    attack = TrimmedMeanAttack(knowledge=knowledge)
    attacked = np.concatenate([attack.craft(known, RNG(1)), known.honest])
    before, after = (trimmed_mean(rows, byzantine=6) for rows in (everyone, attacked))
    seen = everyone if knowledge == "full" else known.own
    s = np.where(seen.mean(axis=0) > known.model, 1, -1)
    moved = s * (before - after)
    share = {"full": 1.0, "partial": 0.75}[knowledge]  # own models stand for the honest ones
    assert (moved > 0).mean() >= share


def test_zero_is_a_number_that_does_not_grow():
    """A parameter that did not move counts as shrinking: draws start at the largest value."""
    model = np.array([1.0, -1.0, 0.0], np.float32)
    rows = np.tile(model, (8, 1))
    crafted = TrimmedMeanAttack().craft(Knowledge(model, rows[:3], rows[3:], 8), RNG(0))
    assert ((crafted[:, 0] >= 1) & (crafted[:, 0] <= 2)).all()
    assert ((crafted[:, 1] >= -1) & (crafted[:, 1] <= -0.5)).all()
    assert (crafted[:, 2] == 0).all()
