"""Membership: who takes part in a task, from round to round."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "Membership",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Membership")},
    holds=("GOVERNOR_ROLE",),
)
"""The contract."""
