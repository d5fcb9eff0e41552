"""The contracts' local twins, which the embedded chain executes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .stake_token.twin import StakeToken
from .training_task.twin import TrainingTask
from .twin import Environment, Key, State, Twin

__all__ = ["TWINS", "Environment", "Key", "State", "Twin", "genesis_states"]

TWINS: Mapping[str, type[Twin]] = MappingProxyType(
    {twin.contract: twin for twin in (StakeToken, TrainingTask)}
)
"""Contract name to twin."""


def genesis_states(admin: str | None, addresses: Mapping[str, str]) -> dict[str, dict[Key, Any]]:
    """Return the storage that every contract starts with, by the contract's name.

    Args:
        admin: the ledger's administrator, who has all roles of StakeToken, or None.
        addresses: contract name to address.
    """
    return {name: twin.genesis(admin, addresses) for name, twin in TWINS.items()}
