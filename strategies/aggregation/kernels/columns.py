"""Order statistics of every coordinate: rows read in place, sorted tile by tile in the cache.

A tile holds all rows of a few hundred coordinates. Whole rows of it are compared and exchanged by a
sorting network, one lane a coordinate, so there is no branch and nothing depends on the values.
Every result is the mean of kept values, added in float64 in an order that the values alone decide:
it does not depend on the order of the rows, and values that were cut off have no part in it.
`mean_of_middle` adds from the smallest kept value on, `mean_of_nearest` in the order in which its
window leaves them (`_slide` in `compiled`).
"""

import numpy as np

from .parallel import run_pieces
from .rows import Rows, Vector

__all__ = ["NEAREST_SUM", "SORTED_SUM", "mean_of_middle", "mean_of_nearest"]

SORTED_SUM = "f32-sorted-sum-f64/1"
"""Name of the arithmetic of `mean_of_middle`, which docs/formats.md defines."""

NEAREST_SUM = "f32-nearest-sum-f64/1"
"""Name of the arithmetic of `mean_of_nearest`."""

_TILE_VALUES = 28 * 1024  # 112 KiB of float32: rows long enough to loop over, in the second cache
_PIECE = 1 << 16


def mean_of_middle(rows: Rows, cut: int) -> Vector:
    """Return, of every coordinate, the mean without the `cut` smallest and largest values.

    O(d n log² n) time, O(d) extra memory (the result) and a tile of 112 KiB a thread.

    Args:
        rows: n > 2·cut rows of d values.
        cut: how many values go on each side.

    Raises:
        InvalidUpdate: a row holds a NaN or an infinity.
    """
    return _statistic(rows, cut, rows.n - 2 * cut, 0)


def mean_of_nearest(rows: Rows, count: int) -> Vector:
    """Return, of every coordinate, the mean of the `count` values nearest to the median.

    Of two values equally near, the smaller one counts. Cost as of `mean_of_middle`.

    Args:
        rows: n rows of d values.
        count: how many values to keep, 1 to n.

    Raises:
        InvalidUpdate: a row holds a NaN or an infinity.
    """
    return _statistic(rows, rows.n - count, count, rows.n - count)


def _statistic(rows: Rows, first: int, count: int, slides: int) -> Vector:
    """Return the means of the tile's rows first..first+count after sorting and `slides`."""
    from .compiled.columns import means_of_columns  # noqa: PLC0415 - see the package
    from .compiled.network import BLOCK, merges  # noqa: PLC0415 - the same

    blocks = -(-rows.n // BLOCK)
    size = min(max(_TILE_VALUES // (blocks * BLOCK) // 16 * 16, 16), 512)
    needed = (0, blocks - 1) if slides else (first // BLOCK, (first + count - 1) // BLOCK)
    program = merges(blocks, *needed)
    result = np.empty(rows.d, dtype=np.float32)
    table = rows.addresses()

    def task(start: int, stop: int) -> int:
        target = result.ctypes.data
        return int(
            means_of_columns(table, program, size, start, stop, first, count, slides, target)
        )

    whole = rows.d // size * size
    spoiled = sum(run_pieces(task, whole, _PIECE // size * size))
    if whole < rows.d:
        tail = rows.tail(size)
        end = np.empty(size, dtype=np.float32)
        table = tail.addresses()
        target = end.ctypes.data
        spoiled += means_of_columns(table, program, size, 0, size, first, count, slides, target)
        result[whole:] = end[: rows.d - whole]
    if spoiled:
        rows.refuse_not_finite()
    return result
