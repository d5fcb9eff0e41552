"""What an audit finds, round by round."""

from dataclasses import asdict, dataclass
from typing import Any

from ..ledger_plugins.base import Head

__all__ = ["ATTESTED", "PROVED", "AuditReport", "RoundVerdict"]

ATTESTED = "attested"
PROVED = "proved"


@dataclass(frozen=True, slots=True)
class RoundVerdict:
    """What the audit found in one round.

    Attributes:
        task: the task's id.
        model_id: the task's name.
        round: the round, from 1; 0 stands for the task as a whole.
        passed: whether everything follows.
        aggregate: "proved" when the aggregate was recomputed, "attested" when the strategy keeps
            state that an auditor does not have and the aggregator's signature must do.
        rule: the rule used.
        accepted: number of updates that counted.
        contributors: number of clients rewarded.
        late: number of updates that came too late.
        dropped: number of replies that did not count, late ones aside.
        reason: why it failed, or None.
    """

    task: int
    model_id: str
    round: int
    passed: bool
    aggregate: str
    rule: str
    accepted: int
    contributors: int
    late: int
    dropped: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The audit's result.

    Attributes:
        passed: whether the ledger verifies and every round passed.
        reason: the first failure, or None.
        head: the ledger's newest block, or None when the ledger itself does not verify.
        rounds: a verdict for each round.
        caveat: what could not be checked about the ledger itself, or None.
    """

    passed: bool
    reason: str | None
    head: Head | None
    rounds: tuple[RoundVerdict, ...]
    caveat: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)
