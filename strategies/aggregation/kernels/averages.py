"""The weighted mean of rows, read in place, added in float64 in the order of the rows."""

from collections.abc import Sequence

import numpy as np

from .parallel import run_pieces
from .rows import Rows, Vector

__all__ = ["ORDERED_SUM", "average"]

ORDERED_SUM = "f32-ordered-sum-f64/1"
"""Name of the arithmetic of `average`, which docs/formats.md defines."""

_TILES = 64  # in a piece


def average(rows: Rows, weights: Sequence[float] | None = None) -> Vector:
    """Return Σ wᵢ xᵢ / Σ wᵢ, each coordinate summed in float64 over the rows in their order.

    Args:
        rows: n rows of d values.
        weights: n positive finite numbers of moderate size; all one where None.

    Raises:
        InvalidUpdate: a row holds a NaN or an infinity.
    """
    from .compiled.averages import TILE, weighted_means  # noqa: PLC0415 - see the package

    factors = np.ones(rows.n) if weights is None else np.array(weights, dtype=np.float64)
    divisor = 0.0
    for factor in factors.tolist():
        divisor += factor
    result = np.empty(rows.d, dtype=np.float32)
    table = rows.addresses()

    def task(start: int, stop: int) -> int:
        return int(weighted_means(table, factors, divisor, start, stop, result.ctypes.data))

    whole = rows.d // TILE * TILE
    spoiled = sum(run_pieces(task, whole, _TILES * TILE))
    if whole < rows.d:
        tail = rows.tail(TILE)
        end = np.empty(TILE, dtype=np.float32)
        spoiled += weighted_means(tail.addresses(), factors, divisor, 0, TILE, end.ctypes.data)
        result[whole:] = end[: rows.d - whole]
    if spoiled:
        rows.refuse_not_finite()
    return result
