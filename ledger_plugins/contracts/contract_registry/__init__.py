"""ContractRegistry: which contracts an embedded chain has, and how it gains more."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "ContractRegistry",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:ContractRegistry")},
)
"""The contract."""
