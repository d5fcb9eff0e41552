"""Beacon: values that nobody knew before, drawn by a task's members."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "Beacon",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Beacon")},
    holds=("LOCKER_ROLE",),
)
"""The contract."""
