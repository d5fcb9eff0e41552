"""Min-Max: as far from the benign mean as the two benign models farthest apart allow."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedledger.errors import ConfigError

from ....strategies.aggregation.kernels.distances import squared_distances
from ....strategies.aggregation.kernels.rows import read_rows
from .base import ColludingAttack, Knowledge, Matrix
from .moments import Float64, in_pieces

__all__ = ["MinMax", "MinSpread"]


@dataclass(frozen=True)
class MinSpread(ColludingAttack):
    """What Min-Max and Min-Sum share: a direction, and the longest step that a bound allows.

    The malicious update is v' = μ + gamma·p, with μ the mean of the benign updates v_i = w_i - w_Re
    and one of

        p = -sigma         "std": the standard deviation of each parameter
        p = -μ / |μ|       "unit"
        p = -sign(μ)       "sign"

    The paper searches for gamma with a tolerance. Each bound is a quadratic in gamma, so the
    largest one is its root. The length of p has no influence on gamma·p.

    Attributes:
        perturbation: p.

    Raises:
        ConfigError: there is no such perturbation.
    """

    perturbation: Literal["std", "unit", "sign"] = "std"

    def _check(self) -> None:
        if self.perturbation not in ("std", "unit", "sign"):
            raise ConfigError(f"perturbation is 'std', 'unit' or 'sign', not {self.perturbation!r}")

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:  # noqa: ARG002 - nothing is drawn
        """Return the same model for each malicious client."""
        benign = self.benign(knowledge)
        size = knowledge.model.size
        center, step = np.empty(size), np.empty(size)

        def task(part: slice) -> Float64:
            block = benign[:, part].astype(np.float64)
            center[part] = block.mean(axis=0)
            block -= center[part]
            if self.perturbation == "std":
                step[part] = -np.sqrt(np.einsum("ij,ij->j", block, block) / len(block))
            else:
                step[part] = knowledge.model[part] - center[part]
                if self.perturbation == "sign":
                    step[part] = np.sign(step[part])
            rows = np.einsum("ij,ij->i", block, block), -np.einsum("ij,j->i", block, step[part])
            length = np.einsum("i,i->", step[part], step[part])
            return np.array([*rows, np.full(len(block), length)])

        squares, products, lengths = np.sum(in_pieces(task, size), axis=0)
        gamma = 0.0
        if lengths[0] > 0:
            pairs = squared_distances(read_rows(benign))
            gamma = self._longest(squares, products, float(lengths[0]), pairs)
        return np.broadcast_to((center + gamma * step).astype(np.float32), knowledge.own.shape)

    @abstractmethod
    def _longest(self, squares: Float64, products: Float64, length: float, pairs: Float64) -> float:
        """Return the largest gamma, at least 0.

        Args:
            squares: (k,) |μ - v_i|² of each benign update.
            products: (k,) p·(μ - v_i).
            length: |p|².
            pairs: (k, k) |v_i - v_j|².
        """


@dataclass(frozen=True)
class MinMax(MinSpread):
    """Upload the mean, moved until its farthest benign update is as far as any two of them.

        argmax_gamma  max_i |v' - v_i| ≤ max_{i,j} |v_i - v_j|,   v' = μ + gamma·p,   i, j benign

    Everything of `MinSpread` holds (Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS
    2021, "Min-Max attack").
    """

    def _longest(self, squares: Float64, products: Float64, length: float, pairs: Float64) -> float:
        # |μ + gamma·p - v_i|² = gamma²|p|² + 2·gamma·p·(μ - v_i) + |μ - v_i|²
        room = np.maximum(pairs.max() - squares, 0)
        return float(((np.sqrt(products**2 + length * room) - products) / length).min())
