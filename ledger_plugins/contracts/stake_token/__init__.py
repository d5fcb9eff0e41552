"""StakeToken: the token that rewards training."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "StakeToken",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:StakeToken")},
)
"""The contract."""
