"""Krum's choice, on the matrix of squared distances alone."""

import numpy as np
import numpy.typing as npt

__all__ = ["KRUM_SCORES", "krum_selection"]

KRUM_SCORES = "f64-krum-scores/1"
"""Name of the arithmetic of `krum_selection`, which docs/formats.md defines."""


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
    from .compiled.selection import select  # noqa: PLC0415 - see the package

    # Distances alone decide a neighbour's rank, equal ones are summed alike in any order.
    order = np.argsort(distances + np.diag(np.full(len(distances), np.inf)), axis=1, kind="stable")
    chosen = select(distances, order, byzantine, keep, shrinking)
    return tuple(sorted(int(row) for row in chosen))
