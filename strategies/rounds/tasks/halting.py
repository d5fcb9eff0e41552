"""Who publishes a task's rounds now: an account, nodes in turns, or nobody: the task is halted."""

from collections.abc import Mapping

from pydantic import ValidationError

from fedledger.errors import ConfigError
from fedledger.formats import first_wrong

from ....ledger_plugins.accounts import Account
from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts import Reports, Task, TrainingTask
from ..evidence.documents import ReportTerms
from .turns import check_node, has_turns

__all__ = ["check_aggregator", "halted_by", "open_terms", "terms_from"]


def check_aggregator(contract: TrainingTask, task: Task, account: str) -> None:
    """Check that an account publishes a task's rounds.

    Raises:
        ConfigError: it does not: another one does, or nodes in turns of which it is none, or the
            task is halted and by what.
    """
    aggregator = contract.roles(task.id).aggregator
    if aggregator == account:
        return
    if has_turns(contract.ledger, aggregator):
        check_node(contract.ledger, task.id, account)
        return
    where = f"task {task.id} ({task.model_id})"
    if (halted := halted_by(contract.ledger, task.id, aggregator)) is not None:
        raise ConfigError(
            f"{where} is halted {halted}: it goes on when its owner or its members appoint another "
            "aggregator"
        )
    raise ConfigError(f"{where} is aggregated by {aggregator}, not by {account}")


def terms_from(terms: Mapping[str, int]) -> ReportTerms:
    """Return terms as a specification has them.

    Raises:
        ConfigError: a term is missing, unknown or out of its range.
    """
    try:
        return ReportTerms.model_validate(dict(terms))
    except ValidationError as error:
        field, first = first_wrong(error)
        raise ConfigError(f"terms: {field!r}: {first['msg']}") from error


def open_terms(ledger: Ledger, account: Account, task: int, terms: ReportTerms | None) -> None:
    """Give a task the terms of its specification, as its owner, where it has none yet.

    Raises:
        ConfigError: the ledger has no contract for that.
        ContractError: the contract refuses them.
    """
    if terms is None:
        return
    if Reports.contract not in ledger.contracts():
        raise ConfigError(
            f"terms: {ledger.url} has no contract Reports: `fedledger deploy --contract Reports` "
            "adds it"
        )
    reports = Reports(ledger)
    if not reports.terms(task).report_seconds:
        reports.set_terms(account, task=task, **terms.model_dump())


def halted_by(ledger: Ledger, task: int, aggregator: str) -> str | None:
    """Return by what a task is halted, in words; None where its aggregator is no contract for that.

    Args:
        ledger: the ledger.
        task: the task's number.
        aggregator: who is its aggregator.
    """
    there = ledger.contracts()
    if Reports.contract not in there or aggregator != there[Reports.contract].address:
        return None
    report = Reports(ledger).halted_by(task)
    if report is None:
        return "as its aggregator did not publish"
    about = Reports(ledger).report(report)
    return (
        f"by report {report.hex()} ({about.kind}, round {about.round}), which found "
        f"{about.subject} guilty"
    )
