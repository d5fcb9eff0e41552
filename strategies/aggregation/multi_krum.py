"""Multi-Krum: the mean of the updates with the closest neighbours."""

import numpy as np

from fedledger.errors import ConfigError

from .kernels.averages import ORDERED_SUM, average
from .kernels.distances import DISTANCES, squared_distances
from .kernels.rows import Updates
from .kernels.selection import KRUM_SCORES, krum_selection
from .rule import Aggregate, rule

__all__ = ["multi_krum"]


def _requires(byzantine: int, keep: int | None = None) -> int:
    return max(2 * byzantine + 3, keep or 0)


@rule(requires=_requires, arithmetic=f"{DISTANCES}+{KRUM_SCORES}+{ORDERED_SUM}")
def multi_krum(updates: Updates, *, byzantine: int, keep: int | None = None) -> Aggregate:
    """Return the mean of the `keep` updates with the lowest Krum scores.

    Tolerates f byzantine clients of n ≥ 2f + 3; the larger `keep`, the less of Krum's guarantee
    and the less noise. O(n² d) time, O(n²) extra memory beside the result.

    Args:
        updates: n vectors of d float32 values, or an array (n, d).
        byzantine: f.
        keep: how many to average, 1 to n; n - f where None. 1 is Krum.

    Returns:
        d float32 values. Equal scores (within 10⁻⁹): the first of them.

    Raises:
        TooFewUpdates: n < 2f + 3, or n < keep.
        ConfigError: f or `keep` is no count.
        InvalidUpdate: no updates, or one that is not finite, float32 and of equal length.

    Source: Blanchard et al., NeurIPS 2017, section 4 ("m-Krum").
    """
    if keep is not None and (
        isinstance(keep, bool) or not isinstance(keep, int | np.integer) or keep < 1
    ):
        raise ConfigError(f"keep must be an integer of at least 1, got {keep!r}")
    rows, byzantine = multi_krum.read(updates, byzantine, keep=keep)
    count = rows.n - byzantine if keep is None else int(keep)
    selected = krum_selection(squared_distances(rows), byzantine, count, shrinking=False)
    return Aggregate(average(rows.take(selected)), selected)
