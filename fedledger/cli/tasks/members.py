"""`fedledger task`: who takes part in a task, and whom its members elect."""

from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError

from ..options import AccountOption, Format, FormatOption, LedgerOption, StoreOption, TaskOption
from ..signing import PasswordOption, open_account, open_existing, signed
from .group import tasks

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account
    from fedledger.ledger_plugins.contracts import Membership, TrainingTask

__all__: list[str] = []

Whom = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="The account that it is about.", show_default=False)
]

Several = Annotated[
    list[str], typer.Argument(metavar="ADDRESS…", help="The accounts.", show_default=False)
]

Successor = Annotated[
    str, typer.Argument(metavar="NEW", help="The account that gets its place.", show_default=False)
]


@tasks.command("open")
def open_(
    *,
    task: TaskOption,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Let the clients of your task change, by the rule of its specification.

    A strategy and `model submit` do it right after they propose. It is for a task that you proposed
    for another account to aggregate, and it has to be before the first round ends.
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same
    from fedledger.strategies.rounds.evidence import documents  # noqa: PLC0415 - the same
    from fedledger.strategies.rounds.tasks.membership import open_membership  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    owner = open_account(account, password_file)
    with open_existing(ledger) as opened, open_store(store) as contents:
        about = TrainingTask(opened).task(task)
        specification = documents.load(documents.Specification, about.spec, contents)
        if specification.membership is None:
            raise ConfigError(f"the specification of task {task} lists its clients for ever")
        open_membership(opened, owner, task, specification.membership)
    show_record({"task": task, "decides": specification.membership}, format_)


@tasks.command("join")
@signed
def join(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Ask to be a client of a task.

    The task's owner or more than half of its members admit you, as its specification says; then you
    are a client from the next round on.
    """
    return _membership_of(ledger).join(signer, task=task)


@tasks.command("leave")
@signed
def leave(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Be a client no longer, from the next round on."""
    return _membership_of(ledger).leave_task(signer, task=task)


@tasks.command("admit")
@signed
def admit(ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption) -> "Receipt":
    """Admit an account that asked to join, as the task's owner."""
    return _membership_of(ledger).admit(signer, task=task, account=address)


@tasks.command("vote-admit")
@signed
def vote_admit(
    ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption
) -> "Receipt":
    """Vote for admitting an account, as a member of a task whose members decide.

    It is admitted with the vote that makes more than half. Votes are void when the round ends.
    """
    return _membership_of(ledger).vote_admit(signer, task=task, account=address)


@tasks.command("remove")
@signed
def remove(ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption) -> "Receipt":
    """Take an account off the clients from the next round on, as the task's owner."""
    return _membership_of(ledger).remove(signer, task=task, account=address)


@tasks.command("vote-remove")
@signed
def vote_remove(
    ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption
) -> "Receipt":
    """Vote for that, as a member of a task whose members decide."""
    return _membership_of(ledger).vote_remove(signer, task=task, account=address)


@tasks.command("accept-place")
@signed
def accept_place(
    ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption
) -> "Receipt":
    """Agree to have the place of a client: of your own lost key, or of another device."""
    return _membership_of(ledger).accept_place(signer, task=task, account=address)


@tasks.command("replace")
@signed
def replace(
    ledger: "Ledger", signer: "Account", address: Whom, successor: Successor, *, task: TaskOption
) -> "Receipt":
    """Give the place of a client to an account that agreed: your own, or any as the task's owner.

    An example, of a key that was lost: `fedledger task accept-place OLD --account new …` by the
    client, then `fedledger task replace OLD NEW --account owner …`.
    """
    return _membership_of(ledger).replace(signer, task=task, account=address, by=successor)


@tasks.command("vote-replace")
@signed
def vote_replace(
    ledger: "Ledger", signer: "Account", address: Whom, successor: Successor, *, task: TaskOption
) -> "Receipt":
    """Vote for that, as a member of a task whose members decide."""
    return _membership_of(ledger).vote_replace(signer, task=task, account=address, by=successor)


@tasks.command("elect")
@signed
def elect(ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption) -> "Receipt":
    """Vote for the aggregator of a task that was halted, as a member; more than half appoint it."""
    return _membership_of(ledger).elect(signer, task=task, aggregator=address)


@tasks.command("appoint")
@signed
def appoint(ledger: "Ledger", signer: "Account", address: Whom, *, task: TaskOption) -> "Receipt":
    """Let an account publish a task's rounds from now on, as the task's owner.

    A task that was halted goes on so. What an account publishes that a verdict excluded fails the
    audit.
    """
    return _task_of(ledger).appoint_aggregator(signer, task=task, aggregator=address)


@tasks.command("appoint-members")
@signed
def appoint_members(
    ledger: "Ledger", signer: "Account", addresses: Several, *, task: TaskOption
) -> "Receipt":
    """Let accounts vote on rollbacks, reports and clients, as the task's owner."""
    return _task_of(ledger).appoint_members(signer, task=task, members=addresses)


@tasks.command("revoke-members")
@signed
def revoke_members(
    ledger: "Ledger", signer: "Account", addresses: Several, *, task: TaskOption
) -> "Receipt":
    """Let accounts vote no more, as the task's owner."""
    return _task_of(ledger).revoke_members(signer, task=task, members=addresses)


@tasks.command("vote-checkpoint")
@signed
def vote_checkpoint(
    ledger: "Ledger",
    signer: "Account",
    *,
    task: TaskOption,
    round_: Annotated[
        int, typer.Option("--round", min=0, help="The newest round; 0: the initial model.")
    ],
    accuracy: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of its model.")],
) -> "Receipt":
    """Vote, as a member, for the newest model to become a checkpoint; more than half record it.

    Votes for another accuracy count apart, so agree on one before.
    """
    return _membership_of(ledger).vote_checkpoint(
        signer, task=task, round=round_, accuracy=accuracy
    )


@tasks.command("clients")
def clients(
    *,
    task: TaskOption,
    ledger: LedgerOption,
    store: StoreOption,
    format_: FormatOption = Format.text,
) -> None:
    """Print who the clients of a task's open round are, and who asks to join."""
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.strategies.rounds.tasks.membership import clients_now  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    with (
        open_ledger(ledger, read_only=True) as opened,
        open_store(store, read_only=True) as contents,
    ):
        show_record(clients_now(opened, contents, task), format_)


def _membership_of(ledger: "Ledger") -> "Membership":
    from fedledger.ledger_plugins.contracts import Membership  # noqa: PLC0415 - slow to import

    return Membership(ledger)


def _task_of(ledger: "Ledger") -> "TrainingTask":
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - slow to import

    return TrainingTask(ledger)
