"""Who publishes a task's rounds now: an account, or nobody, as the task is halted."""

from fedledger.errors import ConfigError

from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Reports, Task, TrainingTask

__all__ = ["check_aggregator", "halted_by"]


def check_aggregator(contract: TrainingTask, task: Task, account: str) -> None:
    """Check that an account publishes a task's rounds.

    Raises:
        ConfigError: it does not: another one does, or the task is halted and by what.
    """
    aggregator = contract.roles(task.id).aggregator
    if aggregator == account:
        return
    where = f"task {task.id} ({task.model_id})"
    if (halted := halted_by(contract.ledger, task.id, aggregator)) is not None:
        raise ConfigError(
            f"{where} is halted {halted}: it goes on when its owner or its members appoint another "
            "aggregator"
        )
    raise ConfigError(f"{where} is aggregated by {aggregator}, not by {account}")


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
