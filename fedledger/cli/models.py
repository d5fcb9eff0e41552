"""`fedledger model`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from fedledger.errors import ConfigError

from .accounts import PasswordOption, password_of
from .options import AccountOption, Commands, Format, FormatOption, LedgerOption, StoreOption

if TYPE_CHECKING:
    from fedledger.strategies.protocols.pofl import Selection

__all__ = ["models"]

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
        int | None,
        typer.Option(
            min=0,
            help="Seconds that each round takes updates and lasts; 0: it ends once all clients "
            "have submitted.",
            show_default="600 where the rule is drawn, else 0",
        ),
    ] = None,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Without a window: seconds after which a round ends without absent clients; 0 "
            "waits for ever.",
        ),
    ] = 3600,
    reward: Annotated[int, typer.Option(min=0, help="Tokens for each contribution.")] = 20,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Submit an initial model: propose a training task.

    FILE is safetensors. Miners that run with `--aggregate` and this account aggregate its rounds.
    """
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import load_account  # noqa: PLC0415 - the same
    from fedledger.strategies.mining import propose_task  # noqa: PLC0415 - the same
    from fedledger.strategies.protocols.pofl import MIXED  # noqa: PLC0415 - the same

    from .render import show_record  # noqa: PLC0415 - the same

    owner = load_account(account, password_of(password_file))
    with open_ledger(ledger) as opened, open_store(store) as contents:
        task = propose_task(
            opened,
            contents,
            owner,
            _read(model),
            model_id=name,
            clients=client,
            rounds=rounds,
            byzantine=byzantine,
            rules=tuple(rule or MIXED),
            selection=cast("Selection", selection),  # checked there
            window=window,
            patience=patience,
            reward=reward,
        )
    show_record({"task": task, "name": name, "rounds": rounds}, format_)


@models.command("update")
def update(
    model: Annotated[Path, typer.Argument(metavar="FILE")],
    *,
    task: Annotated[int, typer.Option(min=1, help="The task's number.", show_default=False)],
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
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import load_account  # noqa: PLC0415 - the same
    from fedledger.strategies.mining import submit_update  # noqa: PLC0415 - the same

    from .render import show_receipt  # noqa: PLC0415 - the same

    client = load_account(account, password_of(password_file))
    with open_ledger(ledger) as opened, open_store(store) as contents:
        receipt = submit_update(
            opened, contents, client, _read(model), task=task, samples=samples, accuracy=accuracy
        )
    show_receipt(receipt, format_)


@models.command("reveal")
def reveal(
    *,
    task: Annotated[int, typer.Option(min=1, help="The task's number.", show_default=False)],
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Reveal your update's salt, once the round takes no more updates.

    The salts of all clients together choose the round's rule. Where one is missing, the round has
    the rule that its specification names for that.
    """
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import load_account  # noqa: PLC0415 - the same
    from fedledger.strategies.mining import reveal_salt  # noqa: PLC0415 - the same

    from .render import show_receipt  # noqa: PLC0415 - the same

    client = load_account(account, password_of(password_file))
    with open_ledger(ledger) as opened, open_store(store) as contents:
        receipt = reveal_salt(opened, contents, client, task=task)
    show_receipt(receipt, format_)


@models.command("confirm")
def confirm(
    *,
    task: Annotated[int, typer.Option(min=1, help="The task's number.", show_default=False)],
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Confirm the ledger's history after a task: sign that you know its newest settled block.

    An update holds what came before it. This holds the end as well: whoever rewrites the ledger
    from before it needs your signature again.
    """
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import load_account  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same

    from .render import show_receipt  # noqa: PLC0415 - the same

    client = load_account(account, password_of(password_file))
    with open_ledger(ledger) as opened:
        receipt = TrainingTask(opened).confirm_history(client, task=task)
    show_receipt(receipt, format_)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
