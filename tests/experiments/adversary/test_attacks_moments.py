"""The attacks that follow from means and deviations, against their equations in plain Python."""

import math
import statistics

import numpy as np
import pytest
from support.colluders import a_round, columns, plain

from fedledger.errors import ConfigError
from fedledger.experiments.adversary.attacks import Knowledge
from fedledger.experiments.adversary.attacks.alie import Alie, z_max
from fedledger.experiments.adversary.attacks.gaussian import Gaussian
from fedledger.experiments.adversary.attacks.ipm import InnerProductManipulation
from fedledger.experiments.adversary.attacks.sign_flip import SignFlip

RNG = np.random.default_rng


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_sign_flip_is_its_equation(scale):
    """w'_i = w_Re - scale (w_i - w_Re), each client from its own model."""
    known = a_round(1)
    expected = [
        [w_re - scale * (w - w_re) for w, w_re in zip(row, known.model.tolist(), strict=True)]
        for row in plain(known.own)
    ]
    crafted = SignFlip(scale=scale).craft(known, RNG(0))
    assert np.allclose(crafted, expected, rtol=1e-6, atol=1e-7)


def test_sign_flip_flips_updates_not_weights():
    """With a small update the upload stays near the global model; flipped weights would not."""
    known = a_round(2, spread=1e-3)
    crafted = SignFlip().craft(known, RNG(0))
    assert np.allclose(crafted - known.model, known.model - known.own, atol=1e-6)


def test_gaussian_fits_each_parameter_to_the_compromised_models():
    """Over many draws each parameter has the mean and deviation of the malicious clients' models.

    The deviation is that of the maximum likelihood fit. Four standard errors are allowed.
    """
    few = a_round(3, malicious=4)
    count = 4000
    own = np.tile(few.own, (count // 4, 1))
    known = Knowledge(few.model, own, None, count)
    drawn = columns(Gaussian().craft(known, RNG(1)))
    for values, fitted in zip(drawn, columns(few.own), strict=True):
        mu = sum(fitted) / 4
        sigma = math.sqrt(sum((value - mu) ** 2 for value in fitted) / 4)
        assert abs(statistics.fmean(values) - mu) < 4 * sigma / math.sqrt(count)
        assert abs(statistics.pstdev(values) / sigma - 1) < 4 / math.sqrt(2 * count)
        normal = statistics.NormalDist(mu, sigma)
        for quantile in (0.1, 0.5, 0.9):
            below = sum(value < normal.inv_cdf(quantile) for value in values) / count
            assert abs(below - quantile) < 4 * math.sqrt(quantile * (1 - quantile) / count)


def test_gaussian_draws_anew_for_each_client_and_parameter():
    """No two malicious clients share a draw, and parameters are drawn independently."""
    known = a_round(4, malicious=5, size=500)
    crafted = Gaussian().craft(known, RNG(2))
    center, deviation = known.own.mean(axis=0), known.own.std(axis=0)
    standard = (crafted - center) / deviation
    assert len(np.unique(crafted, axis=0)) == 5
    assert np.abs(np.corrcoef(standard) - np.eye(5)).max() < 4 / math.sqrt(500)
    assert len(np.unique(standard[0].round(5))) > 480


@pytest.mark.parametrize("epsilon", [0.1, 2.0])
@pytest.mark.parametrize("knowledge", ["full", "partial"])
def test_ipm_is_its_equation(epsilon, knowledge):
    """Each upload is w_Re - ε times the mean of the benign updates."""
    known = a_round(5)
    benign = known.honest if knowledge == "full" else known.own
    expected = []
    for w_re, values in zip(known.model.tolist(), columns(benign), strict=True):
        update = sum(value - w_re for value in values) / len(values)
        expected.append(w_re - epsilon * update)
    crafted = InnerProductManipulation(epsilon=epsilon, knowledge=knowledge).craft(known, RNG(0))
    assert np.allclose(crafted, [expected] * 3, rtol=1e-6, atol=1e-7)


def test_ipm_turns_the_mean_round_only_beyond_its_bound():
    """The mean's update points away from the benign one exactly when ε > (m - c) / c."""
    known = a_round(6, clients=12, malicious=4)
    benign = known.honest.mean(axis=0) - known.model
    for epsilon, away in [(1.9, False), (2.1, True)]:
        crafted = InnerProductManipulation(epsilon=epsilon).craft(known, RNG(0))
        mean = np.concatenate([known.honest, crafted]).mean(axis=0) - known.model
        assert (mean @ benign < 0) == away


@pytest.mark.parametrize("knowledge", ["full", "partial"])
def test_alie_is_its_equation(knowledge):
    """Each upload is μ - z times the deviation, z from a search for the largest with Φ(z) below."""
    known = a_round(7, clients=30, malicious=9)
    n, f = 30, 9
    s = math.floor(n / 2 + 1) - f
    z = -5.0
    while (1 + math.erf((z + 1e-6) / math.sqrt(2))) / 2 < (n - f - s) / (n - f):
        z += 1e-6 if z > 0.4 else 1e-2
    benign = known.honest if knowledge == "full" else known.own
    expected = []
    for values in columns(benign):
        mu = sum(values) / len(values)
        sigma = math.sqrt(sum((value - mu) ** 2 for value in values) / len(values))
        expected.append(mu - z * sigma)
    crafted = Alie(knowledge=knowledge).craft(known, RNG(0))
    assert np.allclose(crafted, [expected] * 9, atol=1e-5)


def test_alie_has_the_papers_z():
    """For n = 30, f = 9 it is 0.43, the inverse of Φ and not Φ; another only when asked for."""
    assert round(z_max(30, 9), 2) == 0.43
    assert z_max(50, 24) == pytest.approx(statistics.NormalDist().inv_cdf((26 - 2) / 26))
    known = a_round(8)
    center, deviation = known.honest.mean(axis=0), known.honest.std(axis=0)
    crafted = Alie(z=1.5).craft(known, RNG(0))
    assert np.allclose(crafted, center - 1.5 * deviation, atol=1e-5)


@pytest.mark.parametrize(("clients", "malicious"), [(30, 16), (10, 6), (2, 1), (1, 1)])
def test_alie_without_a_largest_z_is_refused(clients, malicious):
    """When the malicious clients need no supporter, or have no one to hide among, it says so."""
    with pytest.raises(ConfigError, match="no z is defined"):
        z_max(clients, malicious)
