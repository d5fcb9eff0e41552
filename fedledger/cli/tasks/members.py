"""`fedledger task`: who takes part in a task, and whom its members elect."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedledger.errors import ConfigError

from ..ledger.accounts import PasswordOption, open_account
from ..options import AccountOption, Format, FormatOption, LedgerOption, StoreOption, open_existing
from .group import tasks

if TYPE_CHECKING:
    from fedledger.ledger_plugins.accounts import Account
    from fedledger.ledger_plugins.base import Receipt

__all__: list[str] = []

TaskOption = Annotated[
    int, typer.Option("--task", min=1, help="The task's number.", show_default=False)
]

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
def join(
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Ask to be a client of a task.

    The task's owner or more than half of its members admit you, as its specification says; then you
    are a client from the next round on.
    """
    _send(ledger, account, password_file, format_, lambda to, who: to.join(who, task=task))


@tasks.command("leave")
def leave(
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Be a client no longer, from the next round on."""
    _send(ledger, account, password_file, format_, lambda to, who: to.leave_task(who, task=task))


@tasks.command("admit")
def admit(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Admit an account that asked to join, as the task's owner."""
    about: dict[str, Any] = {"task": task, "account": address}
    _send(ledger, account, password_file, format_, lambda to, who: to.admit(who, **about))


@tasks.command("vote-admit")
def vote_admit(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Vote for admitting an account, as a member of a task whose members decide.

    It is admitted with the vote that makes more than half. Votes are void when the round ends.
    """
    about: dict[str, Any] = {"task": task, "account": address}
    _send(ledger, account, password_file, format_, lambda to, who: to.vote_admit(who, **about))


@tasks.command("remove")
def remove(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Take an account off the clients from the next round on, as the task's owner."""
    about: dict[str, Any] = {"task": task, "account": address}
    _send(ledger, account, password_file, format_, lambda to, who: to.remove(who, **about))


@tasks.command("vote-remove")
def vote_remove(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Vote for that, as a member of a task whose members decide."""
    about: dict[str, Any] = {"task": task, "account": address}
    _send(ledger, account, password_file, format_, lambda to, who: to.vote_remove(who, **about))


@tasks.command("accept-place")
def accept_place(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Agree to have the place of a client: of your own lost key, or of another device."""
    about: dict[str, Any] = {"task": task, "account": address}
    _send(ledger, account, password_file, format_, lambda to, who: to.accept_place(who, **about))


@tasks.command("replace")
def replace(
    address: Whom,
    successor: Successor,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Give the place of a client to an account that agreed: your own, or any as the task's owner.

    An example, of a key that was lost: `fedledger task accept-place OLD --account new …` by the
    client, then `fedledger task replace OLD NEW --account owner …`.
    """
    about: dict[str, Any] = {"task": task, "account": address, "by": successor}
    _send(ledger, account, password_file, format_, lambda to, who: to.replace(who, **about))


@tasks.command("vote-replace")
def vote_replace(
    address: Whom,
    successor: Successor,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Vote for that, as a member of a task whose members decide."""
    about: dict[str, Any] = {"task": task, "account": address, "by": successor}
    _send(ledger, account, password_file, format_, lambda to, who: to.vote_replace(who, **about))


@tasks.command("elect")
def elect(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Vote for the aggregator of a task that was halted, as a member; more than half appoint it."""
    _send(
        ledger,
        account,
        password_file,
        format_,
        lambda to, who: to.elect(who, task=task, aggregator=address),
    )


@tasks.command("appoint")
def appoint(
    address: Whom,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Let an account publish a task's rounds from now on, as the task's owner.

    A task that was halted goes on so. What an account publishes that a verdict excluded fails the
    audit.
    """
    about: dict[str, Any] = {"task": task, "aggregator": address}
    _send(
        ledger,
        account,
        password_file,
        format_,
        lambda to, who: to.appoint_aggregator(who, **about),
        "TrainingTask",
    )


@tasks.command("appoint-members")
def appoint_members(
    addresses: Several,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Let accounts vote on rollbacks, reports and clients, as the task's owner."""
    about: dict[str, Any] = {"task": task, "members": addresses}
    _send(
        ledger,
        account,
        password_file,
        format_,
        lambda to, who: to.appoint_members(who, **about),
        "TrainingTask",
    )


@tasks.command("revoke-members")
def revoke_members(
    addresses: Several,
    *,
    task: TaskOption,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Let accounts vote no more, as the task's owner."""
    about: dict[str, Any] = {"task": task, "members": addresses}
    _send(
        ledger,
        account,
        password_file,
        format_,
        lambda to, who: to.revoke_members(who, **about),
        "TrainingTask",
    )


@tasks.command("vote-checkpoint")
def vote_checkpoint(
    *,
    task: TaskOption,
    round_: Annotated[
        int, typer.Option("--round", min=0, help="The newest round; 0: the initial model.")
    ],
    accuracy: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of its model.")],
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Vote, as a member, for the newest model to become a checkpoint; more than half record it.

    Votes for another accuracy count apart, so agree on one before.
    """
    about: dict[str, Any] = {"task": task, "round": round_, "accuracy": accuracy}
    _send(ledger, account, password_file, format_, lambda to, who: to.vote_checkpoint(who, **about))


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


def _send(  # noqa: PLR0917 - the commands' arguments, in their order
    ledger: str,
    account: str,
    password_file: Any,
    format_: Format,
    call: "Callable[[Any, Account], Receipt]",
    contract: str = "Membership",
) -> None:
    """Sign and send a call of a contract, and print its receipt."""
    from fedledger.ledger_plugins import contracts  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened:
        show_receipt(call(getattr(contracts, contract)(opened), signer), format_)
