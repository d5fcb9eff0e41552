"""Flower strategies whose rounds anyone can check, and the audit that checks them."""

from .anchored import Anchored
from .arrival import ArrivalWindow, SimulatedLatency, WallClock
from .audit import AuditReport, RoundVerdict, audit_ledger, verify_round
from .pofl import PoFL

__all__ = [
    "Anchored",
    "ArrivalWindow",
    "AuditReport",
    "PoFL",
    "RoundVerdict",
    "SimulatedLatency",
    "WallClock",
    "audit_ledger",
    "verify_round",
]
