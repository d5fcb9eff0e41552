"""The weighted mean of rows, read in place, added in float64 in the order of the rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from .compiled import kernel
from .lanes import INDEX, Lanes, emitted
from .parallel import run_pieces
from .rows import Rows, Vector

__all__ = ["ORDERED_SUM", "average"]

ORDERED_SUM = "f32-ordered-sum-f64/1"
"""Name of the arithmetic of `average`, which docs/formats.md defines."""

_TILE = 1024  # coordinates whose float64 sums stay in the cache while the rows pass
_PIECE = 64 * _TILE


def average(rows: Rows, weights: Sequence[float] | None = None) -> Vector:
    """Return Σ wᵢ xᵢ / Σ wᵢ, each coordinate summed in float64 over the rows in their order.

    Args:
        rows: n rows of d values.
        weights: n positive finite numbers of moderate size; all one where None.

    Raises:
        InvalidUpdate: a row holds a NaN or an infinity.
    """
    factors = np.ones(rows.n) if weights is None else np.array(weights, dtype=np.float64)
    divisor = 0.0
    for factor in factors.tolist():
        divisor += factor
    result = np.empty(rows.d, dtype=np.float32)
    table = rows.addresses()

    def task(start: int, stop: int) -> int:
        return int(_average(table, factors, divisor, start, stop, result.ctypes.data))

    whole = rows.d // _TILE * _TILE
    spoiled = sum(run_pieces(task, whole, _PIECE))
    if whole < rows.d:
        tail = rows.tail(_TILE)
        end = np.empty(_TILE, dtype=np.float32)
        spoiled += _average(tail.addresses(), factors, divisor, 0, _TILE, end.ctypes.data)
        result[whole:] = end[: rows.d - whole]
    if spoiled:
        rows.refuse_not_finite()
    return result


@kernel
def _average(  # noqa: PLR0917 - compiled code is called by position
    table: Any, factors: Any, divisor: float, start: int, stop: int, out: int
) -> int:
    """Write the means of coordinates start..stop; return 0 if all values were finite."""
    sums = np.empty(_TILE, np.float64)
    spoiled = 0
    for offset in range(start, stop, _TILE):
        sums[:] = 0.0
        for row in range(table.size):
            spoiled |= _accumulate(table[row] + 4 * offset, factors[row], sums.ctypes.data)
        _divide(sums.ctypes.data, divisor, out + 4 * offset)
    return spoiled


@emitted(types.int64, types.int64, types.float64, types.int64)
def _accumulate(lanes: Lanes, row: Any, factor: Any, sums: Any) -> Any:
    """Add factor · row to a tile of sums; return 1 if a value was not finite, else 0."""
    builder = lanes.builder
    weight = lanes.spread(factor)
    spoiled = lanes.variable(lanes.single)
    with lanes.loop(INDEX(_TILE // lanes.width)) as step:
        here = lanes.address(row, step, 4 * lanes.width)
        lanes.prefetch(builder.add(here, INDEX(4 * _TILE)))
        value = lanes.load(here)
        lanes.spoil(spoiled, [value])
        slot = lanes.address(sums, step, 8 * lanes.width)
        product = builder.fmul(lanes.widen(value), weight)
        lanes.store(builder.fadd(lanes.load(slot, lanes.double), product), slot)
    return lanes.any_nan(builder.load(spoiled))


@emitted(types.void, types.int64, types.float64, types.int64)
def _divide(lanes: Lanes, sums: Any, divisor: Any, out: Any) -> None:
    """Write a tile of sums / divisor, rounded to float32."""
    builder = lanes.builder
    below = lanes.spread(divisor)
    with lanes.loop(INDEX(_TILE // lanes.width)) as step:
        total = lanes.load(lanes.address(sums, step, 8 * lanes.width), lanes.double)
        mean = lanes.narrow(builder.fdiv(total, below))
        lanes.store(mean, lanes.address(out, step, 4 * lanes.width))
