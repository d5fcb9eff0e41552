"""Aggregation rules: pure functions of the clients' updates, fast, exact and the same everywhere.

`rule(updates, *, byzantine)` takes n flat float32 vectors of length d (or one array (n, d)) and
returns one; `rule.aggregate(…)` adds which updates entered it. The same updates in the same order
give the same bits with any number of threads on any processor, so that an auditor can recompute a
published aggregate and compare its hash; `arithmetic(name)` names, with a version, how a rule gets
them. Neither Flower nor a ledger is known here. A result needs numba (extra `server`), and all else
here does not: without it a rule raises NotInstalled.
"""

from .bulyan import bulyan
from .kernels.parallel import threads
from .kernels.rows import Updates, Vector
from .krum import krum
from .mean import mean
from .median import median
from .multi_krum import multi_krum
from .registry import BoundRule, aggregate, arithmetic, check_compiled, get_rule, rules
from .rule import Aggregate, Rule, rule
from .trimmed_mean import trimmed_mean

__all__ = [
    "Aggregate",
    "BoundRule",
    "Rule",
    "Updates",
    "Vector",
    "aggregate",
    "arithmetic",
    "bulyan",
    "check_compiled",
    "get_rule",
    "krum",
    "mean",
    "median",
    "multi_krum",
    "rule",
    "rules",
    "threads",
    "trimmed_mean",
]
