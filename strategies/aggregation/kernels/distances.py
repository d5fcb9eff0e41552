"""Squared Euclidean distances between all rows, read in place, the same bits on every machine.

A segment of 576 coordinates of all rows is copied into the cache once, three rows interleaved to a
panel, and all pairs are taken of the copy, nine at a time: three rows of a panel against three of
another one keep their sums in registers. Differences are taken first and squared after, so a part
that all rows share cancels exactly as it does in the definition, and no reference row is needed. A
Gram matrix would save the subtraction, but not time where additions and multiplications have units
of their own, and it would have to be repaired wherever rows are close to each other.

Coordinate k of a segment goes to lane k mod 16; a lane adds 12 float32 squares at a time, 3 such
sums are added in float32, and from there on everything is float64. With the rounding of the
difference this bounds the relative error by 16 · 2⁻²⁴ < 10⁻⁶; it is about 10⁻⁹ in practice, where
rounding errors average out. A pair whose sum over a segment leaves float32's comfortable range
(10³⁰ outliers, updates near 10⁻²⁰) is done again in float64.
"""

import numpy as np
import numpy.typing as npt

from .parallel import run_pieces
from .rows import Rows

__all__ = ["DISTANCES", "squared_distances"]

DISTANCES = "f32-squared-distances-f64/1"
"""Name of the arithmetic of `squared_distances`, which docs/formats.md defines."""

_SEGMENTS = 64  # in a piece


def squared_distances(rows: Rows) -> npt.NDArray[np.float64]:
    """Return the symmetric matrix (n, n) of squared distances, zero on the diagonal.

    Reads the rows once; O(n² d) time, O(n²) extra memory.

    Raises:
        InvalidUpdate: a row holds a NaN or an infinity.
    """
    from .compiled.distances import SEGMENT, add_distances  # noqa: PLC0415 - see the package

    total = np.zeros((rows.n, rows.n))

    def task(start: int, stop: int) -> npt.NDArray[np.float64]:
        part = np.zeros_like(total)
        add_distances(table, start, stop, part)
        return part

    whole = rows.d // SEGMENT * SEGMENT
    table = rows.addresses()
    for part in run_pieces(task, whole, _SEGMENTS * SEGMENT):
        total += part
    if whole < rows.d:
        tail = rows.tail(SEGMENT)
        add_distances(tail.addresses(), 0, SEGMENT, total)
    if not np.isfinite(total).all():
        rows.refuse_not_finite()
    return total + total.T
