"""Krum: the one update with the closest neighbours."""

from .kernels.distances import DISTANCES, squared_distances
from .kernels.rows import Updates
from .kernels.selection import KRUM_SCORES, krum_selection
from .rule import Aggregate, rule

__all__ = ["krum"]


def _requires(byzantine: int) -> int:
    return 2 * byzantine + 3


@rule(requires=_requires, arithmetic=f"{DISTANCES}+{KRUM_SCORES}")
def krum(updates: Updates, *, byzantine: int) -> Aggregate:
    """Return the update whose n - f - 2 nearest others are nearest, by squared distance.

    Tolerates f byzantine clients of n ≥ 2f + 3. O(n² d) time, O(n²) extra memory beside the result;
    the updates are read once, in place. Distances are relative to nothing but each other: a part
    that all updates share does not blur them.

    Args:
        updates: n vectors of d float32 values, or an array (n, d).
        byzantine: f.

    Returns:
        d float32 values, a copy of one update. Equal scores (within 10⁻⁹): the first of them.

    Raises:
        TooFewUpdates: n < 2f + 3.
        ConfigError: f is no count.
        InvalidUpdate: no updates, or one that is not finite, float32 and of equal length.

    Source: Blanchard et al., Machine learning with adversaries: Byzantine tolerant gradient
    descent, NeurIPS 2017, section 4. Bift's algorithm 2 sums the distances to all others instead,
    which a single far update spoils.
    """
    rows, byzantine = krum.read(updates, byzantine)
    selected = krum_selection(squared_distances(rows), byzantine, 1, shrinking=False)
    return Aggregate(rows.arrays[selected[0]].copy(), selected)
