"""The audit of a ledger: every task on it, or those that were asked for.

It trusts neither the aggregator nor the clients nor the files. A round passes when its protocol,
replayed on signed answers and stored contents with the settings that were fixed before the first
round, comes to what was published.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from fedledger.errors import FedledgerError, LedgerError, NotChecked, NotInstalled, StoreError
from fedledger.guards import guarded

from ...ledger_plugins import open_ledger, open_store
from ...ledger_plugins.base import Head, Ledger
from ...ledger_plugins.contracts import Task, TrainingTask
from ...ledger_plugins.storage.base import Store
from ..rounds.evidence.checks import Outcome, outcome_of
from ..rounds.evidence.record import RoundRecord
from .money import Money, audit_money
from .spot import Spot, spot_of
from .task import TaskAudit
from .verdicts import AuditReport, ReportVerdict, RoundVerdict

__all__ = ["audit_ledger", "verify_round"]

logger = logging.getLogger(__name__)


def audit_ledger(
    ledger: Ledger | str,
    store: Store | str,
    tasks: Iterable[int] | None = None,
    *,
    spot: tuple[int, int] | None = None,
    on_round: Callable[[RoundVerdict], None] | None = None,
) -> AuditReport:
    """Replay every round of every task.

    Args:
        ledger: an open ledger, or the URL of one, which is opened to read and closed again.
        store: the store with the contents, or its URL, likewise.
        tasks: ids of the tasks to audit; default: all.
        spot: a draw of `Beacon` and a probability in parts per million: only rounds of the draw's
            task that it names are replayed (`spot_of`), and `tasks` is not looked at.
        on_round: called with each verdict as it is reached.

    Raises:
        ConfigError: a URL that names no backend, or a draw that names no rounds.
    """
    with ExitStack() as opened:
        try:
            if isinstance(ledger, str):
                ledger = opened.enter_context(open_ledger(ledger, read_only=True))
            if isinstance(store, str):
                store = opened.enter_context(open_store(store, read_only=True))
        except (LedgerError, StoreError) as error:
            return AuditReport(outcome_of(error), str(error), None, (), None)
        chosen = spot_of(ledger, *spot) if spot is not None else None
        return _audit(ledger, store, tasks if chosen is None else [chosen.task], on_round, chosen)


def _audit(
    ledger: Ledger,
    store: Store,
    tasks: Iterable[int] | None,
    on_round: Callable[[RoundVerdict], None] | None,
    spot: Spot | None,
) -> AuditReport:
    verdicts: list[RoundVerdict] = []

    def note(verdict: RoundVerdict) -> None:
        verdicts.append(verdict)
        if on_round is not None:
            on_round(verdict)

    caveat: str | None = None
    money: Money | None = None
    found: list[tuple[Outcome, str]] = []
    reports: list[ReportVerdict] = []
    try:
        caveat = ledger.verify()
        contract = TrainingTask(ledger)
        chosen = list(tasks) if tasks is not None else list(range(1, contract.count() + 1))
        for task in chosen:
            reports += _audit_task(contract.task(task), ledger, store, note, spot)
        found += [(one.outcome, one.sentence) for one in verdicts if not one.passed]
        forged = (one for one in reports if one.outcome is Outcome.FAILED)
        found += [(one.outcome, one.sentence) for one in forged]
        money = audit_money(ledger, chosen, None if spot is None else spot.drawn)
        if money.problem is not None:
            found.append((Outcome.FAILED, money.problem))
    except FedledgerError as error:
        found.append((outcome_of(error), str(error)))
    if not verdicts:
        none = "there is no round to check" if spot is None else f"epoch {spot.epoch} drew no round"
        found.append((Outcome.UNCHECKED, none))

    def said(outcome: Outcome, reason: str | None) -> AuditReport:
        all_of = (tuple(verdicts), caveat, money, spot, tuple(reports))
        return AuditReport(outcome, reason, _head(ledger), *all_of)

    for outcome in (Outcome.FAILED, Outcome.UNCHECKED):
        worst = next((said for what, said in found if what is outcome), None)
        if worst is not None:
            return said(outcome, worst)
    return said(Outcome.PASSED, None)


def verify_round(ledger: Ledger, store: Store, task: int, number: int) -> None:
    """Check one published round as the audit does, its rewards aside: they come later.

    Miners call it for each block that publishes a round, before they build on it. A task whose
    protocol is not installed here cannot be checked: that is logged, and its blocks are built on,
    since anybody may propose one.

    Args:
        ledger: a ledger whose newest block published the round.
        store: the store with the contents.
        task: the task's id.
        number: the round, from 1.

    Raises:
        AuditError: the round does not follow from what is on the ledger and in the store.
        StoreError: a content is missing or damaged; an error caused by one, for documents.
    """
    try:
        TaskAudit(TrainingTask(ledger).task(task), ledger, store).check_only(number)
    except NotInstalled as error:
        logger.warning("task %d, round %d is not checked: %s", task, number, error)


def _head(ledger: Ledger) -> Head | None:
    try:
        return ledger.head()
    except FedledgerError as error:
        logger.warning("the ledger's head cannot be read: %s", error)
        return None


def _audit_task(
    task: Task,
    ledger: Ledger,
    store: Store,
    note: Callable[[RoundVerdict], None],
    spot: Spot | None,
) -> list[ReportVerdict]:
    """Judge a task; what fails in another way than an audit expects is that round's or task's."""
    found: dict[int, RoundVerdict] = {}

    def unchecked(number: int, error: FedledgerError) -> None:
        record = RoundRecord(task.id, task.model_id, number)
        found[number] = RoundVerdict(record, outcome_of(error), "", (), str(error))
        note(found[number])

    try:
        with guarded(f"the audit of task {task.id}", _uncheckable, logger):
            rounds = TaskAudit(task, ledger, store)
    except FedledgerError as error:
        unchecked(0, error)
        return []
    for ended in rounds.ended:
        if spot is not None and ended.round not in spot.drawn:
            rounds.skip(ended.round)
            continue
        try:
            unit = f"the audit of task {task.id}, round {ended.round}"
            with guarded(unit, _uncheckable, logger):
                verdict = rounds.verdict(ended.round)
        except FedledgerError as error:
            unchecked(ended.round, error)
        else:
            found[ended.round] = verdict
            note(verdict)
    try:
        with guarded(f"the audit of reports on task {task.id}", _uncheckable, logger):
            return rounds.reports(found)
    except FedledgerError as error:
        unchecked(0, error)
        return []


def _uncheckable(what: str) -> NotChecked:
    return NotChecked(f"the audit fails here: {what}")
