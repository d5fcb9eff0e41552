"""The kernel of Krum's choice."""

from typing import Any

import numpy as np

from .kernel import kernel

__all__ = ["select"]

_TIE = 1e-9


@kernel
def select(distances: Any, order: Any, byzantine: int, keep: int, shrinking: bool) -> Any:  # noqa: FBT001 - compiled code is called by position
    """Return the rows that Krum selects, in the order in which it does."""
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
