"""The kernel of the weighted mean."""

from typing import Any

import numpy as np
from numba import types

from .kernel import kernel
from .lanes import INDEX, Lanes, emitted

__all__ = ["TILE", "weighted_means"]

TILE = 1024  # coordinates whose float64 sums stay in the cache while the rows pass


@kernel
def weighted_means(  # noqa: PLR0917 - compiled code is called by position
    table: Any, factors: Any, divisor: float, start: int, stop: int, out: int
) -> int:
    """Write the means of coordinates start..stop; return 0 if all values were finite."""
    sums = np.empty(TILE, np.float64)
    spoiled = 0
    for offset in range(start, stop, TILE):
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
    with lanes.loop(INDEX(TILE // lanes.width)) as step:
        here = lanes.address(row, step, 4 * lanes.width)
        lanes.prefetch(builder.add(here, INDEX(4 * TILE)))
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
    with lanes.loop(INDEX(TILE // lanes.width)) as step:
        total = lanes.load(lanes.address(sums, step, 8 * lanes.width), lanes.double)
        mean = lanes.narrow(builder.fdiv(total, below))
        lanes.store(mean, lanes.address(out, step, 4 * lanes.width))
