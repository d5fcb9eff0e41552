"""Bonds: deposits of accounts, which contracts lock, release and take away."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "Bonds",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Bonds")},
)
"""The contract."""
