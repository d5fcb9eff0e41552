"""The protocols: one file or folder each. What a protocol is stands in `rounds.protocol`."""

from ..rounds.protocol import PROTOCOLS

__all__ = ["PROTOCOLS"]
