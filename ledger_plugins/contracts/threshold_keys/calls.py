"""The call by which a trainer accepts keys, as strategies and clients name it."""

from ...signing import Call

__all__ = ["ACCEPT_KEYS"]

ACCEPT_KEYS = Call("ThresholdKeys", "acceptKeys", event="KeysAccepted", party="trainer")
