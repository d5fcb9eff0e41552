"""PoFL, the proof-of-federated-learning strategy of Bift (section IV, Algorithms 1 and 2)."""

from .protocol import PoFLProtocol, PoFLSettings, PoFLState, arithmetic_of, check_rules, fallback_of
from .selection import CANDIDATES, ELECTION, MIXED, TRUSTED, Selection, rule_of
from .strategy import PoFL

__all__ = [
    "CANDIDATES",
    "ELECTION",
    "MIXED",
    "TRUSTED",
    "PoFL",
    "PoFLProtocol",
    "PoFLSettings",
    "PoFLState",
    "Selection",
    "arithmetic_of",
    "check_rules",
    "fallback_of",
    "rule_of",
]
