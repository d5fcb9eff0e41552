"""A client that poisons its own data, in an app of its own: `--malicious label_flip`."""

import numpy as np
from flwr.app import ConfigRecord, Context, RecordDict
from numpy.typing import NDArray

from fedledger.errors import ConfigError

from ..config.choices import Choice, Scalar
from .attacks import Attack, DataPoisoning, load_attack

__all__ = ["MALICIOUS", "attack_named", "has_poisoned", "poisoned"]

MALICIOUS = "malicious"
"""Key in a node config: what its client does, `sign_flip` or `label_flip,source=1,target=7`."""

_POISONED = "fedledger.poisoned"


def attack_named(text: str) -> Attack:
    """Return an attack by its name and parameters: `NAME` or `NAME,KEY=VALUE,…`.

    Raises:
        UnknownNameError: nobody registered the attack, or it takes no such parameter.
        ConfigError: a parameter is missing or does not fit.
    """
    name, *given = [part.strip() for part in text.split(",")]
    parameters = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals:
            raise ConfigError(f"attack {text!r}: KEY=VALUE wanted, not {one!r}")
        parameters[key.strip()] = _value(value.strip())
    return load_attack(Choice(name=name, parameters=parameters))


def poisoned(
    context: Context,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    classes: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return what a client trains on: its data, or what the attack of its node config makes of it.

    Args:
        context: the app's.
        images: (k, channels, height, width).
        labels: (k,).
        classes: number of classes of the data set.

    Raises:
        ConfigError: the attack is none, or does not fit the data.
    """
    named = context.node_config.get(MALICIOUS)
    if named is None:
        return images, labels
    attack = attack_named(str(named))
    if not isinstance(attack, DataPoisoning):
        return images, labels
    context.state[_POISONED] = ConfigRecord({MALICIOUS: str(named)})
    return attack.poison(images, labels, classes=classes)


def has_poisoned(state: RecordDict) -> bool:
    """Tell whether an app with this state has asked `poisoned` for its data."""
    return _POISONED in state


def _value(text: str) -> Scalar:
    for kind in (int, float):
        try:
            found: Scalar = kind(text)
        except ValueError:
            continue
        return found
    return {"true": True, "false": False}.get(text, text)
