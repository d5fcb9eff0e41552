"""PoFL, the proof-of-federated-learning strategy of Bift (section IV, Algorithms 1 and 2)."""

from .beacon import CANDIDATES, MIXED, TRUSTED, Selection, rule_of
from .protocol import PoFLProtocol, PoFLSettings, PoFLState, arithmetic_of, check_rules
from .strategy import PoFL

__all__ = [
    "CANDIDATES",
    "MIXED",
    "TRUSTED",
    "PoFL",
    "PoFLProtocol",
    "PoFLSettings",
    "PoFLState",
    "Selection",
    "arithmetic_of",
    "check_rules",
    "rule_of",
]
