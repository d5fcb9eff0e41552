"""The kernels of the squared distances: panels of three rows, nine pairs at a time."""

from typing import Any

import numpy as np
from numba import types

from .kernel import kernel
from .lanes import DOUBLE, FLOAT, INDEX, Lanes, emitted

__all__ = ["SEGMENT", "add_distances"]

_LANES = 16
_CHAIN = 12
_CHAINS = 3
_STEPS = _CHAIN * _CHAINS
SEGMENT = _LANES * _STEPS
_TINY = 1e-28
_PANEL = 3
_PANEL_BYTES = 4 * _PANEL * SEGMENT
# Which of the six rows of two panels make the pairs of a block: one of each, or two of the same.
_ACROSS = [(a, b) for a in range(3) for b in range(3, 6)]
_WITHIN = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
_SLOTS = 12  # a block's sums, filled up to whole groups of four
_PAIRS = np.array([_ACROSS + [(5, 5)] * 3, _WITHIN + [(5, 5)] * 6], dtype=np.int64)
_WORK = 4 * _LANES * len(_ACROSS)  # bytes of a block's float32 sums, lane by lane


@kernel
def add_distances(table: Any, start: int, stop: int, out: Any) -> None:
    """Add to out[p, q], p < q, the squared distances over start..stop."""
    count = (table.size + _PANEL - 1) // _PANEL
    blocks = _blocks(count)
    found = np.zeros((len(blocks), _SLOTS), np.float64)
    sums = np.empty(_SLOTS, np.float64)
    scratch = np.empty(count * _PANEL_BYTES + _WORK + 64, np.uint8)
    for offset in range(start, stop, SEGMENT):
        # Asked for in the loop: an array not mentioned any more is freed, whoever has its address.
        tile = (scratch.ctypes.data + 63) // 64 * 64
        work = tile + count * _PANEL_BYTES
        _pack_rows(table, offset, tile)
        for block in range(len(blocks)):
            # The last panel of an odd number has no other one to go with but itself.
            near = tile + blocks[block, 0] * _PANEL_BYTES
            far = tile + min(blocks[block, 1], count - 1) * _PANEL_BYTES
            if blocks[block, 2]:
                done = _within(near, far, work, sums.ctypes.data)
            else:
                done = _across(near, far, work, sums.ctypes.data)
            if not done:
                _redo(blocks[block], table, offset, sums)
            _add(sums.ctypes.data, found.ctypes.data + 8 * _SLOTS * block)
    for block in range(len(blocks)):
        for slot in range(_SLOTS):
            p, q = _rows(blocks[block], slot)
            if p < q < table.size:
                out[p, q] += found[block, slot]


@kernel
def _redo(block: Any, table: Any, offset: int, sums: Any) -> None:
    """Take a block's sums that leave float32's range again, in float64."""
    for slot in range(_SLOTS):
        if not _TINY < sums[slot] < np.inf:
            p, q = _rows(block, slot)
            if p < q < table.size:
                sums[slot] = _pair(table[p] + 4 * offset, table[q] + 4 * offset)


@kernel
def _blocks(count: int) -> Any:
    """Return the blocks that hold every pair of rows once: left panel, right panel, within them.

    Two left panels take turns with each right one, which stays in the first cache meanwhile.
    """
    blocks = np.empty(((count * count + 1) // 2, 3), np.int64)
    size = 0
    for i in range(0, count, 2):
        blocks[size] = i, i + 1, 1
        size += 1
        for j in range(i + 1, count):
            for left in range(i, min(i + 2, j)):
                blocks[size] = left, j, 0
                size += 1
    return blocks[:size]


@kernel
def _rows(block: Any, slot: int) -> tuple[int, int]:
    """Return the rows whose sum is in a slot of a block; not p < q < n where it holds nothing."""
    left, right, within = block
    a, b = _PAIRS[within, slot]
    p = (left if a < _PANEL else right) * _PANEL + a % _PANEL
    q = (left if b < _PANEL else right) * _PANEL + b % _PANEL
    return p, q


@kernel
def _pack_rows(table: Any, offset: int, tile: int) -> None:
    """Copy a segment of all rows into the tile, panel by panel; the last row fills the last one."""
    sources = np.empty(_PANEL, np.int64)
    last = table.size - 1
    for panel in range(table.size // _PANEL + (table.size % _PANEL > 0)):
        for k in range(_PANEL):
            sources[k] = table[min(panel * _PANEL + k, last)] + 4 * offset
        _pack(sources.ctypes.data, tile + panel * _PANEL_BYTES)


@emitted(types.void, *[types.int64] * 2)
def _pack(lanes: Lanes, sources: Any, panel: Any) -> None:
    """Copy three rows of a segment, vectors interleaved, and fetch their part of the next one.

    A vector narrower than the 16 lanes takes them in turns: first all of the lower ones.
    """
    builder = lanes.builder
    size = 4 * lanes.width
    rows = [lanes.load(builder.add(sources, INDEX(8 * k)), INDEX) for k in range(_PANEL)]
    with lanes.loop(INDEX(_STEPS)) as step:
        there = lanes.address(panel, step, _PANEL * size)
        for k, row in enumerate(rows):
            here = lanes.address(row, step, 4 * _LANES)
            lanes.prefetch(builder.add(here, INDEX(4 * SEGMENT)))
            for part in range(_LANES // lanes.width):
                value = lanes.load(builder.add(here, INDEX(part * size)))
                place = (part * _STEPS * _PANEL + k) * size
                lanes.store(value, builder.add(there, INDEX(place)))


def _block(pairs: list[tuple[int, int]]) -> Any:
    """Return the kernel that sums squared differences of `pairs` of two panels' rows."""

    @emitted(types.int64, *[types.int64] * 4)
    def kernel(lanes: Lanes, left: Any, right: Any, work: Any, out: Any) -> Any:
        """Write the pairs' sums; return 0 if one needs float64."""
        builder = lanes.builder
        size = 4 * lanes.width
        with lanes.loop(INDEX(_LANES // lanes.width)) as part:
            panels = [lanes.address(at, part, _STEPS * _PANEL * size) for at in (left, right)]
            totals = lanes.address(work, part, size)
            for chain in range(_CHAINS):
                for k, square in enumerate(_squares(lanes, panels, pairs, chain * _CHAIN)):
                    place = builder.add(totals, INDEX(4 * _LANES * k))
                    total = builder.fadd(lanes.load(place), square) if chain else square
                    lanes.store(total, place)
        done = INDEX(1)
        for first in range(0, _SLOTS, 4):
            slots = [min(slot, len(pairs) - 1) for slot in range(first, first + 4)]
            result = lanes.totals([_widened(lanes, work, slot) for slot in slots])
            lanes.store(result, builder.add(out, INDEX(8 * first)))
            above = builder.fcmp_ordered(">", result, lanes.splat(result.type, _TINY))
            below = builder.fcmp_ordered("<", result, lanes.splat(result.type, float("inf")))
            done = builder.and_(done, lanes.all_true(builder.and_(above, below)))
        return done

    return kernel


_across = _block(_ACROSS)
_within = _block(_WITHIN)


def _squares(
    lanes: Lanes, panels: list[Any], pairs: list[tuple[int, int]], first: int
) -> list[Any]:
    """Emit the sums of the pairs' squared differences over one chain of steps."""
    builder = lanes.builder
    squares: list[Any] = [None] * len(pairs)
    for step in range(first, first + _CHAIN):
        places = [INDEX((step * _PANEL + k) * 4 * lanes.width) for k in range(_PANEL)]
        rows = [lanes.load(builder.add(panel, place)) for panel in panels for place in places]
        # Each difference is used at once: together they would not fit into the registers.
        for k, (a, b) in enumerate(pairs):
            gap = builder.fsub(rows[a], rows[b])
            squares[k] = lanes.fma(gap, gap, squares[k]) if step > first else builder.fmul(gap, gap)
    return squares


def _widened(lanes: Lanes, work: Any, slot: int) -> Any:
    """Emit a pair's 16 sums as float64."""
    place = lanes.builder.add(work, INDEX(4 * _LANES * slot))
    total = lanes.load(place, lanes.vector(FLOAT, _LANES))
    return lanes.builder.fpext(total, lanes.vector(DOUBLE, _LANES))


@emitted(types.void, *[types.int64] * 2)
def _add(lanes: Lanes, sums: Any, found: Any) -> None:
    """Add a block's sums to those found before."""
    kind = lanes.vector(DOUBLE, _SLOTS)
    lanes.store(lanes.builder.fadd(lanes.load(found, kind), lanes.load(sums, kind)), found)


@emitted(types.float64, *[types.int64] * 2)
def _pair(lanes: Lanes, first: Any, second: Any) -> Any:
    """Return the sum of squared differences of two rows of a segment, all of it in float64."""
    builder = lanes.builder
    single, double = (lanes.vector(kind, _LANES) for kind in (FLOAT, DOUBLE))
    total = lanes.variable(double)
    with lanes.loop(INDEX(_STEPS)) as step:
        a, b = (
            builder.fpext(lanes.load(lanes.address(row, step, 4 * _LANES), single), double)
            for row in (first, second)
        )
        gap = builder.fsub(a, b)
        builder.store(lanes.fma(gap, gap, builder.load(total)), total)
    return lanes.total(builder.load(total))
