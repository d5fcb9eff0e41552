"""The attack on Krum: a crafted model, and copies that vouch for it."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError

from ....strategies.aggregation import krum
from ....strategies.aggregation.kernels.distances import squared_distances
from ....strategies.aggregation.kernels.rows import read_rows
from ....strategies.aggregation.kernels.selection import krum_selection
from .base import ColludingAttack, Knowledge, Matrix
from .moments import Float64, changing_direction, in_pieces, mean

__all__ = ["KrumAttack"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KrumAttack(ColludingAttack):
    """Make Krum pick a model that goes against the direction of change.

    s_j is 1 where parameter j would grow without the attack, else -1. With D the Euclidean distance
    and Γ_i the m - c - 2 benign models nearest to benign model i, the crafted model is

        w'_1 = w_Re - λ·s,

        λ ≤ √( min_i Σ_{l ∈ Γ_i} D²(w_l, w_i) / ((m-2c-1)·d) ) + max_i D(w_i, w_Re) / √d,  i benign.

    λ starts at the bound and is halved until Krum, told of c malicious clients, picks w'_1 from c
    copies of it and the benign models; the attack is given up when λ falls below the threshold, and
    the models before the attack are uploaded. The other c - 1 crafted models lie within ε of w'_1.
    Here λ counts as found only once Krum picks a crafted model among those really uploaded.

    With partial knowledge the c own models before the attack stand for the benign ones, and λ is
    sought with one copy of w'_1, then two, and so on until there is one. The paper leaves open how
    many of q copies and c models Krum is to tolerate; here q, so that w'_1 is compared with its
    c - 2 nearest, as each of the others is.

    Source: Fang et al., Local model poisoning attacks to Byzantine-robust federated learning,
    USENIX Security 2020, section 3.2, with the bound as Bift's equation 6 has it.

    Attributes:
        epsilon: ε, in Euclidean distance.
        threshold: smallest λ.
        direction: what s is the sign of, with full knowledge. "mean": the mean of all models before
            the attack, minus w_Re, whatever rule is attacked. "rule": the model that Krum picks of
            them, minus w_Re (the paper's equation 1). Partial knowledge: the mean of the own
            models.

    Raises:
        ConfigError: epsilon is negative, threshold not positive, or there is no such direction.
    """

    epsilon: float = 0.01
    threshold: float = 1e-5
    direction: Literal["mean", "rule"] = "mean"

    def _check(self) -> None:
        if not 0 <= self.epsilon < np.inf:
            raise ConfigError(f"attack 'krum_attack': epsilon must not be negative: {self.epsilon}")
        if not 0 < self.threshold < np.inf:
            raise ConfigError(f"attack 'krum_attack': threshold must be positive: {self.threshold}")
        if self.direction not in ("mean", "rule"):
            raise ConfigError(
                f"attack 'krum_attack': direction is 'mean' or 'rule', not {self.direction!r}"
            )

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:
        """Return w'_1 and its neighbours, or the models before the attack when there is no λ.

        Raises:
            TooFewUpdates: direction "rule", and m is below 2c + 3.
        """
        benign, c = self.benign(knowledge), knowledge.malicious
        direction = changing_direction(self._before(benign, knowledge), knowledge.model)
        spread = _spread(knowledge.own.shape, self.epsilon, rng)
        sight = _Sight.of(benign, knowledge.model, direction)
        for copies in [c] if self.knowledge == "full" else range(1, c + 2):
            for factor in sight.factors(copies, self.threshold):
                if not sight.picked(factor, copies):
                    continue
                crafted = knowledge.model - factor * direction.astype(np.float64)
                uploads = np.add(crafted, spread, out=np.empty_like(spread), casting="same_kind")
                if self.knowledge == "partial" or _picked([*uploads, *benign], c):
                    return uploads
        logger.info("krum attack: no λ from %g up; given up in this round", self.threshold)
        return knowledge.own

    def _before(self, benign: Matrix, knowledge: Knowledge) -> Float64:
        if self.knowledge == "partial":
            return mean(benign)
        if self.direction == "mean":
            return mean(benign, knowledge.own)
        rows = [*knowledge.own, *benign]
        return krum(rows, byzantine=knowledge.malicious).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Sight:
    """All that λ depends on: with a_i = w_i - w_Re, |a_i + λs|² = |a_i|² + 2λ a_i·s + λ²d.

    Attributes:
        pairs: (k, k) squared distances of the benign models.
        squares: (k,) |a_i|².
        products: (k,) a_i·s.
        size: d.
    """

    pairs: Float64
    squares: Float64
    products: Float64
    size: int

    @classmethod
    def of(cls, benign: Matrix, model: NDArray[np.float32], direction: Matrix) -> "_Sight":
        def task(part: slice) -> Float64:
            change = benign[:, part].astype(np.float64) - model[part]
            squares = np.einsum("ij,ij->i", change, change)
            return np.array([squares, np.einsum("ij,j->i", change, direction[part])])

        squares, products = np.sum(in_pieces(task, model.size), axis=0)
        return cls(squared_distances(read_rows(benign)), squares, products, model.size)

    def factors(self, copies: int, threshold: float) -> Iterator[float]:
        """Yield the bound of λ, its half, and so on down to the threshold."""
        k = len(self.squares)
        others = np.sort(self.pairs, axis=1)[:, 1:]  # column 0 is each model itself
        nearest = others[:, : max(1, k - 2)].sum(axis=1).min()
        # m - 2c - 1 of the paper; where it is not positive copies alone are neighbours enough.
        benign_neighbours = max(1, k - copies - 1)
        bound = math.sqrt(nearest / (benign_neighbours * self.size))
        factor = bound + math.sqrt(self.squares.max() / self.size)
        while factor >= threshold:
            yield factor
            factor /= 2

    def picked(self, factor: float, copies: int) -> bool:
        """Return whether Krum picks a copy of w'_1, with λ = `factor`, or another model."""
        to_crafted = self.squares + 2 * factor * self.products + factor**2 * self.size
        distances = np.zeros((copies + len(self.squares),) * 2)
        distances[copies:, copies:] = self.pairs
        distances[:copies, copies:] = np.maximum(to_crafted, 0)
        distances[copies:, :copies] = distances[:copies, copies:].T
        return krum_selection(distances, copies, 1, shrinking=False)[0] < copies


def _spread(shape: tuple[int, ...], epsilon: float, rng: np.random.Generator) -> Matrix:
    """Return (c, d) steps no longer than ε, uniform in a cube; the first is zero."""
    steps = rng.random(shape, dtype=np.float32)
    steps -= np.float32(0.5)
    steps *= np.float32(2 * epsilon / math.sqrt(shape[1]))
    steps[0] = 0
    return steps


def _picked(rows: list[NDArray[np.float32]], crafted: int) -> bool:
    """Return whether Krum picks one of the first `crafted` rows."""
    distances = squared_distances(read_rows(rows))
    return krum_selection(distances, crafted, 1, shrinking=False)[0] < crafted
