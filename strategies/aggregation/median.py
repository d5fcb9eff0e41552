"""Median: the middle value of each coordinate."""

from .kernels.columns import SORTED_SUM, mean_of_middle
from .kernels.rows import Updates
from .rule import Aggregate, rule

__all__ = ["median"]


def _requires(byzantine: int) -> int:
    return 2 * byzantine + 1


@rule(requires=_requires, arithmetic=SORTED_SUM)
def median(updates: Updates, *, byzantine: int = 0) -> Aggregate:
    """Return the median of every coordinate; of an even n, the mean of the middle two.

    Tolerates f byzantine clients of n > 2f. O(d n log² n) time, no copy of the updates.

    Args:
        updates: n vectors of d float32 values, or an array (n, d).
        byzantine: f, for the precondition only.

    Returns:
        d float32 values, the same whatever the order of the updates.

    Raises:
        TooFewUpdates: n ≤ 2f.
        ConfigError: f is no count.
        InvalidUpdate: no updates, or one that is not finite, float32 and of equal length.

    Source: Yin et al., Byzantine-robust distributed learning, ICML 2018, definition 1.
    """
    rows, byzantine = median.read(updates, byzantine)
    return Aggregate(mean_of_middle(rows, (rows.n - 1) // 2), tuple(range(rows.n)))
