"""What came of many rounds together: how many answers counted, and what became of the others."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .reasons import NOT_ASKED, SILENT, UNHEARD, reason_of
from .record import RoundRecord

__all__ = ["PhaseTally", "Tally"]

_SHOWN = 5
_MOST = 0.5


@dataclass(frozen=True, slots=True)
class PhaseTally:
    """A phase, summed over rounds.

    Attributes:
        name: the phase's name.
        accounts: what became of the registered accounts: "counted", "late" or a reason's code, to
            how often; each account once a round.
        dropped: answers that did not count, or that nodes did not give, by the reason's code.
        absent: account to the number of rounds in which it was silent, unheard or, in the first
            phase, not asked.
        rounds: account to the number of rounds in which it was registered.
    """

    name: str
    accounts: Mapping[str, int]
    dropped: Mapping[str, int]
    absent: Mapping[str, int]
    rounds: Mapping[str, int]

    @property
    def counted(self) -> int:
        """Answers that counted."""
        return self.accounts.get("counted", 0)

    @property
    def late(self) -> int:
        """Answers that came too late."""
        return self.accounts.get("late", 0)

    @property
    def lost(self) -> int:
        """How often an account that was asked, or may have been, did not count."""
        return sum(self.accounts.values()) - self.counted - self.accounts.get(NOT_ASKED, 0)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "counted": self.counted,
            "late": self.late,
            "accounts": dict(self.accounts),
            "registered": len(self.rounds),
            "dropped": dict(self.dropped),
            "absent": dict(self.absent),
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """Rounds, summed.

    Attributes:
        rounds: how many ended, rollbacks aside.
        kept: how many of them kept their model.
        rollbacks: how many ended by a rollback.
        used: answers with weight in an aggregate.
        phases: their phases, by name, in the order in which they were first asked.
    """

    rounds: int
    kept: int
    rollbacks: int
    used: int
    phases: tuple[PhaseTally, ...]

    @classmethod
    def of(cls, records: Iterable[RoundRecord]) -> "Tally":
        """Return the sum of rounds, of one task or of several."""
        rounds = kept = rollbacks = used = 0
        phases: dict[str, tuple[Counter[str], Counter[str], Counter[str], Counter[str]]] = {}
        for record in records:
            if record.rolled_back:
                rollbacks += 1
                continue
            rounds += 1
            kept += record.kept is not None
            used += len(record.contributors)
            for place, phase in enumerate(record.phases):
                empty = (Counter[str](), Counter[str](), Counter[str](), Counter[str]())
                accounts, dropped, absent, present = phases.setdefault(phase.name, empty)
                found = phase.accounts
                accounts.update(found.values())
                dropped.update(one.reason for one in (*phase.dropped, *phase.silent))
                # A phase that asks only those of an earlier one misses nobody else.
                away = {SILENT, UNHEARD} if place else {SILENT, UNHEARD, NOT_ASKED}
                absent.update(account for account, what in found.items() if what in away)
                present.update(list(found))
        summed = (PhaseTally(name, *map(_sorted, counts)) for name, counts in phases.items())
        return cls(rounds, kept, rollbacks, used, tuple(summed))

    @property
    def unused(self) -> bool:
        """Whether rounds ended and not one answer has weight in an aggregate."""
        return self.rounds > 0 and self.used == 0

    @property
    def trouble(self) -> str | None:
        """What a user has to hear when a run has ended: no update was used, or most were lost."""
        if not self.rounds or not self.phases:
            return None
        first = self.phases[0]
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        due = first.counted + first.lost
        if self.unused:
            said = f"NO UPDATE WAS USED in {rounds}: the model is the one that the run began with"
        elif first.lost > _MOST * due:
            said = f"MOST UPDATES DID NOT COUNT: {first.lost} of {due} in {rounds}"
        else:
            return None
        reasons = dict(first.dropped)
        if not reasons:
            away = {"counted", "late", NOT_ASKED}
            reasons = {code: n for code, n in first.accounts.items() if code not in away}
        if first.late:
            reasons["late"] = first.late
        if not reasons:
            return said
        ordered = sorted(reasons, key=lambda code: (-reasons[code], code))
        counts = ", ".join(f"{reasons[code]} {code}" for code in ordered[:_SHOWN])
        if ordered[0] == "late":
            return f"{said} ({counts})"
        why = reason_of(ordered[0])
        return f"{said} ({counts}). {why.code}: {why.sentence}; {why.remedy}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rounds": self.rounds,
            "kept": self.kept,
            "rollbacks": self.rollbacks,
            "used": self.used,
            "phases": [phase.to_json() for phase in self.phases],
            "trouble": self.trouble,
        }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
