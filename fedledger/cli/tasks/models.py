"""`fedledger model`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from fedledger.errors import ConfigError, ContractError

from ..options import (
    AccountOption,
    Commands,
    Format,
    FormatOption,
    LedgerOption,
    StoreOption,
    TaskOption,
)
from ..signing import PasswordOption, check_account, open_account, open_existing, signed

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account
    from fedledger.ledger_plugins.openings import Opening, Pending
    from fedledger.strategies.protocols.pofl import Selection
    from fedledger.strategies.rounds.tasks.membership import MembershipRule

__all__ = ["models"]

WAIT = 5.0
"""Seconds between two looks at a ledger."""

MOST = 4 * 1024**3
"""Bytes of a model's file at most."""

models = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Training tasks that miners aggregate, without a Flower server.",
)


@models.command("submit")
def submit(
    model: Annotated[Path, typer.Argument(metavar="FILE")],
    *,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    name: Annotated[str, typer.Option(help="The task's name.", show_default=False)],
    client: Annotated[
        list[str],
        typer.Option(
            metavar="ADDRESS", help="A registered account; repeatable.", show_default=False
        ),
    ],
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 1,
    byzantine: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Malicious clients f to tolerate.",
            show_default="the most that 2f+3 clients allow",
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="A rule to choose from; repeatable.", show_default=False),
    ] = None,
    selection: Annotated[
        str, typer.Option(help="How a round's rule is chosen: beacon or timestamp.")
    ] = "beacon",
    window: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seconds that each round takes updates and lasts; 0: it ends once all clients "
            "have submitted, and only where no rule is drawn.",
        ),
    ] = 600,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Without a window: seconds after which a round ends without absent clients; 0 "
            "waits for ever.",
        ),
    ] = 3600,
    salt_window: Annotated[
        int, typer.Option(min=1, help="Seconds after a window in which clients reveal their salts.")
    ] = 60,
    membership: Annotated[
        str | None,
        typer.Option(
            help="Who lets clients join and leave between rounds: owner or members.",
            show_default="the clients are fixed",
        ),
    ] = None,
    reward: Annotated[int, typer.Option(min=0, help="Tokens for each contribution.")] = 20,
    term: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=WHOLE",
            help="What reports rest on: all of min_pledge, late_cost, patience and "
            "report_seconds (tokens and seconds).",
            show_default="no terms",
        ),
    ] = None,
    sealed: Annotated[
        bool,
        typer.Option(
            "--sealed", help="Updates stay unknown until the window is over (`model open`)."
        ),
    ] = False,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Submit an initial model: propose a training task.

    FILE is safetensors. Miners that run with `--aggregate` and this account aggregate its rounds.
    """
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.strategies.mining import propose_task  # noqa: PLC0415 - the same
    from fedledger.strategies.protocols.pofl import MIXED  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    initial = _read(model)
    owner = open_account(account, password_file)
    with open_ledger(ledger) as opened, open_store(store, account=owner) as contents:
        task = propose_task(
            opened,
            contents,
            owner,
            initial,
            model_id=name,
            clients=client,
            rounds=rounds,
            byzantine=byzantine,
            rules=tuple(rule or MIXED),
            selection=cast("Selection", selection),  # checked there
            window=window,
            patience=patience,
            salt_window=float(salt_window),
            reward=reward,
            membership=cast("MembershipRule | None", membership),  # the same
            terms=_terms(term) if term else None,
            sealed=sealed,
        )
    show_record({"task": task, "name": name, "rounds": rounds}, format_)


@models.command("update")
def update(
    model: Annotated[Path, typer.Argument(metavar="FILE")],
    *,
    task: TaskOption,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    samples: Annotated[int, typer.Option(min=0, help="Training examples behind it.")] = 1,
    accuracy: Annotated[float, typer.Option(min=0.0, max=1.0, help="As you measured it.")] = 0.0,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Submit a trained model to the open round of a task.

    FILE is safetensors with the task's layout; what is stored and signed is its difference to the
    current model.
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.strategies.mining import salt_times, submit_update  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    trained = _read(model)
    client = open_account(account, password_file)
    with open_existing(ledger) as opened, open_store(store, account=client) as contents:
        receipt = submit_update(
            opened,
            contents,
            client,
            trained,
            task=task,
            samples=samples,
            accuracy=accuracy,
            pending=_pending(account),
        )
        times = salt_times(opened, contents, task=task)
    show_receipt(receipt, format_)
    if receipt.opening is not None:
        _say(
            "next: open your update when the window is over, or it does not count: fedledger model "
            "open --wait, with the same --ledger, --store and --account"
        )
    if times is not None:
        _say(
            f"next: reveal your salt between {_clock_time(times[0])} and {_clock_time(times[1])}, "
            f"or the round's rule is not drawn: fedledger model reveal --wait --task {task}, with "
            "the same --ledger, --store and --account"
        )


@models.command("open")
def open_(
    *,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the rounds take no more updates.")
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Open your sealed updates whose windows are over: put them into a store that miners read.

    Until then they lie beside the account's keystore. What is not opened does not count.
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.openings import open_pending  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    check_account(account)
    pending = _pending(account)
    done: list[Opening] = []
    with (
        open_ledger(ledger, read_only=True) as opened,
        open_store(store, account=lambda: open_account(account, None)) as contents,
    ):
        while True:
            found = open_pending(opened, contents, pending)
            done += found.opened
            if not (wait and found.waiting):
                break
            last = max(closes for _, closes in found.waiting)
            _say(f"waiting: windows are open until {_clock_time(last)}")
            Effects.real().clock.sleep(WAIT)
    show_record(
        {
            "opened": [
                {"task": one.domain.task, "round": one.domain.round, "content": one.content}
                for one in done
            ],
            "waiting": [
                {"task": one.domain.task, "round": one.domain.round, "until": closes}
                for one, closes in found.waiting
            ],
        },
        format_,
    )


@models.command("reveal")
def reveal(
    *,
    task: TaskOption,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the round takes no more updates.")
    ] = False,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Reveal your update's salt, once the round takes no more updates.

    The salts of all clients together choose the round's rule. Where one is missing, the round has
    the rule that its specification names for that.
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.strategies.mining import reveal_salt  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    client = open_account(account, password_file)
    with open_existing(ledger) as opened, open_store(store, account=client) as contents:
        try:
            receipt = reveal_salt(
                opened,
                contents,
                client,
                task=task,
                clock=Effects.real().clock if wait else None,
                say=lambda left: _say(f"the window is open for {left:.0f} more seconds"),
            )
        except ContractError as error:
            if error.error != "WindowOpen":
                raise
            raise ConfigError(
                f"task {task} takes updates until {_clock_time(error.arguments['deadline'])}, and "
                "salts afterwards: reveal then, or let --wait wait for it"
            ) from error
    show_receipt(receipt, format_)


@models.command("confirm")
@signed
def confirm(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Confirm the ledger's history after a task: sign that you know its newest settled block.

    An update holds what came before it. This holds the end as well: whoever rewrites the ledger
    from before it needs your signature again.
    """
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - slow to import

    return TrainingTask(ledger).confirm_history(signer, task=task)


def _pending(account: str) -> "Pending":
    """Return what an account has submitted sealed: it lies beside its keystore."""
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import keystore_path  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.openings import Pending  # noqa: PLC0415 - the same

    return Pending.beside(keystore_path(account), Effects.real().disk)


def _say(text: str) -> None:
    """Tell people something beside the answer: on standard error, so that programs can go on."""
    typer.echo(text, err=True)


def _clock_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def _terms(given: list[str]) -> dict[str, int]:
    """Return terms as the command line names them; ConfigError: not a name and a whole number."""
    found: dict[str, int] = {}
    for one in given:
        name, _, value = one.partition("=")
        if not (name and value.isascii() and value.isdigit()) or name in found:
            raise ConfigError(f"--term {one!r}: one NAME=WHOLE for each name is wanted")
        found[name] = int(value)
    return found


def _read(path: Path) -> bytes:
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import

    try:
        disk = Effects.real().disk
        if (size := disk.size(path)) > MOST:
            raise ConfigError(f"{path} has {size} bytes, above the {MOST} that are read here")
        return disk.read(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
