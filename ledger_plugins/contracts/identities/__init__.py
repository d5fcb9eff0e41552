"""Identities: the keys that accounts publish, besides the one that they sign with."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "Identities",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Identities")},
)
"""The contract."""
