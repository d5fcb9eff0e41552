"""The audit of reports: who was excluded, and whether verdicts say what a replay says.

A verdict on the kind "aggregate" can be looked at again: the subject published the round, and it
does not replay, or else it is innocent. So can one on "update" whose fault the round's evidence
shows, or that says so. Other verdicts, and those on rounds that cannot be checked, are listed as
what could not be verified.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from fedledger.errors import AuditError

from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Aggregate, Reports, Rollback, Task, TrainingTask
from ...ledger_plugins.contracts.reports.facade import EXPIRED, OPEN, Accusation, Verdict
from ...ledger_plugins.contracts.reports.kinds import BY_MEMBERS, KINDS
from ...ledger_plugins.storage.base import Store
from ..rounds.evidence.carriers import decoded_transaction
from ..rounds.evidence.checks import Outcome
from ..rounds.evidence.documents import ReportTerms
from .accused import accused_of, signed_wrong
from .verdicts import ReportVerdict, RoundVerdict

__all__ = ["TaskReports", "publisher_of"]


def publisher_of(ledger: Ledger, published: Aggregate) -> str:
    """Return the account that signed a publication.

    Raises:
        NotChecked: the ledger does not show the transaction.
        AuditError: it shows another one.
    """
    return decoded_transaction(ledger, published.transaction).sender


class TaskReports:
    """The reports on a task's accounts.

    Args:
        contract: the contract on its ledger.
        task: the task.
        store: has the evidence of accusations.
    """

    def __init__(self, contract: TrainingTask, task: Task, store: Store) -> None:
        self._ledger, self._tasks, self._task = contract.ledger, contract, task
        self._store = store
        self._reports: Reports | None = None
        self._accusations: dict[bytes, Accusation] = {}
        if Reports.contract in self._ledger.contracts():
            self._reports = Reports(self._ledger)
            # Of several attempts the newest counts: those before it expired.
            self._accusations = {one.report: one for one in self._reports.accusations(task.id)}
        there = self._reports.exclusions(task.id) if self._reports else []
        self._excluded = {one.account: one for one in there}

    def check_publisher(self, published: Aggregate) -> None:
        """Check that no verdict had excluded who published a round.

        Raises:
            AuditError: one had.
        """
        if not self._excluded:
            return
        who = publisher_of(self._ledger, published)
        found = self._excluded.get(who)
        if found is not None and found.place < published.place:
            raise AuditError(
                f"{who} published the round, and report {found.report.hex()[:12]} had excluded it "
                "from the task before"
            )

    def check_terms(self, terms: ReportTerms | None) -> None:
        """Check that the contract has the terms of the specification.

        Raises:
            AuditError: it has others.
        """
        found = self._reports.terms(self._task.id)._asdict() if self._reports else {}
        if not any(found.values()):
            found = {}
        fixed = terms.model_dump() if terms is not None else {}
        if fixed != found:
            raise AuditError(
                f"the contract Reports has the terms {found or 'none'}, the specification "
                f"{fixed or 'none'}"
            )

    def judge(
        self, ended: Sequence[Aggregate | Rollback], found: Mapping[int, RoundVerdict]
    ) -> list[ReportVerdict]:
        """Return what the audit says about each decided report.

        Args:
            ended: the task's rounds that ended.
            found: the audit's verdict on each of them.
        """
        return [
            self._judged(accusation, ended, found)
            for accusation in self._accusations.values()
            if self._need().report(accusation.report).status not in (OPEN, EXPIRED)
        ]

    # Inside --------------------------------------------------------------------------------

    def _need(self) -> Reports:
        if self._reports is None:
            raise AuditError("the ledger has no reports")
        return self._reports

    def _judged(
        self,
        accusation: Accusation,
        ended: Sequence[Aggregate | Rollback],
        found: Mapping[int, RoundVerdict],
    ) -> ReportVerdict:
        [decision] = self._need().decisions(accusation.report)
        votes = [
            one for one in self._need().verdicts(accusation.report) if one.place > accusation.place
        ]
        answer = partial(
            ReportVerdict,
            report=accusation.report.hex(),
            kind=accusation.kind,
            task=accusation.task,
            round=accusation.round,
            subject=accusation.subject,
            guilty=decision.guilty,
        )
        if KINDS[accusation.kind].decides == BY_MEMBERS:
            problem = self._majority(accusation, votes, guilty=decision.guilty)
            if problem is not None:
                return answer(outcome=Outcome.FAILED, reason=problem)
        if accusation.kind == "aggregate":
            follows, reason = self._published_wrong(accusation, ended, found)
        elif accusation.kind == "update":
            follows, reason = self._signed_wrong(accusation, found.get(accusation.round))
        else:
            follows = None
            reason = f"verdicts on {accusation.kind!r} are not verified by a replay"
        if follows is None:
            return answer(outcome=Outcome.UNCHECKED, reason=reason)
        wrong = tuple(one.account for one in votes if one.convicts != follows)
        return answer(outcome=Outcome.PASSED, reason=reason, follows=follows, wrong=wrong)

    def _published_wrong(
        self,
        accusation: Accusation,
        ended: Sequence[Aggregate | Rollback],
        found: Mapping[int, RoundVerdict],
    ) -> tuple[bool | None, str]:
        """Return whether the subject is guilty by the audit's own replay, and why."""
        # A round may have ended, and have been reported, since this audit looked for rounds.
        published = dict(enumerate(ended, start=1)).get(accusation.round)
        if isinstance(published, Rollback):
            return False, "the round was rolled back, nobody published it"
        if published and (who := publisher_of(self._ledger, published)) != accusation.subject:
            return False, f"{who} published the round"
        verdict = found.get(accusation.round)
        if verdict is None or verdict.outcome is Outcome.UNCHECKED:
            why = (
                verdict.reason if verdict else "it was not drawn for this audit, or ended meanwhile"
            )
            return None, f"the round could not be checked: {why}"
        if verdict.passed:
            return False, "the round replays"
        return True, f"the round does not replay: {verdict.reason}"

    def _signed_wrong(
        self, accusation: Accusation, verdict: RoundVerdict | None
    ) -> tuple[bool | None, str]:
        """Return whether what the subject signed is provably wrong by the audit's own replay."""
        evidence = accused_of(self._store, accusation.evidence)
        if verdict is None:
            return signed_wrong(accusation.subject, evidence, (), None, None, None)
        seen = verdict.faults, verdict.outcome, verdict.reason, verdict.witness
        return signed_wrong(accusation.subject, evidence, *seen)

    def _majority(
        self, accusation: Accusation, votes: Sequence[Verdict], *, guilty: bool
    ) -> str | None:
        """Return why the verdict is no majority's of the members; None: it is one."""
        changes = self._tasks.member_changes(self._task.id)

        def members(place: tuple[int, int]) -> set[str]:
            there: set[str] = set()
            for change in changes:
                if change.place < place:
                    (there.update if change.appointed else there.difference_update)(change.members)
            return there

        judges = members(accusation.place) - {accusation.subject}
        agreed = set()
        for vote in votes:
            if vote.account not in judges or vote.account not in members(vote.place):
                return f"{vote.account} gave a verdict and was no member"
            if decoded_transaction(self._ledger, vote.transaction).sender != vote.account:
                return f"{vote.account} did not sign its verdict"
            if vote.convicts == guilty:
                agreed.add(vote.account)
        if 2 * len(agreed) > len(judges):
            return None
        return f"{len(agreed)} of {len(judges)} members decided, more than half are needed"
