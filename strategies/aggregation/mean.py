"""The mean: FedAvg's rule, not robust at all."""

import math
from collections.abc import Sequence
from numbers import Real

from fedledger.errors import ConfigError

from .kernels.averages import ORDERED_SUM, average
from .kernels.rows import Updates
from .rule import Aggregate, rule

__all__ = ["mean"]


def _requires(byzantine: int, **_parameters: object) -> int:  # noqa: ARG001 - any f is accepted
    return 1


@rule(requires=_requires, arithmetic=ORDERED_SUM)
def mean(
    updates: Updates, *, weights: Sequence[float] | None = None, byzantine: int = 0
) -> Aggregate:
    """Return Σ wᵢ xᵢ / Σ wᵢ.

    Tolerates no byzantine client: one update moves the result anywhere. `byzantine` is accepted
    so that all rules are called alike, and only checked. O(n d) time; no copy of the updates.

    Args:
        updates: n vectors of d float32 values, or an array (n, d).
        weights: n positive finite numbers, such as sample counts; equal weights where None.
        byzantine: f, without effect.

    Returns:
        d float32 values, each summed in float64 in the order of the updates.

    Raises:
        ConfigError: the weights are not n positive finite numbers, or f is no count.
        InvalidUpdate: no updates, or one that is not finite, float32 and of equal length.

    Source: McMahan et al., Communication-efficient learning of deep networks from decentralized
    data, AISTATS 2017, algorithm 1.
    """
    rows, _ = mean.read(updates, byzantine)
    factors = None if weights is None else _checked(weights, rows.n)
    return Aggregate(average(rows, factors), tuple(range(rows.n)))


def _checked(weights: Sequence[float], n: int) -> list[float]:
    """Return the weights divided by the largest, so that no sum of theirs overflows."""
    if len(weights) != n:
        raise ConfigError(f"expected {n} weights, one an update, got {len(weights)}")
    numbers = []
    for position, weight in enumerate(weights):
        number = _as_float(weight)
        if not 0 < number < math.inf:
            raise ConfigError(f"weight {position} must be a positive finite number, got {weight!r}")
        numbers.append(number)
    largest = max(numbers)
    return [number / largest for number in numbers]


def _as_float(weight: object) -> float:
    """Return a real number as float64, infinite beyond its range; NaN where it is none."""
    if isinstance(weight, bool) or not isinstance(weight, Real):
        return math.nan
    try:
        return float(weight)
    except OverflowError:
        return math.inf
