"""Checks as data: what an audit compared, what it found, and where exactly something is wrong."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

from fedledger.errors import (
    AuditError,
    ContentNotFound,
    LedgerUnavailable,
    NotChecked,
    StoreUnavailable,
)

__all__ = ["Check", "CheckFailed", "Checks", "Outcome", "Witness", "outcome_of", "short"]

_AWAY = (NotChecked, ContentNotFound, StoreUnavailable, LedgerUnavailable)


class Outcome(StrEnum):
    """What came of a check, a round or an audit; of several, the worst counts."""

    PASSED = "passed"
    UNCHECKED = "could not check"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Witness:
    """Where to look to see for oneself that something does not follow.

    Attributes:
        phase: the phase, or None where it is about the round.
        answer: the account whose answer it is about, or None.
        coordinate: the first value of the flat model that differs, or None.
        step: the step of the decision: "beacon", "rule", "aggregate", …, or None.
    """

    phase: str | None = None
    answer: str | None = None
    coordinate: int | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison, or several of the same kind that all passed.

    Attributes:
        name: what was compared.
        subject: of what.
        outcome: what came of it.
        found: what stands there.
        expected: what follows.
        count: how many comparisons.
    """

    name: str
    subject: str
    outcome: Outcome
    found: str = ""
    expected: str = ""
    count: int = 1

    @property
    def sentence(self) -> str:
        """What a person reads of it."""
        if self.found or self.expected:
            return f"{self.name}: {self.found} stands there, {self.expected} follows"
        return f"{self.name}: {self.subject}" if self.subject else self.name

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "outcome": self.outcome.value}


class CheckFailed(AuditError):
    """A check failed.

    Attributes:
        check: the check.
        witness: where to look.
    """

    def __init__(self, check: Check, witness: Witness) -> None:
        self.check = check
        self.witness = witness
        super().__init__(check.sentence)


@dataclass
class Checks:
    """The checks of a round as they are made."""

    passed: Counter[str] = field(default_factory=Counter)

    def equal(self, name: str, found: Any, expected: Any, witness: Witness | None = None) -> None:
        """Note a comparison.

        Raises:
            CheckFailed: what was found is not what has to be there.
        """
        if found != expected:
            check = Check(name, "", Outcome.FAILED, short(found), short(expected))
            raise CheckFailed(check, witness or Witness(step=name))
        self.passed[name] += 1

    def true(self, name: str, holds: object, said: str, witness: Witness | None = None) -> None:
        """Note a condition; `said` is the whole sentence where it does not hold.

        Raises:
            CheckFailed: it does not.
        """
        if not holds:
            self.fail(name, said, witness)
        self.passed[name] += 1

    def fail(self, name: str, said: str, witness: Witness | None = None) -> NoReturn:
        """Note that something does not hold; `said` is the whole sentence.

        Raises:
            CheckFailed: always.
        """
        raise CheckFailed(Check(said, "", Outcome.FAILED), witness or Witness(step=name))

    def all(self) -> tuple[Check, ...]:
        """Return the checks that passed, one entry for each kind."""
        return tuple(
            Check(name, "", Outcome.PASSED, count=count) for name, count in self.passed.items()
        )


def short(value: Any) -> str:
    """Return a value for a message, cut."""
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error says about what was being checked."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _AWAY):
            return Outcome.UNCHECKED
        cause = cause.__cause__
    return Outcome.FAILED
