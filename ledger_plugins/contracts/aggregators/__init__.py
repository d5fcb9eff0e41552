"""Aggregators: several nodes that publish a task's rounds, in turns."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "Aggregators",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Aggregators")},
    holds=("GOVERNOR_ROLE", "LOCKER_ROLE"),
)
"""The contract."""
