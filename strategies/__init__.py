"""Flower strategies whose rounds anyone can check, and the audit that checks them."""

from .audit import AuditReport, RoundVerdict, audit_ledger, verify_round
from .protocols.anchored import Anchored
from .protocols.pofl import PoFL
from .rounds.arrival import ArrivalWindow, LedgerClock, SimulatedLatency, WallClock
from .rounds.server.strategy import LedgerStrategy

__all__ = [
    "Anchored",
    "ArrivalWindow",
    "AuditReport",
    "LedgerClock",
    "LedgerStrategy",
    "PoFL",
    "RoundVerdict",
    "SimulatedLatency",
    "WallClock",
    "audit_ledger",
    "verify_round",
]
