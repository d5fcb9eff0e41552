"""Trimmed mean: each coordinate without its f smallest and f largest values."""

from .kernels.columns import SORTED_SUM, mean_of_middle
from .kernels.rows import Updates
from .rule import Aggregate, rule

__all__ = ["trimmed_mean"]


def _requires(byzantine: int) -> int:
    return 2 * byzantine + 1


@rule(requires=_requires, arithmetic=SORTED_SUM)
def trimmed_mean(updates: Updates, *, byzantine: int) -> Aggregate:
    """Return, of every coordinate, the mean of the n - 2f values in the middle.

    Tolerates f byzantine clients of n > 2f. O(d n log² n) time, no copy of the updates. The kept
    values are added up, never the total less the extremes: one value of 10³⁰ would swallow them.

    Args:
        updates: n vectors of d float32 values, or an array (n, d).
        byzantine: f, cut off on each side.

    Returns:
        d float32 values, the same whatever the order of the updates.

    Raises:
        TooFewUpdates: n ≤ 2f.
        ConfigError: f is no count.
        InvalidUpdate: no updates, or one that is not finite, float32 and of equal length.

    Source: Yin et al., Byzantine-robust distributed learning, ICML 2018, definition 2; Bift,
    equation (3). Bift's algorithm 2 keeps n - m values, which cannot be symmetric for odd m.
    """
    rows, byzantine = trimmed_mean.read(updates, byzantine)
    return Aggregate(mean_of_middle(rows, byzantine), tuple(range(rows.n)))
