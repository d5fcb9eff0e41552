"""The audit: replay every round from the ledger and the store alone."""

from .ledger import audit_ledger, verify_round
from .summary import AuditSummary
from .verdicts import ATTESTED, PROVED, AuditReport, ReportVerdict, RoundVerdict

__all__ = [
    "ATTESTED",
    "PROVED",
    "AuditReport",
    "AuditSummary",
    "ReportVerdict",
    "RoundVerdict",
    "audit_ledger",
    "verify_round",
]
