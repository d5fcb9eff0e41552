"""`ThresholdPaillier`: updates that nobody sees, and a sum that a threshold of trainers opens."""

from .protocol import ThresholdPaillierProtocol
from .strategy import DealtKeys, ThresholdPaillier

__all__ = ["DealtKeys", "ThresholdPaillier", "ThresholdPaillierProtocol"]
