"""TrainingTask: federated training on a ledger, one round after the other."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "TrainingTask",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:TrainingTask")},
    holds=("MINTER_ROLE",),
)
"""The contract."""
