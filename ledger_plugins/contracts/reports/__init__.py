"""Reports: pledges of a task's accounts, and accusations that somebody decides."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "Reports",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Reports")},
    holds=("GOVERNOR_ROLE", "LOCKER_ROLE"),
)
"""The contract."""
