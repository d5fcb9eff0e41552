"""ThresholdKeys: keys that a threshold of trainers use together, and who accepted them."""

from ..registry import Contract, Version

__all__ = ["CONTRACT"]

CONTRACT = Contract(
    "ThresholdKeys",
    versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:ThresholdKeys")},
)
"""The contract."""
