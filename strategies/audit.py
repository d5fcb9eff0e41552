"""The audit: recompute every round from the ledger and the store alone.

It trusts neither the aggregator nor the clients nor the files. A round passes when its aggregate,
its rule, its contributors and its rewards follow from signed submissions and stored contents by the
settings that were fixed before the first round.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from fedledger.errors import FedledgerError

from ..ledger_plugins.base import Head, Ledger
from ..ledger_plugins.contracts import (
    Rollback,
    Task,
    TrainingTask,
)
from ..ledger_plugins.contracts.stake_token import StakeToken
from ..ledger_plugins.storage.base import Store
from .task_audit import TaskAudit, equal
from .verdicts import ATTESTED, AuditReport, RoundVerdict

__all__ = ["AuditReport", "RoundVerdict", "audit_ledger", "verify_round"]

logger = logging.getLogger(__name__)


def audit_ledger(
    ledger: Ledger,
    store: Store,
    tasks: Iterable[int] | None = None,
    *,
    on_round: Callable[[RoundVerdict], None] | None = None,
) -> AuditReport:
    """Recompute every round of every task.

    Args:
        ledger: an open ledger.
        store: the store with the contents.
        tasks: ids of the tasks to audit; default: all.
        on_round: called with each verdict as it is reached.
    """
    verdicts: list[RoundVerdict] = []

    def note(verdict: RoundVerdict) -> None:
        verdicts.append(verdict)
        if on_round is not None:
            on_round(verdict)

    caveat: str | None = None
    try:
        caveat = ledger.verify()
        contract = TrainingTask(ledger)
        chosen = list(tasks) if tasks is not None else list(range(1, contract.count() + 1))
        for task in chosen:
            _audit_task(contract.task(task), ledger, store, note)
        if tasks is None:
            _check_supply(ledger, contract, chosen)
    except FedledgerError as error:
        return AuditReport(False, str(error), _head(ledger), tuple(verdicts), caveat)
    failed = next((verdict for verdict in verdicts if not verdict.passed), None)
    reason = None
    if failed is not None:
        where = f"task {failed.task} ({failed.model_id})"
        reason = (
            f"{where}, round {failed.round}: {failed.reason}"
            if failed.round
            else (f"{where}: {failed.reason}")
        )
    return AuditReport(failed is None, reason, _head(ledger), tuple(verdicts), caveat)


def verify_round(ledger: Ledger, store: Store, task: int, number: int) -> None:
    """Check one published round as the audit does, its rewards aside: they come later.

    Miners call it for each block that publishes a round, before they build on it.

    Args:
        ledger: a ledger whose newest block published the round.
        store: the store with the contents.
        task: the task's id.
        number: the round, from 1.

    Raises:
        AuditError: the round does not follow from what is on the ledger and in the store.
        StoreError: a content is missing or damaged; AuditError caused by one, for documents.
    """
    TaskAudit(TrainingTask(ledger).task(task), ledger, store).check_only(number)


def _head(ledger: Ledger) -> Head | None:
    try:
        return ledger.head()
    except FedledgerError as error:
        logger.warning("the ledger's head cannot be read: %s", error)
        return None


def _audit_task(
    task: Task, ledger: Ledger, store: Store, note: Callable[[RoundVerdict], None]
) -> None:
    try:
        rounds = TaskAudit(task, ledger, store)
    except FedledgerError as error:
        note(RoundVerdict(task.id, task.model_id, 0, False, ATTESTED, "", 0, 0, 0, 0, str(error)))
        return
    for ended in rounds.ended:
        note(rounds.rolled_back(ended) if isinstance(ended, Rollback) else rounds.verdict(ended))


def _check_supply(ledger: Ledger, contract: TrainingTask, tasks: Sequence[int]) -> None:
    """Every token that the tasks minted is a reward that a round explains."""
    zero, own = "0x" + "0" * 40, ledger.terms("TrainingTask", "submitUpdate").to
    minted = sum(
        transfer.amount
        for transfer in StakeToken(ledger).transfers()
        if (transfer.sender, transfer.recipient) == (zero, own)
    )
    due = sum(
        contract.task(task).reward * len(aggregate.contributors)
        for task in tasks
        for aggregate in contract.aggregates(task)
    )
    equal("stake minted by the tasks", minted, due)
