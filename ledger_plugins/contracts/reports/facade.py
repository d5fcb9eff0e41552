"""Reports: pledges of a task's accounts, and accusations that somebody decides."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

from fedledger.errors import CallError

from ...accounts import Account
from ...base import Receipt
from ..facade import Facade, sends, sends_then
from ..meanings import Address, Cid, Hash32, Meaning, Named, Seconds
from ..records import EventRecord
from .kinds import KINDS, Exclusion, Kind, kind_name, kind_text
from .twin import EXPIRED, GUILTY, INNOCENT, OPEN, report_id

__all__ = [
    "EXPIRED",
    "GUILTY",
    "INNOCENT",
    "OPEN",
    "Accusation",
    "Answer",
    "Decision",
    "Expiry",
    "Halt",
    "LateMark",
    "Pledge",
    "Report",
    "Reports",
    "Settlement",
    "StallNote",
    "Tally",
    "Terms",
    "Verdict",
    "report_id",
]


def _kind_bytes(text: str) -> bytes:
    if not isinstance(text, str) or text not in KINDS:
        raise CallError(f"{text!r:.80} is no kind of report: {', '.join(KINDS)}")
    return kind_name(text)


KindName = Annotated[str, Meaning("bytes32", kind_text, _kind_bytes)]
"""The name of a kind, as text."""

Holder = Annotated[Address, Named("account")]


class Terms(NamedTuple):
    """A task's terms.

    Attributes:
        min_pledge: the least that an account pledges.
        late_cost: what a round missed costs an account that owes updates.
        patience: seconds after which an aggregator that was seen to publish nothing is stalled; 0:
            never.
        report_seconds: for how long reports are open; 0: the task has no terms.
    """

    min_pledge: int
    late_cost: int
    patience: Seconds
    report_seconds: Seconds


class Pledge(NamedTuple):
    """What an account pledged to a task.

    Attributes:
        amount: what is left of it.
        first_round: the first round in which it owes an update; 0: it owes none.
        leaves_at: when it may have it back, in block time, once it wants it; 0: it does not.
        open: reports on it that are not settled.
    """

    amount: int
    first_round: int
    leaves_at: Seconds
    open: int


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it stands.

    Attributes:
        report: its id, 32 bytes.
        status: `OPEN`, `GUILTY`, `INNOCENT` or `EXPIRED`.
        settled: whether what follows from the verdict happened.
        kind: name of its kind.
        subject: the accused.
        task: the task's number.
        round: the round.
        reporter: who accused.
        deadline: until when it is open for an answer and for verdicts, in block time.
    """

    report: Hash32
    status: int
    settled: bool
    kind: KindName
    subject: Address
    task: int
    round: int
    reporter: Address
    deadline: Seconds


@dataclass(frozen=True, slots=True)
class Tally:
    """How the newest attempt of a report goes.

    Attributes:
        attempt: from 1; one more after each that expired.
        accused_at: block time of the accusation.
        members: more than half of so many decide, where members do.
        guilty: verdicts against the subject.
        innocent: verdicts for it.
        compensation: what each member may claim.
    """

    attempt: int
    accused_at: Seconds
    members: int
    guilty: int
    innocent: int
    compensation: int


@dataclass(frozen=True, slots=True)
class Accusation(EventRecord):
    """An accusation: as of `Report` and `Tally`, and the evidence's CID ("f": none)."""

    event: ClassVar = "Accused"
    report: Hash32
    task: int
    subject: Address
    kind: KindName
    round: int
    reporter: Address
    attempt: int
    members: int
    deadline: Seconds
    evidence: Cid


@dataclass(frozen=True, slots=True)
class Answer(EventRecord):
    """What the accused said: the CID of its answer."""

    event: ClassVar = "ReportAnswered"
    report: Hash32
    evidence: Cid


@dataclass(frozen=True, slots=True)
class Verdict(EventRecord):
    """What one account decided, and how many votes there were with it.

    Attributes:
        report: the report.
        account: who decided.
        convicts: whether it finds the subject guilty.
        guilty: verdicts against the subject so far.
        innocent: verdicts for it so far.
    """

    event: ClassVar = "VerdictGiven"
    report: Hash32
    account: Address
    convicts: bool
    guilty: int
    innocent: int


@dataclass(frozen=True, slots=True)
class Decision(EventRecord):
    """How a report was decided."""

    event: ClassVar = "ReportDecided"
    report: Hash32
    guilty: bool


@dataclass(frozen=True, slots=True)
class Expiry(EventRecord):
    """A report that nobody decided in time."""

    event: ClassVar = "ReportExpired"
    report: Hash32


@dataclass(frozen=True, slots=True)
class Settlement(EventRecord):
    """What followed from a verdict.

    Attributes:
        report: the report.
        guilty: what the verdict was.
        lost: what the subject lost of its pledge.
        reward: what the reporter got of it.
        compensation: what each member may claim of it.
    """

    event: ClassVar = "ReportSettled"
    report: Hash32
    guilty: bool
    lost: int
    reward: int
    compensation: int


@dataclass(frozen=True, slots=True)
class Halt(EventRecord):
    """A task that was halted.

    Attributes:
        task: the task's number.
        report: the report whose verdict did it; zeros: the aggregator stalled.
        aggregator: who had published until then.
    """

    event: ClassVar = "TaskHalted"
    task: int
    report: Hash32
    aggregator: Address


@dataclass(frozen=True, slots=True)
class LateMark(EventRecord):
    """An account that owed an update in a round and submitted none, and what it lost."""

    event: ClassVar = "MarkedLate"
    task: int
    round: int
    account: Address
    amount: int


@dataclass(frozen=True, slots=True)
class StallNote(EventRecord):
    """A round that was seen unpublished, and from when on that halts the task."""

    event: ClassVar = "StallNoted"
    task: int
    round: int
    aggregator: Address
    halts_from: Seconds


def _reported(receipt: Receipt) -> tuple[bytes, Receipt]:
    return Accusation.read(receipt.event(Accusation.event)).report, receipt


class Reports(Facade):
    """Pledges, and the reports on who did wrong."""

    contract = "Reports"

    @sends
    def set_terms(
        self,
        account: Account,
        *,
        task: int,
        min_pledge: int,
        late_cost: int = 0,
        patience: Seconds = 0,
        report_seconds: Seconds,
    ) -> None:
        """Fix a task's terms, once, before its first round ended; `account` is the owner.

        Args:
            account: who signs.
            task: the task's number.
            min_pledge: the least that an account pledges.
            late_cost: what a round missed costs, at most `min_pledge`.
            patience: seconds after which an aggregator that was seen to publish nothing is
                stalled, at most 180 days; 0: never.
            report_seconds: for how long reports are open, 1 to 180 days.
        """

    @sends
    def pledge(self, account: Account, *, task: int, amount: int, trains: bool = False) -> None:
        """Lock free deposits of `account` for a task.

        Args:
            account: who signs.
            task: the task's number.
            amount: so much more than it has pledged.
            trains: whether it owes an update in each round that opens from now on.
        """

    @sends
    def unpledge(self, account: Account, *, task: int) -> None:
        """Give `account` its pledge back, or say when it may have it."""

    @sends
    def mark_late(
        self, account: Account, *, task: int, round: int, holder: Holder, contributor: Address
    ) -> None:
        """Say that `holder` submitted nothing to a round; any account may.

        Args:
            account: who signs.
            task: the task's number.
            round: a round that was published.
            holder: an account that owed an update.
            contributor: an account that contributed to the round.
        """

    @sends
    def mark_stalled(self, account: Account, *, task: int) -> None:
        """Note that the open round is not published, or halt the task as it still is not."""

    @sends_then(_reported)
    def accuse(
        self,
        account: Account,
        *,
        kind: KindName,
        subject: Address,
        task: int,
        round: int,
        evidence: Cid,
    ) -> None:
        """Accuse an account of a task; the kind's fee is locked of `account`.

        Args:
            account: who signs.
            kind: "aggregate", "update" or "unqualified".
            subject: the accused.
            task: the task's number.
            round: the round.
            evidence: CID of what shows it.

        Returns:
            The report's id, 32 bytes, and the receipt.
        """

    @sends_then(_reported)
    def prove_equivocation(
        self,
        account: Account,
        *,
        subject: Address,
        task: int,
        round: int,
        purpose: Hash32,
        first: Hash32,
        first_signature: bytes,
        second: Hash32,
        second_signature: bytes,
    ) -> None:
        """Prove that `subject` signed two contents of `ONLY_ONE`; as `accuse` returns.

        Args:
            account: who signs the call.
            subject: who signed both.
            task: the task's number.
            round: the round.
            purpose: what both are for, 32 bytes.
            first: the one content, 32 bytes.
            first_signature: the 65 bytes of `Account.sign_digest`.
            second: the other content.
            second_signature: likewise.
        """

    @sends
    def answer(self, account: Account, *, report: Hash32, evidence: Cid) -> None:
        """Answer a report, as the accused; the last answer counts."""

    @sends
    def decide(self, account: Account, *, report: Hash32, guilty: bool) -> None:
        """Give the verdict of `account`: a member's counts, an authority's decides."""

    @sends
    def expire(self, account: Account, *, report: Hash32) -> None:
        """End a report that nobody decided in time; any account may."""

    @sends
    def settle(self, account: Account, *, report: Hash32) -> None:
        """Make happen what follows from a verdict; any account may, once."""

    @sends
    def claim(self, account: Account, *, report: Hash32) -> None:
        """Give `account`, a member who could have decided, its compensation."""

    def terms(self, task: int) -> Terms:
        """Return a task's terms; all 0 where none are set."""
        return self._call(Terms, "getTerms", task)

    def pledged(self, task: int, holder: str) -> Pledge:
        """Return what an account pledged to a task."""
        return self._call(Pledge, "getPledge", task, holder)

    def report(self, report: bytes) -> Report:
        """Return a report; ContractError (`UnknownReport`) when there is none."""
        return self._call(Report, "getReport", report)

    def tally(self, report: bytes) -> Tally:
        """Return how a report goes; ContractError (`UnknownReport`) when there is none."""
        return self._call(Tally, "getVotes", report)

    def judged(self, report: bytes, account: str) -> bool:
        """Tell whether an account gave its verdict."""
        return self._call(bool, "judged", report, account)

    def excluded(self, task: int, account: str) -> bool:
        """Tell whether a verdict excluded an account from a task."""
        return self._call(bool, "excluded", task, account)

    def late(self, task: int, round: int, account: str) -> bool:
        """Tell whether an account was marked late for a round."""
        return self._call(bool, "late", task, round, account)

    def halted_by(self, task: int) -> bytes | None:
        """Return the newest report whose verdict halted a task; None: none did, or it stalled."""
        found = self._call(bytes, "haltedBy", task)
        return found if any(found) else None

    def kind(self, name: str) -> Kind:
        """Return a row of the contract's table of kinds.

        Raises:
            CallError: there is no such kind.
        """
        return self._call(Kind, "getKind", _kind_bytes(name))

    def accusations(self, task: int | None = None) -> list[Accusation]:
        """Return the accusations of a task, or of all, in ledger order, expired ones as well."""
        return self._events(Accusation) if task is None else self._events(Accusation, task=task)

    def verdicts(self, report: bytes) -> list[Verdict]:
        """Return the verdicts on a report in ledger order, those of expired attempts as well."""
        return self._events(Verdict, report=report)

    def decisions(self, report: bytes) -> list[Decision]:
        """Return how a report was decided: one, or nothing."""
        return self._events(Decision, report=report)

    def settlements(self, report: bytes) -> list[Settlement]:
        """Return what followed from the verdict: one, or nothing."""
        return self._events(Settlement, report=report)

    def exclusions(self, task: int) -> list[Exclusion]:
        """Return the accounts that verdicts excluded from a task, each once, in ledger order."""
        found: dict[str, Exclusion] = {}
        for report, one in {one.report: one for one in self.accusations(task)}.items():
            if one.kind in KINDS and not KINDS[one.kind].excludes:
                continue
            for settled in self.settlements(report):
                new = Exclusion(one.subject, report, settled.place)
                old = found.get(one.subject, new)
                if settled.guilty:
                    found[one.subject] = min(old, new, key=lambda each: each.place)
        return sorted(found.values(), key=lambda each: each.place)

    def answers(self, report: bytes) -> list[Answer]:
        """Return the answers of the accused in ledger order; the last one counts."""
        return self._events(Answer, report=report)

    def halts(self, task: int) -> list[Halt]:
        """Return when a task was halted, in ledger order."""
        return self._events(Halt, task=task)
