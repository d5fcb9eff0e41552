"""Bulyan: Krum again and again, then a trimmed mean around the median of what it selected."""

from .kernels.columns import NEAREST_SUM, mean_of_nearest
from .kernels.distances import DISTANCES, squared_distances
from .kernels.rows import Updates
from .kernels.selection import KRUM_SCORES, krum_selection
from .rule import Aggregate, rule

__all__ = ["bulyan"]


def _requires(byzantine: int, *, strict: bool = True) -> int:
    return 4 * byzantine + 3 if strict else 2 * byzantine + 3


@rule(requires=_requires, arithmetic=f"{DISTANCES}+{KRUM_SCORES}+{NEAREST_SUM}")
def bulyan(updates: Updates, *, byzantine: int, strict: bool = True) -> Aggregate:
    """Return, of every coordinate, the mean of the β values nearest the median of θ updates.

    θ = n - 2f updates are selected by Krum, one at a time: the one with the lowest score leaves,
    and the m left are scored again by their max(1, m - f - 2) nearest among themselves. Then, of
    each coordinate, the β = θ - 2f values nearest the median of the θ are averaged; of two equally
    near, the smaller counts first.

    Tolerates f byzantine clients of n ≥ 4f + 3. O(n² d) time for the distances, which are taken
    once, O(θ n²) for the selection, O(d θ log² θ) for the rest; no copy of the updates.

    With `strict=False`, n ≥ 2f + 3 is enough: θ stays n - 2f, and β = θ - 2f is raised to 1 (θ odd)
    or 2 (θ even) where it is below, which makes the second step the median of the θ. The paper's
    guarantee does not hold then, and `Aggregate.clamped` says so whenever n < 4f + 3.

    Args:
        updates: n vectors of d float32 values, or an array (n, d).
        byzantine: f.
        strict: refuse n < 4f + 3.

    Returns:
        d float32 values.

    Raises:
        TooFewUpdates: n < 4f + 3, or n < 2f + 3 where not strict.
        ConfigError: f is no count.
        InvalidUpdate: no updates, or one that is not finite, float32 and of equal length.

    Source: El Mhamdi et al., The hidden vulnerability of distributed learning in Byzantium, ICML
    2018, section 4; Bift, algorithm 2.
    """
    rows, byzantine = bulyan.read(updates, byzantine, strict=strict)
    theta = rows.n - 2 * byzantine
    beta = max(theta - 2 * byzantine, 2 - theta % 2)
    selected = krum_selection(squared_distances(rows), byzantine, theta, shrinking=True)
    vector = mean_of_nearest(rows.take(selected), beta)
    return Aggregate(vector, selected, clamped=rows.n < bulyan.required(byzantine))
