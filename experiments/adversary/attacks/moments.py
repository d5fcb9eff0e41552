"""Statistics over models, coordinate by coordinate, in float64 and without a copy of all of them.

Coordinates are taken in pieces small enough for the cache and shared among threads. A piece's size
does not depend on the number of threads, and no sum is left to a BLAS, so the same models give the
same bits.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ....strategies.aggregation.kernels.parallel import run_pieces
from .base import Matrix

__all__ = ["Float64", "changing_direction", "in_pieces", "mean", "mean_and_deviation"]

Float64 = NDArray[np.float64]

_PIECE = 1 << 14


def in_pieces(task: Callable[[slice], Float64 | None], size: int) -> list[Float64]:
    """Call `task` with slices that cover 0..size and return what is not None, in order."""

    def one(start: int, stop: int) -> Float64 | None:
        return task(slice(start, stop))

    return [part for part in run_pieces(one, size, _PIECE) if part is not None]


def mean(*groups: Matrix) -> Float64:
    """Return the mean model, (d,), of all rows of all groups.

    Args:
        groups: arrays (k, d) with at least one row in all.
    """
    total = np.empty(groups[0].shape[1])

    def task(part: slice) -> None:
        sums = [rows[:, part].sum(axis=0, dtype=np.float64) for rows in groups]
        total[part] = sum(sums) / sum(len(rows) for rows in groups)

    in_pieces(task, total.size)
    return total


def mean_and_deviation(rows: Matrix) -> tuple[Float64, Float64]:
    """Return the mean and the standard deviation of each coordinate, (d,) both.

    The deviation is that of a Gaussian fitted to the rows: the root of the mean square.
    """
    center, deviation = np.empty(rows.shape[1]), np.empty(rows.shape[1])

    def task(part: slice) -> None:
        block = rows[:, part].astype(np.float64)
        center[part] = block.mean(axis=0)
        block -= center[part]
        deviation[part] = np.sqrt(np.einsum("ij,ij->j", block, block) / len(block))

    in_pieces(task, center.size)
    return center, deviation


def changing_direction(before: Float64, model: NDArray[np.float32]) -> Matrix:
    """Return s: 1 where a parameter would grow in this round without the attack, else -1.

    It is the sign of the change, not of the weight, and never 0: a parameter that stays counts as
    shrinking (Fang et al., 2020, section 3.2).

    Args:
        before: (d,) the model that the round would lead to.
        model: (d,) w_Re, the model the round began with.
    """
    return np.where(before > model, np.float32(1), np.float32(-1))
