"""The attack on the trimmed mean (and the median): every parameter just beyond the benign ones."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError

from ....strategies.aggregation import trimmed_mean
from .base import ColludingAttack, Knowledge, Matrix
from .moments import changing_direction, mean, mean_and_deviation

__all__ = ["TrimmedMeanAttack"]

Bounds = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class TrimmedMeanAttack(ColludingAttack):
    """Upload parameters just outside what benign clients have, against the direction of change.

    s_j is 1 where parameter j would grow without the attack, else -1. Each malicious client draws
    each of its parameters anew and uniformly. Full knowledge, with w_max,j and w_min,j the largest
    and the smallest value of j among the *benign* models:

        s_j = -1:  [w_max,j, b·w_max,j] if w_max,j > 0, else [w_max,j, w_max,j / b]
        s_j = +1:  [w_min,j / b, w_min,j] if w_min,j > 0, else [b·w_min,j, w_min,j]

    Partial knowledge, with the mean μ_j and the standard deviation sigma_j over the malicious
    clients' own models before the attack:

        s_j = -1:  [μ_j + 3·sigma_j, μ_j + 4·sigma_j]
        s_j = +1:  [μ_j - 4·sigma_j, μ_j - 3·sigma_j]

    Source: Fang et al., Local model poisoning attacks to Byzantine-robust federated learning,
    USENIX Security 2020, section 3.3. Bift (section VI-B) gives the case s_j = -1 alone.

    Attributes:
        b: how far the intervals reach with full knowledge.
        direction: what s is the sign of, with full knowledge. "mean": the mean of all models before
            the attack, minus w_Re, whatever rule is attacked. "rule": their trimmed mean, minus
            w_Re (the paper's equation 1). Partial knowledge: the mean of the own models.

    Raises:
        ConfigError: b is not a finite number above 1, or there is no such direction.
    """

    b: float = 2.0
    direction: Literal["mean", "rule"] = "mean"

    def _check(self) -> None:
        if not 1 < self.b < np.inf:
            raise ConfigError(f"attack 'trimmed_mean_attack': b must be above 1, not {self.b}")
        if self.direction not in ("mean", "rule"):
            raise ConfigError(
                "attack 'trimmed_mean_attack': direction is 'mean' or 'rule', "
                f"not {self.direction!r}"
            )

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:
        """Return a draw of its own for each malicious client.

        Raises:
            TooFewUpdates: direction "rule", and m is not above 2c.
        """
        low, high = self._outside(knowledge)
        width = high - low
        crafted = np.empty_like(knowledge.own)
        for row in crafted:
            rng.random(out=row, dtype=np.float32)
            np.multiply(row, width, out=row)
            np.add(row, low, out=row)
            # The draw is below 1, the rounded sum may be one step beyond the end.
            np.clip(row, low, high, out=row)
        return crafted

    def _outside(self, knowledge: Knowledge) -> Bounds:
        """Return the ends of each parameter's interval, (d,) both."""
        benign, model = self.benign(knowledge), knowledge.model
        if self.knowledge == "partial":
            center, deviation = mean_and_deviation(benign)
            up = changing_direction(center, model) < 0
            low = np.where(up, center + 3 * deviation, center - 4 * deviation)
            return low.astype(np.float32), (low + deviation).astype(np.float32)
        up = changing_direction(self._before(benign, knowledge), model) < 0
        # The end next to the benign values, and the one that lies b times as far or as near.
        edge = np.where(up, benign.max(axis=0), benign.min(axis=0))
        away = np.where((edge > 0) == up, edge * np.float32(self.b), edge / np.float32(self.b))
        return np.minimum(edge, away), np.maximum(edge, away)

    def _before(self, benign: Matrix, knowledge: Knowledge) -> NDArray[np.float64]:
        if self.direction == "mean":
            return mean(benign, knowledge.own)
        rows = [*knowledge.own, *benign]
        return trimmed_mean(rows, byzantine=knowledge.malicious).astype(np.float64)
