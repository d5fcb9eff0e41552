"""Min-Sum: as far from the benign mean as the most remote benign model is from the others."""

from dataclasses import dataclass

import numpy as np

from .min_max import MinSpread
from .moments import Float64

__all__ = ["MinSum"]


@dataclass(frozen=True)
class MinSum(MinSpread):
    """Upload the mean, moved until it is as far from all benign updates as any one of them is.

        argmax_gamma  Σ_i |v' - v_i|² ≤ max_i Σ_j |v_i - v_j|²,   v' = μ + gamma·p,   i, j benign

    Everything of `MinSpread` holds (Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS
    2021, "Min-Sum attack"). The authors' program bounds by the smallest of the sums instead.
    """

    def _longest(self, squares: Float64, products: Float64, length: float, pairs: Float64) -> float:
        count = len(squares)
        half, area = products.sum() / count, length
        room = max((pairs.sum(axis=1).max() - squares.sum()) / count, 0.0)
        return float((np.sqrt(half**2 + area * room) - half) / area)
