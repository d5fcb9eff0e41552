"""ALIE, "a little is enough": hide inside the spread of the benign models."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from fedledger.errors import ConfigError

from .base import ColludingAttack, Knowledge, Matrix
from .moments import mean_and_deviation

__all__ = ["Alie"]


@dataclass(frozen=True)
class Alie(ColludingAttack):
    """Upload the benign mean, shifted by as many standard deviations as go unnoticed.

    With n clients, f of them malicious, and μ_j and sigma_j the mean and the standard deviation of
    parameter j over the benign models, every malicious client uploads

        w'_j = μ_j - z · sigma_j,
        z = max { z : Φ(z) < (n - f - s) / (n - f) },   s = ⌊n/2 + 1⌋ - f,

    Φ the distribution function of the standard normal, so z = Φ⁻¹((n-f-s) / (n-f)): 0.43 for n = 30
    and f = 9 (Baruch et al., A little is enough: circumventing defenses for distributed learning,
    NeurIPS 2019, "preventing convergence"). With few malicious clients z is near 0 or below, and
    the attack harmless.

    The paper estimates μ and sigma from the malicious clients' own models: `knowledge = "partial"`.

    Attributes:
        z: the number of standard deviations, in place of the formula.

    Raises:
        ConfigError: z is not finite.
    """

    z: float | None = None

    def _check(self) -> None:
        if self.z is not None and not math.isfinite(self.z):
            raise ConfigError(f"attack 'alie': z must be finite, not {self.z}")

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:  # noqa: ARG002 - nothing is drawn
        """Return the shifted mean, the same for each malicious client."""
        center, deviation = mean_and_deviation(self.benign(knowledge))
        z = z_max(knowledge.clients, knowledge.malicious) if self.z is None else self.z
        crafted = (center - z * deviation).astype(np.float32)
        return np.broadcast_to(crafted, knowledge.own.shape)


def z_max(clients: int, malicious: int) -> float:
    """Return z for n clients of which f are malicious.

    Raises:
        ConfigError: the malicious clients are a majority by themselves, or alone: no z is largest.
    """
    benign = clients - malicious
    supporters = math.floor(clients / 2 + 1) - malicious
    if not 0 < supporters < benign:
        raise ConfigError(
            f"attack 'alie': with {malicious} malicious clients of {clients} no z is defined; "
            "it takes fewer malicious clients than half, or a z"
        )
    return NormalDist().inv_cdf((benign - supporters) / benign)
