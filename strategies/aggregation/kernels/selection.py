"""Krum's choice, on the matrix of squared distances alone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .compiled import kernel

__all__ = ["KRUM_SCORES", "krum_selection"]

KRUM_SCORES = "f64-krum-scores/1"
"""Name of the arithmetic of `krum_selection`, which docs/formats.md defines."""

_TIE = 1e-9


def krum_selection(
    distances: npt.NDArray[np.float64], byzantine: int, keep: int, *, shrinking: bool
) -> tuple[int, ...]:
    """Return the rows Krum selects, sorted.

    A row's score is the sum of its squared distances to its m - f - 2 nearest others, m the number
    of rows it is compared with, itself included (Blanchard et al., NeurIPS 2017, section 4). The
    lowest score is selected; scores within 10⁻⁹ of it, relatively, tie, and the lowest row wins.

    Args:
        distances: (n, n) squared distances, symmetric.
        byzantine: f.
        keep: how many rows to select, 1 to n.
        shrinking: False scores once, with m = n, and takes the `keep` lowest. True is Bulyan's
            iteration (El Mhamdi et al., ICML 2018, section 4): a selected row leaves, and the
            others are scored again among the m rows left, by max(1, m - f - 2) neighbours: the
            last iterations have m - f - 2 below 1 when f is small.
    """
    # Distances alone decide a neighbour's rank, equal ones are summed alike in any order.
    order = np.argsort(distances + np.diag(np.full(len(distances), np.inf)), axis=1, kind="stable")
    chosen = _select(distances, order, byzantine, keep, shrinking)
    return tuple(sorted(int(row) for row in chosen))


@kernel
def _select(distances: Any, order: Any, byzantine: int, keep: int, shrinking: bool) -> Any:  # noqa: FBT001 - compiled code is called by position
    n = distances.shape[0]
    there = np.ones(n, np.bool_)
    scores = np.empty(n, np.float64)
    chosen = np.empty(keep, np.int64)
    for step in range(keep):
        if shrinking or step == 0:
            rows = n - step
            count = max(1, rows - byzantine - 2)
            for row in range(n):
                if there[row]:
                    scores[row] = _score(distances[row], order[row], there, min(count, rows - 1))
        lowest = np.inf
        for row in range(n):
            if there[row] and scores[row] < lowest:
                lowest = scores[row]
        for row in range(n):
            if there[row] and scores[row] <= lowest * (1.0 + _TIE):
                chosen[step] = row
                there[row] = False
                break
    return chosen


@kernel
def _score(distances: Any, order: Any, there: Any, count: int) -> float:
    """Return the sum of the `count` smallest distances to rows still there, smallest first."""
    total = 0.0
    taken = 0
    for other in order:
        if taken == count:
            break
        if there[other]:
            total += distances[other]
            taken += 1
    return total
