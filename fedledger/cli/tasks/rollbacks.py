"""`fedledger task checkpoint`, `rollback`, `vote-rollback` and `checkpoints`."""

from typing import Annotated

import typer

from ..ledger.accounts import PasswordOption, open_account
from ..options import AccountOption, Format, FormatOption, LedgerOption, open_existing
from .group import tasks

__all__ = ["TaskOption", "checkpoint", "checkpoints", "rollback", "vote_rollback"]

TaskOption = Annotated[
    int, typer.Option("--task", min=1, help="The task's number.", show_default=False)
]

_ToOption = Annotated[
    int,
    typer.Option(
        "--to", min=0, help="The checkpoint's round; 0: the initial model.", show_default=False
    ),
]


@tasks.command("checkpoint")
def checkpoint(
    *,
    task: TaskOption,
    accuracy: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Of the model, as you measured it: your word."),
    ] = 0.0,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Make a task's newest model a checkpoint; its owner and its aggregator may."""
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened:
        contract = TrainingTask(opened)
        newest = contract.task(task).current_round
        receipt = contract.record_checkpoint(signer, task=task, round=newest, accuracy=accuracy)
    show_receipt(receipt, format_)


@tasks.command("rollback")
def rollback(
    *,
    task: TaskOption,
    to: _ToOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """End a task's open round with a checkpoint's model; its owner may.

    What was submitted to the round is void. A run that goes on meanwhile notices, and trains the
    checkpoint's model in the next round.
    """
    _go_back("rollback", task, to, ledger, account, password_file, format_)


@tasks.command("vote-rollback")
def vote_rollback(
    *,
    task: TaskOption,
    to: _ToOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Vote, as a member, to end a task's open round with a checkpoint's model.

    The vote with which more than half of the members want it does it. A vote is for the round that
    is open now, and another one takes its place.
    """
    _go_back("vote_rollback", task, to, ledger, account, password_file, format_)


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


def _go_back(  # noqa: PLR0917 - both commands' arguments, in their order
    function: str,
    task: int,
    to: int,
    ledger: str,
    account: str,
    password_file: PasswordOption,
    form: Format,
) -> None:
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened:
        contract = TrainingTask(opened)
        number = contract.task(task).current_round + 1
        send = contract.rollback if function == "rollback" else contract.vote_rollback
        receipt = send(signer, task=task, round=number, to_round=to)
        back = any(event.name == "RolledBack" for event in receipt.events)
    show_record(
        {
            "transaction": receipt.transaction,
            "block": receipt.block,
            "round": number,
            "rolled_back": back,
            "to_round": to,
        },
        form,
    )
