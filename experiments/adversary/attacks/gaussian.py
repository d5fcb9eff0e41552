"""The Gaussian attack: noise that looks like models."""

from dataclasses import dataclass

import numpy as np

from .base import Knowledge, Matrix, ModelAttack
from .moments import mean_and_deviation

__all__ = ["Gaussian"]


@dataclass(frozen=True, slots=True)
class Gaussian(ModelAttack):
    """Upload draws from a Gaussian fitted to the malicious clients' models, each parameter alone.

    With μ_j and sigma_j the mean and the standard deviation of parameter j over the c models before
    the attack, each malicious client i uploads for each j a draw of its own,

        w'_ij ~ N(μ_j, sigma_j²)

    (Fang et al., USENIX Security 2020, section 4.1). With c = 1 that is the client's own model.
    """

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:
        """Return one draw of a model for each malicious client."""
        center, deviation = mean_and_deviation(knowledge.own)
        narrow = center.astype(np.float32), deviation.astype(np.float32)
        crafted = np.empty_like(knowledge.own)
        for row in crafted:
            rng.standard_normal(out=row, dtype=np.float32)
            np.multiply(row, narrow[1], out=row)
            np.add(row, narrow[0], out=row)
        return crafted
