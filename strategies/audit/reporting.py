"""Reports as members make and judge them: what a round's own replay shows, and its document.

The evidence of an accusation is a small document in the store. It names the round and where its
replay fails; nobody has to trust it, since each member replays the round itself.
"""

from dataclasses import asdict, dataclass
from typing import Any

from fedledger.errors import ConfigError, ContractError, FedledgerError
from fedledger.formats import canonical_json

from ...ledger_plugins.accounts import Account
from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Aggregate, Reports, TrainingTask
from ...ledger_plugins.contracts.reports.facade import EXPIRED, GUILTY, INNOCENT, OPEN, Report
from ...ledger_plugins.storage.base import Store
from ..rounds.answers.faults import FAULT, ProvedFault
from ..rounds.evidence.checks import CheckFailed, Outcome, Witness, outcome_of
from .accused import Accused, accused_of, signed_wrong
from .reports import publisher_of
from .task import TaskAudit

__all__ = [
    "Accused",
    "Finding",
    "accuse_aggregate",
    "accuse_update",
    "details_of",
    "find",
    "finding_of",
    "list_of",
    "plain",
    "verdict_on",
]

STATUSES = {OPEN: "open", GUILTY: "guilty", INNOCENT: "innocent", EXPIRED: "expired"}
"""How a report stands, in words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a replay of a round shows.

    Attributes:
        task: the task's number.
        round: the round.
        publisher: who published it.
        outcome: whether it replays.
        reason: what does not follow, or why it could not be checked; None: it replays.
        witness: where to look, or None.
        faults: which answers are provably wrong, as far as the replay has come.
    """

    task: int
    round: int
    publisher: str
    outcome: Outcome
    reason: str | None = None
    witness: Witness | None = None
    faults: tuple[ProvedFault, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        witness = asdict(self.witness) if self.witness else None
        faults = [asdict(fault) for fault in self.faults]
        said = {"outcome": self.outcome.value, "witness": witness, "faults": faults}
        return {**asdict(self), **said}


def finding_of(ledger: Ledger, store: Store, task: int, number: int) -> Finding:
    """Replay one published round, as the audit does; its rewards aside, and those before unchecked.

    Args:
        ledger: the ledger.
        store: the store.
        task: the task's number.
        number: the round.

    Raises:
        ConfigError: nobody published such a round.
        ContractError: there is no such task.
        NotChecked: the task cannot be replayed here at all.
        AuditError: its specification is none.
    """
    audit = TaskAudit(TrainingTask(ledger).task(task), ledger, store)
    if not 1 <= number <= len(audit.ended):
        raise ConfigError(
            f"task {task} has {len(audit.ended)} rounds that ended, none of them is {number}"
        )
    published = audit.ended[number - 1]
    if not isinstance(published, Aggregate):
        raise ConfigError(f"round {number} of task {task} was rolled back: nobody published it")
    outcome, reason, witness = Outcome.PASSED, None, None
    try:
        audit.check_only(number)
    except FedledgerError as error:
        outcome, reason = outcome_of(error), str(error)
        witness = error.witness if isinstance(error, CheckFailed) else None
    publisher = publisher_of(ledger, published)
    return Finding(task, number, publisher, outcome, reason, witness, audit.faults(number))


def accuse_aggregate(
    ledger: Ledger, store: Store, account: Account, task: int, number: int
) -> tuple[bytes, Finding]:
    """Accuse whoever published a round that does not replay.

    Args:
        ledger: the ledger.
        store: where the evidence goes.
        account: the reporter.
        task: the task's number.
        number: the round.

    Returns:
        The report's id, and what the replay shows.

    Raises:
        ConfigError: the round replays, or could not be checked: there is nothing to accuse.
        ContractError: the contract refuses the accusation.
    """
    finding = finding_of(ledger, store, task, number)
    where = f"round {number} of task {task}"
    if finding.outcome is Outcome.PASSED:
        raise ConfigError(f"{where} replays: there is nothing to accuse its publisher of")
    if finding.outcome is Outcome.UNCHECKED:
        raise ConfigError(f"{where} could not be checked, which proves nothing: {finding.reason}")
    evidence = Accused(
        kind="aggregate",
        task=task,
        round=number,
        subject=finding.publisher,
        finding=finding.reason or "",
        witness=asdict(finding.witness) if finding.witness else {},
    )
    return _accuse(ledger, store, account, evidence), finding


def accuse_update(
    ledger: Ledger,
    store: Store,
    account: Account,
    task: int,
    number: int,
    *,
    subject: str | None = None,
) -> tuple[bytes, ProvedFault]:
    """Accuse an account of what it signed in a round, by what the round's evidence shows.

    Args:
        ledger: the ledger.
        store: where the evidence goes.
        account: the reporter.
        task: the task's number.
        number: the round, which was published.
        subject: the accused; None: whoever it is, where it is one account alone.

    Returns:
        The report's id, and what the replay shows.

    Raises:
        ConfigError: nothing that it signed is shown to be wrong, or several accounts did wrong.
        ContractError: the contract refuses the accusation.
    """
    finding = finding_of(ledger, store, task, number)
    where = f"round {number} of task {task}"
    faults = {one.party: one for one in finding.faults if subject in (None, one.party)}
    if not faults:
        why = f"; it does not replay: {finding.reason}" if finding.reason else ""
        who = subject or "anybody"
        raise ConfigError(
            f"the evidence of {where} shows nothing that {who} signed and that is wrong{why}"
        )
    if len(faults) > 1:
        raise ConfigError(
            f"several accounts signed what is wrong in {where}, say which: {', '.join(faults)}"
        )
    [fault] = faults.values()
    evidence = Accused(
        kind="update",
        task=task,
        round=number,
        subject=fault.party,
        finding=fault.sentence,
        witness=asdict(Witness(fault.phase, fault.party, step=FAULT)),
    )
    return _accuse(ledger, store, account, evidence), fault


def _accuse(ledger: Ledger, store: Store, account: Account, evidence: Accused) -> bytes:
    report, _ = Reports(ledger).accuse(
        account,
        kind=evidence.kind,
        subject=evidence.subject,
        task=evidence.task,
        round=evidence.round,
        evidence=store.put(canonical_json(evidence.model_dump(mode="json"))),
    )
    return report


def verdict_on(ledger: Ledger, store: Store, report: Report) -> tuple[bool | None, str]:
    """Return whether the accused is guilty by a replay of one's own, and why; None: it cannot tell.

    Args:
        ledger: the ledger.
        store: the store.
        report: the report.
    """
    if report.kind not in ("aggregate", "update"):
        return None, f"a report of kind {report.kind!r} is not decided by a replay"
    try:
        finding = finding_of(ledger, store, report.task, report.round)
    except ConfigError as error:
        return None if report.kind == "update" else False, str(error)
    except FedledgerError as error:
        return None, f"the round could not be checked: {error}"
    if report.kind == "update":
        every = Reports(ledger).accusations(report.task)
        newest = [one for one in every if one.report == report.report][-1]
        evidence = accused_of(store, newest.evidence)
        seen = finding.faults, finding.outcome, finding.reason, finding.witness
        return signed_wrong(report.subject, evidence, *seen)
    if finding.publisher != report.subject:
        return False, f"{finding.publisher} published the round, not the accused"
    return {
        Outcome.UNCHECKED: (None, f"the round could not be checked: {finding.reason}"),
        Outcome.PASSED: (False, "the round replays"),
        Outcome.FAILED: (True, f"the round does not replay: {finding.reason}"),
    }[finding.outcome]


def find(ledger: Ledger, prefix: str) -> Report:
    """Return the one report whose id begins with hexadecimal digits.

    Raises:
        ConfigError: none does, or several.
    """
    reports = Reports(ledger)
    digits = prefix.removeprefix("0x").lower()
    every = dict.fromkeys(one.report for one in reports.accusations())
    found = [one for one in every if one.hex().startswith(digits)] if digits else []
    if len(found) == 1:
        try:
            return reports.report(found[0])
        except ContractError as error:
            raise ConfigError(f"report {prefix} is not there any more: {error}") from error
    if not found:
        raise ConfigError(f"there is no report {prefix}: `fedledger report list` lists them")
    raise ConfigError(f"{len(found)} reports begin with {prefix}: give more digits")


def list_of(ledger: Ledger, task: int | None = None) -> list[dict[str, Any]]:
    """Return the reports of a task, or of all, oldest first, each as plain JSON values.

    Args:
        ledger: the ledger.
        task: the task's number.

    Raises:
        ContractError: there is no such task.
    """
    reports = Reports(ledger)
    if task is not None:
        TrainingTask(ledger).task(task)  # says that there is none
    every = dict.fromkeys(one.report for one in reports.accusations(task))
    return [plain(ledger, reports.report(one)) for one in every]


def plain(ledger: Ledger, report: Report) -> dict[str, Any]:
    """Return a report as plain JSON values."""
    tally = Reports(ledger).tally(report.report)
    return {
        "report": report.report.hex(),
        "status": STATUSES[report.status],
        "settled": report.settled,
        "kind": report.kind,
        "task": report.task,
        "round": report.round,
        "subject": report.subject,
        "reporter": report.reporter,
        "deadline": report.deadline,
        **asdict(tally),
    }


def details_of(ledger: Ledger, report: Report) -> dict[str, Any]:
    """Return a report with its evidence, answers and verdicts as plain JSON values."""
    reports = Reports(ledger)
    accused = [one for one in reports.accusations(report.task) if one.report == report.report]
    verdicts = [one for one in reports.verdicts(report.report) if one.place > accused[-1].place]
    return {
        **plain(ledger, report),
        "evidence": accused[-1].evidence,
        "answers": [{"evidence": one.evidence} for one in reports.answers(report.report)],
        "verdicts": [
            {"account": one.account, "says": "guilty" if one.convicts else "innocent"}
            for one in verdicts
        ],
        "followed": [
            {"lost": one.lost, "reward": one.reward, "compensation": one.compensation}
            for one in reports.settlements(report.report)
        ],
    }
