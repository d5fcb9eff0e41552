"""The floor under everything that reads its input once: the bandwidth of this machine's memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from ...strategies.aggregation.kernels.compiled.kernel import kernel
from ...strategies.aggregation.kernels.compiled.lanes import INDEX, Lanes, emitted
from ...strategies.aggregation.kernels.parallel import run_pieces

__all__ = ["read_once"]

_AHEAD = 4096
_SUMS = 4


def read_once(arrays: Sequence[npt.NDArray[np.float32]]) -> float:
    """Load every value of the arrays once, with the threads a rule would use; return their sum.

    Memory is asked for a page ahead, and nothing is done with the values that would take longer
    than loading them.
    """
    size = min(array.size for array in arrays)

    def task(start: int, stop: int) -> float:
        return float(sum(_load(a.ctypes.data + 4 * start, stop - start) for a in arrays))

    return sum(run_pieces(task, size, 1 << 16))


@kernel
def _load(address: int, count: int) -> float:
    return float(_sum(address, count))


@emitted(types.float32, types.int64, types.int64)
def _sum(lanes: Lanes, address: Any, count: Any) -> Any:
    """Add up `count` values, of which the last few may be left out."""
    builder = lanes.builder
    places = [lanes.variable(lanes.single) for _ in range(_SUMS)]
    step = 4 * _SUMS * lanes.width
    with lanes.loop(builder.udiv(count, INDEX(_SUMS * lanes.width))) as k:
        here = lanes.address(address, k, step)
        for line in range(0, step, 64):
            lanes.prefetch(builder.add(here, INDEX(_AHEAD + line)))
        for number, place in enumerate(places):
            value = lanes.load(builder.add(here, INDEX(4 * number * lanes.width)))
            builder.store(builder.fadd(builder.load(place), value), place)
    total = builder.load(places[0])
    for place in places[1:]:
        total = builder.fadd(total, builder.load(place))
    return lanes.total(total)
