"""Approaches: each kind is the settings of one way to aggregate, told apart by `strategy`.

A kind is one class derived from `Approach` and one line in `KINDS`. It says which strategies it is
for, which keys they have, and builds them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from fedledger.errors import UnknownNameError

from .base import Approach, Surroundings
from .encrypted import EncryptedApproach
from .flower import FlowerApproach, refuse_flower
from .protocol import ProtocolApproach
from .robust import BulyanApproach, PoFLApproach, RobustApproach, RuleApproach

__all__ = [
    "KINDS",
    "AnyApproach",
    "Approach",
    "BulyanApproach",
    "EncryptedApproach",
    "FlowerApproach",
    "PoFLApproach",
    "ProtocolApproach",
    "RobustApproach",
    "RuleApproach",
    "Surroundings",
    "kind_of",
    "strategies",
]

KINDS: dict[str, type[Approach]] = {
    "pofl": PoFLApproach,
    "bulyan": BulyanApproach,
    "rule": RuleApproach,
    "encrypted": EncryptedApproach,
    "protocol": ProtocolApproach,
    "flower": FlowerApproach,
}
"""Name to the settings of a kind; where two have a strategy of the same name, the first counts."""


def kind_of(strategy: str) -> type[Approach]:
    """Return the kind that a strategy is of.

    Raises:
        ConfigError: Flower has it, and it cannot be used here; says why.
        UnknownNameError: no kind has it.
    """
    for kind in KINDS.values():
        if strategy in kind.strategies():
            return kind
    refuse_flower(strategy)
    raise UnknownNameError("strategy", strategy, strategies())


def strategies() -> dict[str, type[Approach]]:
    """Return every strategy that can be named, with its kind."""
    return {name: kind for kind in reversed(KINDS.values()) for name in kind.strategies()}


def _of_its_kind(value: Any) -> Any:
    """Read a table as the kind its `strategy` says, so that errors name that kind's keys."""
    if isinstance(value, Mapping) and isinstance(strategy := value.get("strategy"), str):
        return kind_of(strategy).model_validate(value)
    return value


AnyApproach = Annotated[Approach, BeforeValidator(_of_its_kind)]
"""An approach of any kind, as a field of a model."""
