"""IPM, inner product manipulation: a small step against the benign mean."""

from dataclasses import dataclass

import numpy as np

from fedledger.errors import ConfigError

from .base import ColludingAttack, Knowledge, Matrix
from .moments import mean

__all__ = ["InnerProductManipulation"]


@dataclass(frozen=True)
class InnerProductManipulation(ColludingAttack):
    """Upload the benign mean update, reversed and scaled.

    With v_i = w_i - w_Re the update of benign client i, every malicious client's update is

        v' = -(ε / (m - c)) · Σ_{i benign} v_i,

    so that the aggregate's inner product with the true direction becomes negative (Xie et al.,
    Fall of empires: breaking byzantine-tolerant SGD by inner product manipulation, UAI 2019). Krum
    falls for a small ε; a mean turns round only above ε = (m - c) / c.

    Attributes:
        epsilon: ε.

    Raises:
        ConfigError: epsilon is not a positive finite number.
    """

    epsilon: float = 0.1

    def _check(self) -> None:
        if not 0 < self.epsilon < np.inf:
            raise ConfigError(f"attack 'ipm': epsilon must be positive, not {self.epsilon}")

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:  # noqa: ARG002 - nothing is drawn
        """Return the reversed mean, the same for each malicious client."""
        model = knowledge.model.astype(np.float64)
        crafted = model - self.epsilon * (mean(self.benign(knowledge)) - model)
        return np.broadcast_to(crafted.astype(np.float32), knowledge.own.shape)
