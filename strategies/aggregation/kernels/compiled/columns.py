"""The kernels of order statistics: a tile of rows is sorted, and some of them are averaged."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from .kernel import kernel
from .lanes import DOUBLE, INDEX, Lanes, emitted
from .network import BLOCK, LOWER, MERGE, SORT, UPPER

__all__ = ["means_of_columns"]

_LARGEST = np.finfo(np.float32).max  # what missing rows hold: they sort last


@kernel
def means_of_columns(  # noqa: PLR0917 - compiled code is called by position
    rows: Any,
    program: npt.NDArray[np.int64],
    size: int,
    start: int,
    stop: int,
    first: int,
    count: int,
    slides: int,
    out: int,
) -> int:
    """Write the results of coordinates start..stop; return 0 if all values were finite."""
    n = rows.size
    blocks = (n + BLOCK - 1) // BLOCK
    table = np.empty(blocks * BLOCK, np.int64)
    table[:n] = rows
    missing = np.full(size, _LARGEST, np.float32)
    scratch = np.empty((blocks * BLOCK * size + 16) * 4, np.uint8)
    row = 4 * size
    spoiled = 0
    for offset in range(start, stop, size):
        # Asked for in the loop: an array not mentioned any more is freed, whoever has its address.
        tile = (scratch.ctypes.data + 63) // 64 * 64
        for k in range(n, blocks * BLOCK):
            table[k] = missing.ctypes.data - 4 * offset
        for k in range(blocks):
            spoiled |= _load_block(table.ctypes.data, k * BLOCK, offset, row, tile)
        for k in range(program.shape[0]):
            low = tile + program[k, 0] * BLOCK * row
            high = tile + program[k, 1] * BLOCK * row
            if program[k, 2] == LOWER:
                _merge_lower(low, high, row)
            elif program[k, 2] == UPPER:
                _merge_upper(low, high, row)
            else:
                _merge(low, high, row)
        if slides:
            _slide(tile, n, count, slides, row)
        _mean_of_rows(tile + first * row, count, row, out + 4 * offset)
    return spoiled


@emitted(types.int64, *[types.int64] * 5)
def _load_block(  # noqa: PLR0917 - compiled code calls it by position
    lanes: Lanes, table: Any, first: Any, offset: Any, row: Any, tile: Any
) -> Any:
    """Copy four rows into the tile, sorted; return 1 if a value was not finite, else 0."""
    builder = lanes.builder
    entries = [lanes.address(table, builder.add(first, INDEX(k)), 8) for k in range(BLOCK)]
    sources = [lanes.address(lanes.load(entry, INDEX), offset) for entry in entries]
    targets = _rows(lanes, builder.add(tile, builder.mul(first, row)), row)
    spoiled = lanes.variable(lanes.single)
    with lanes.steps(row) as at:
        values = [lanes.load(builder.add(source, at)) for source in sources]
        for source in sources:
            lanes.prefetch(builder.add(builder.add(source, at), row))
        lanes.spoil(spoiled, values)
        lanes.sort(values, SORT)
        for value, target in zip(values, targets, strict=True):
            lanes.store(value, builder.add(target, at))
    return lanes.any_nan(builder.load(spoiled))


def _merging(kept: range) -> Any:
    """Return the merge of two sorted blocks that writes back the rows `kept` of the eight."""

    @emitted(types.void, *[types.int64] * 3)
    def merge(lanes: Lanes, low: Any, high: Any, row: Any) -> None:
        builder = lanes.builder
        rows = _rows(lanes, low, row) + _rows(lanes, high, row)
        with lanes.steps(row) as at:
            values = [lanes.load(builder.add(address, at)) for address in rows]
            lanes.sort(values, MERGE)
            for k in kept:
                lanes.store(values[k], builder.add(rows[k], at))

    return merge


_merge = _merging(range(2 * BLOCK))
_merge_lower = _merging(range(BLOCK))
_merge_upper = _merging(range(BLOCK, 2 * BLOCK))


@emitted(types.void, *[types.int64] * 5)
def _slide(  # noqa: PLR0917 - compiled code calls it by position
    lanes: Lanes, tile: Any, n: Any, count: Any, slides: Any, row: Any
) -> None:
    """Move the `count` values nearest to the median into the last `count` of n sorted rows.

    The values kept are neighbours in the sorted order: a window that starts at the smallest
    `count` and moves up by one as long as the value it takes in is nearer to the median than the
    one it loses. So each step writes the nearer of rows k and k + count to row k + count. Where the
    window has stopped, its values come round in turn: the last rows hold them in rotated order.

    The higher one is nearer if both add to less than twice the median. Rounding to float32 keeps
    the order of two sums or makes them equal; only where it did, float64 decides.
    """
    builder = lanes.builder
    half = lanes.splat(lanes.double, 0.5)
    below, above = (
        builder.add(tile, builder.mul(builder.udiv(middle, INDEX(2)), row))
        for middle in (builder.sub(n, INDEX(1)), n)
    )
    with lanes.steps(row) as at:
        pair = [lanes.load(builder.add(middle, at)) for middle in (below, above)]
        twice = builder.fadd(*pair)
        median = builder.fmul(builder.fadd(*map(lanes.widen, pair)), half)
        with lanes.loop(slides) as k:
            lost = builder.add(builder.add(tile, at), builder.mul(k, row))
            taken = builder.add(lost, builder.mul(count, row))
            low, high = lanes.load(lost), lanes.load(taken)
            both = builder.fadd(low, high)
            nearer = builder.fcmp_ordered("<", both, twice)
            lanes.store(builder.select(nearer, high, low), taken)
            differs = builder.fcmp_ordered("!=", both, twice)
            same = builder.fcmp_ordered("==", low, high)
            with lanes.unless_all(builder.or_(differs, same)):
                down = builder.fsub(median, lanes.widen(low))
                up = builder.fsub(lanes.widen(high), median)
                exact = builder.fcmp_ordered("<", up, down)
                nearer = builder.select(differs, nearer, exact)
                lanes.store(builder.select(nearer, high, low), taken)


@emitted(types.void, *[types.int64] * 4)
def _mean_of_rows(lanes: Lanes, first: Any, count: Any, row: Any, out: Any) -> None:
    """Write the mean of `count` rows of the tile, summed in float64, rounded to float32."""
    builder = lanes.builder
    divisor = lanes.spread(builder.sitofp(count, DOUBLE))
    with lanes.steps(row) as at:
        total = lanes.variable(lanes.double)
        here = builder.add(first, at)
        with lanes.loop(count) as k:
            value = lanes.load(builder.add(here, builder.mul(k, row)))
            builder.store(builder.fadd(builder.load(total), lanes.widen(value)), total)
        mean = lanes.narrow(builder.fdiv(builder.load(total), divisor))
        lanes.store(mean, builder.add(out, at))


def _rows(lanes: Lanes, first: Any, row: Any) -> list[Any]:
    """Emit the addresses of four rows of the tile."""
    builder = lanes.builder
    return [builder.add(first, builder.mul(row, INDEX(k))) for k in range(BLOCK)]
