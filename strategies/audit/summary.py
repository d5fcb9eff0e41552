"""What an audit comes to, in numbers: how much was proved, and what was not checked and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..rounds.evidence.checks import Outcome
from ..rounds.evidence.record import RoundRecord
from ..rounds.evidence.tally import Tally
from .money import Money
from .verdicts import ATTESTED, PROVED, ReportVerdict, RoundVerdict

__all__ = ["ATTESTED_MEANS", "AuditSummary"]

ATTESTED_MEANS = (
    "attested: the model is the aggregator's word, since the Flower strategy that made it may keep "
    "what no auditor has; signatures, contents, contributors and rewards were checked"
)


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """The sum of verdicts.

    Attributes:
        outcomes: rounds by the outcome's value.
        proved: rounds that passed and whose model was recomputed.
        attested: rounds that passed and whose model is the aggregator's word.
        tally: what became of rounds and answers, as the evidence says.
        unchecked: what was not checked and why, a sentence each.
        money: the tokens of each ledger.
        troubles: what came of reports, who signed what is provably wrong, and of which tasks no
            update was used, or most were lost, a sentence each.
    """

    outcomes: dict[str, int]
    proved: int
    attested: int
    tally: Tally
    unchecked: tuple[str, ...]
    troubles: tuple[str, ...] = ()
    money: tuple[Money, ...] = ()

    @classmethod
    def of(
        cls,
        verdicts: Sequence[RoundVerdict],
        unchecked: Iterable[str] = (),
        money: Iterable[Money] = (),
        reports: Iterable[ReportVerdict] = (),
    ) -> "AuditSummary":
        """Return the sum.

        Args:
            verdicts: of rounds, and of tasks that could not be looked at.
            unchecked: what else was not checked.
            money: the tokens of each ledger.
            reports: what was found about reports.
        """
        rounds = [verdict for verdict in verdicts if verdict.round]
        outcomes = Counter(verdict.outcome.value for verdict in rounds)
        how = Counter(verdict.aggregate for verdict in rounds if verdict.passed)
        away = (one.sentence for one in verdicts if one.outcome is Outcome.UNCHECKED)
        tasks: dict[str, list[RoundRecord]] = {}
        for one in rounds:
            tasks.setdefault(f"task {one.task} ({one.model_id})", []).append(one.record)
        troubles = ((task, Tally.of(records).trouble) for task, records in tasks.items())
        return cls(
            outcomes={outcome.value: outcomes[outcome.value] for outcome in Outcome},
            proved=how[PROVED],
            attested=how[ATTESTED],
            tally=Tally.of(verdict.record for verdict in rounds),
            unchecked=(*away, *unchecked),
            money=tuple(money),
            troubles=(
                *(one.sentence for one in reports),
                *(
                    f"task {one.task} ({one.model_id}), round {one.round}: {fault.sentence}"
                    for one in rounds
                    for fault in one.faults
                ),
                *(f"{task}: {said}" for task, said in troubles if said is not None),
            ),
        )

    @property
    def stake(self) -> dict[str, int]:
        """The tokens of all ledgers together, in numbers."""
        mints = [mint for one in self.money for mint in one.mints]
        return {
            "minted": sum(one.minted for one in self.money),
            "rewards": sum(one.rewards for one in self.money),
            "given": sum(mint.amount for mint in mints if mint.explained and not mint.during),
            "given_during_tasks": sum(
                mint.amount for mint in mints if mint.explained and mint.during
            ),
            "unexplained": sum(mint.amount for mint in mints if not mint.explained),
            "deposited": sum(one.free + one.locked for one in self.money),
            "locked": sum(one.locked for one in self.money),
            "nobodys": sum(one.stray for one in self.money),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rounds": sum(self.outcomes.values()),
            "passed": self.outcomes[Outcome.PASSED.value],
            "unchecked": self.outcomes[Outcome.UNCHECKED.value],
            "failed": self.outcomes[Outcome.FAILED.value],
            "proved": self.proved,
            "attested": self.attested,
            "attested_means": ATTESTED_MEANS if self.attested else None,
            **{name: value for name, value in self.tally.to_json().items() if name != "rounds"},
            "stake": self.stake,
            "not_checked": list(self.unchecked),
            "troubles": list(self.troubles),
        }
