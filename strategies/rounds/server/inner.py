"""The Flower strategy inside a `LedgerStrategy`: what it weighs by, wraps, and comes to."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import Strategy

from fedledger.arrays import Arrays, not_finite
from fedledger.errors import ModelError

__all__ = ["as_model", "layers_of", "weight_of"]


def weight_of(strategy: Strategy) -> str | None:
    """Return the metric by which a strategy, or one that it wraps, weighs replies; or None."""
    keys = (getattr(layer, "weighted_by_key", None) for layer in layers_of(strategy))
    return next((key for key in keys if isinstance(key, str)), None)


def layers_of(strategy: Strategy) -> list[Strategy]:
    """Return a strategy and those that it wraps, as Flower's differential privacy does."""
    layers = [strategy]
    while isinstance(inside := getattr(layers[-1], "strategy", None), Strategy):
        if inside in layers:
            break
        layers.append(inside)
    return layers


def as_model(
    arrays: ArrayRecord,
    like: Mapping[str, np.ndarray[Any, Any]],
    initial: Callable[[], Arrays],
) -> Arrays:
    """Return a strategy's arrays in the order and dtypes of the global model.

    Flower's averaging turns integer arrays into float64; they are rounded back.

    Raises:
        ModelError: other keys or shapes, or values that are not finite where the initial model is.
    """
    if set(arrays) != set(like):
        raise ModelError(f"the aggregate has keys {sorted(arrays)}, the model {sorted(like)}")
    model = {}
    for key, old in like.items():
        new = arrays[key].numpy()
        if new.shape != old.shape:
            raise ModelError(f"array {key!r}: shape {new.shape}, the model has {old.shape}")
        if np.issubdtype(old.dtype, np.integer) and np.issubdtype(new.dtype, np.floating):
            _refuse_not_finite({key: new})
            new = np.rint(new)
        with np.errstate(over="ignore"):
            model[key] = np.asarray(new, dtype=old.dtype)
    _refuse_not_finite(model, initial)
    return model


def _refuse_not_finite(model: Arrays, initial: Callable[[], Arrays] | None = None) -> None:
    if (key := not_finite(model, initial)) is not None:
        raise ModelError(f"array {key!r} of the aggregate holds NaN or infinity")
