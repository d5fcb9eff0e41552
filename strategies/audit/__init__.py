"""The audit: replay every round from the ledger and the store alone."""

from .ledger import audit_ledger, verify_round
from .verdicts import ATTESTED, PROVED, AuditReport, RoundVerdict

__all__ = ["ATTESTED", "PROVED", "AuditReport", "RoundVerdict", "audit_ledger", "verify_round"]
