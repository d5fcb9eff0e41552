"""`fedledger task checkpoint`, `rollback`, `vote-rollback` and `checkpoints`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import Format, FormatOption, LedgerOption, TaskOption
from ..signing import signed
from .group import tasks

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["checkpoint", "checkpoints", "rollback", "vote_rollback"]

_ToOption = Annotated[
    int,
    typer.Option(
        "--to", min=0, help="The checkpoint's round; 0: the initial model.", show_default=False
    ),
]


@tasks.command("checkpoint")
@signed
def checkpoint(
    ledger: "Ledger",
    signer: "Account",
    *,
    task: TaskOption,
    accuracy: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Of the model, as you measured it: your word."),
    ] = 0.0,
) -> "Receipt":
    """Make a task's newest model a checkpoint; its owner and its aggregator may."""
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - slow to import

    contract = TrainingTask(ledger)
    newest = contract.task(task).current_round
    return contract.record_checkpoint(signer, task=task, round=newest, accuracy=accuracy)


@tasks.command("rollback")
@signed
def rollback(
    ledger: "Ledger", signer: "Account", *, task: TaskOption, to: _ToOption
) -> dict[str, Any]:
    """End a task's open round with a checkpoint's model; its owner may.

    What was submitted to the round is void. A run that goes on meanwhile notices, and trains the
    checkpoint's model in the next round.
    """
    return _go_back("rollback", ledger, signer, task, to)


@tasks.command("vote-rollback")
@signed
def vote_rollback(
    ledger: "Ledger", signer: "Account", *, task: TaskOption, to: _ToOption
) -> dict[str, Any]:
    """Vote, as a member, to end a task's open round with a checkpoint's model.

    The vote with which more than half of the members want it does it. A vote is for the round that
    is open now, and another one takes its place.
    """
    return _go_back("vote_rollback", ledger, signer, task, to)


@tasks.command("checkpoints")
def checkpoints(
    *, task: TaskOption, ledger: LedgerOption, format_: FormatOption = Format.text
) -> None:
    """Print a task's checkpoints, and how many members want to go back to each now."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same

    from ..views import show_checkpoints  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        contract = TrainingTask(opened)
        contract.task(task)  # says that there is none
        found = [
            {
                "round": one.round,
                "accuracy": one.accuracy,
                "by": one.by,
                "votes": contract.rollback_votes(task, one.round),
                "model": one.cid,
            }
            for one in contract.checkpoints(task)
        ]
    show_checkpoints(found, format_)


def _go_back(
    function: str, ledger: "Ledger", signer: "Account", task: int, to: int
) -> dict[str, Any]:
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - slow to import

    contract = TrainingTask(ledger)
    number = contract.task(task).current_round + 1
    send = contract.rollback if function == "rollback" else contract.vote_rollback
    receipt = send(signer, task=task, round=number, to_round=to)
    return {
        "transaction": receipt.transaction,
        "block": receipt.block,
        "round": number,
        "rolled_back": any(event.name == "RolledBack" for event in receipt.events),
        "to_round": to,
    }
