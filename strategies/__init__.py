"""Flower strategies whose rounds anyone can check, and the audit that checks them."""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

from .audit import AuditReport, RoundVerdict, audit_ledger, verify_round
from .protocols.anchored import Anchored
from .protocols.pofl import PoFL
from .rounds.arrival import ArrivalWindow, LedgerClock, SimulatedLatency, WallClock
from .rounds.server.strategy import LedgerStrategy

if TYPE_CHECKING:
    from .protocols.threshold_paillier.strategy import DealtKeys, ThresholdPaillier

__all__ = [
    "Anchored",
    "ArrivalWindow",
    "AuditReport",
    "DealtKeys",
    "LedgerClock",
    "LedgerStrategy",
    "PoFL",
    "RoundVerdict",
    "SimulatedLatency",
    "ThresholdPaillier",
    "WallClock",
    "audit_ledger",
    "verify_round",
]

_ENCRYPTED = "protocols.threshold_paillier.strategy"

__getattr__ = lazily(
    __name__, {"DealtKeys": _ENCRYPTED, "ThresholdPaillier": _ENCRYPTED}, "paillier"
)
