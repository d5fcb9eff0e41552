"""What an audit finds, round by round."""

from dataclasses import asdict, dataclass
from typing import Any

from ...ledger_plugins.base import Head
from ..rounds.answers.faults import ProvedFault
from ..rounds.evidence.checks import Check, Outcome, Witness
from ..rounds.evidence.record import RoundRecord
from .money import Money
from .spot import Spot

__all__ = ["ATTESTED", "PROVED", "AuditReport", "ReportVerdict", "RoundVerdict"]

ATTESTED = "attested"
PROVED = "proved"


@dataclass(frozen=True, slots=True)
class RoundVerdict:
    """What the audit found in one round.

    Attributes:
        record: what happened in it.
        outcome: the sum of its checks.
        aggregate: "proved" when the round was replayed to the published model; "attested" when its
            protocol declares that the model is the aggregator's word; "" when it was not reached.
        checks: what was compared; the last one failed, where one did.
        reason: why it failed or could not be checked, or None.
        witness: where to look, when it failed.
        faults: which answers are provably wrong, as far as the replay has come.
    """

    record: RoundRecord
    outcome: Outcome
    aggregate: str
    checks: tuple[Check, ...] = ()
    reason: str | None = None
    witness: Witness | None = None
    faults: tuple[ProvedFault, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything follows."""
        return self.outcome is Outcome.PASSED

    @property
    def task(self) -> int:
        """The task's number."""
        return self.record.task

    @property
    def model_id(self) -> str:
        """The task's name."""
        return self.record.model_id

    @property
    def round(self) -> int:
        """The round, from 1; 0 stands for the task as a whole."""
        return self.record.round

    @property
    def rule(self) -> str:
        """The rule used."""
        return self.record.rule

    @property
    def accepted(self) -> int:
        """Number of answers that counted in the first phase."""
        return self.record.accepted

    @property
    def contributors(self) -> int:
        """Number of clients rewarded."""
        return len(self.record.contributors)

    @property
    def late(self) -> int:
        """Number of answers that came too late."""
        return self.record.late

    @property
    def dropped(self) -> int:
        """Number of answers that did not count, late ones aside."""
        return self.record.dropped

    @property
    def sentence(self) -> str:
        """Where something is wrong or could not be checked, and what."""
        where = f"task {self.task} ({self.model_id})"
        return (
            f"{where}, round {self.round}: {self.reason}"
            if self.round
            else f"{where}: {self.reason}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "task": self.task,
            "model_id": self.model_id,
            "round": self.round,
            "passed": self.passed,
            "outcome": self.outcome.value,
            "aggregate": self.aggregate,
            "reason": self.reason,
            "witness": asdict(self.witness) if self.witness else None,
            "checks": [check.to_json() for check in self.checks],
            "faults": [asdict(fault) for fault in self.faults],
            "record": self.record.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """What the audit found about a report that was decided.

    Attributes:
        report: its id in hexadecimal.
        kind: its kind.
        task: the task's number.
        round: the round it is about.
        subject: the accused.
        guilty: what was decided.
        outcome: whether that could be verified, and was decided by who may.
        reason: what the audit's own replay says, or what is wrong.
        follows: whether the subject is guilty by that replay; None where there is none.
        wrong: who gave another verdict than follows.
    """

    report: str
    kind: str
    task: int
    round: int
    subject: str
    guilty: bool
    outcome: Outcome
    reason: str
    follows: bool | None = None
    wrong: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What a person has to hear of it."""
        where = f"report {self.report[:12]} on round {self.round} of task {self.task}"
        said = f"{where}: decided {'guilty' if self.guilty else 'innocent'}; {self.reason}"
        if self.wrong:
            said += f"; WRONG VERDICTS by {', '.join(self.wrong)}"
        return said

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "outcome": self.outcome.value, "wrong": list(self.wrong)}


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The audit's result.

    Attributes:
        outcome: the worst of the ledger's and the rounds'.
        reason: the first failure, or what could not be checked, or None.
        head: the ledger's newest block, or None when the ledger itself does not verify.
        rounds: a verdict for each round.
        caveat: what could not be checked about the ledger itself, or None.
        money: the ledger's tokens, or None where they could not be followed.
        spot: which rounds were drawn, where not all were replayed.
        reports: what it found about each report that was decided.
    """

    outcome: Outcome
    reason: str | None
    head: Head | None
    rounds: tuple[RoundVerdict, ...]
    caveat: str | None = None
    money: Money | None = None
    spot: Spot | None = None
    reports: tuple[ReportVerdict, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the ledger verifies and every round passed."""
        return self.outcome is Outcome.PASSED

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "outcome": self.outcome.value,
            "reason": self.reason,
            "head": asdict(self.head) if self.head else None,
            "rounds": [verdict.to_json() for verdict in self.rounds],
            "caveat": self.caveat,
            "money": self.money.to_json() if self.money else None,
            "spot": self.spot.to_json() if self.spot else None,
            "reports": [one.to_json() for one in self.reports],
        }
