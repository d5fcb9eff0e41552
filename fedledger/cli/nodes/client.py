"""`fedledger client`: Bift's vehicles."""

from pathlib import Path
from typing import Annotated

import typer

from fedledger.errors import RunError

from ..options import (
    FAILED,
    AccountOption,
    Commands,
    Format,
    FormatOption,
    LedgerOption,
    StoreOption,
)
from ..signing import PasswordOption, open_account

__all__ = ["clients"]

clients = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="A client that follows the ledger itself, without a Flower server.",
)

_Pairs = list[str] | None


@clients.callback()
def _clients() -> None:
    """Make it a group, also with one command."""


@clients.command("run")
def run(
    *,
    app: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="A Flower App's folder, as `flwr run` takes it.", show_default=False
        ),
    ],
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    task: Annotated[
        int | None, typer.Option(min=1, help="The task's number.", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Or its name; it is waited for until it is there.", show_default=False),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --name: who proposes it; anybody may use a name.",
            show_default=False,
        ),
    ] = None,
    run_config: Annotated[
        _Pairs,
        typer.Option(
            metavar="KEY=VALUE", help="Change the app's run config; repeatable.", show_default=False
        ),
    ] = None,
    node_config: Annotated[
        _Pairs,
        typer.Option(
            metavar="KEY=VALUE",
            help="This client's node config, for example partition-id=0; repeatable.",
            show_default=False,
        ),
    ] = None,
    train_config: Annotated[
        _Pairs,
        typer.Option(
            metavar="KEY=VALUE",
            help="What a strategy would put into a message's config; the run config is in it.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda:0, cuda:1, … or auto.", show_default="cpu, or as the configs say"
        ),
    ] = None,
    malicious: Annotated[
        str | None,
        typer.Option(
            metavar="ATTACK",
            help="Attack, for experiments: a name of `fedledger list attacks`.",
            show_default=False,
        ),
    ] = None,
    patience: Annotated[
        int, typer.Option(min=1, help="Seconds for which a node that does not answer is asked.")
    ] = 600,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Train in every round of a task, until it is finished.

    The client reads the chain itself: it takes the newest model from the store, lets the app train,
    submits its update, reveals its salt when the window is over, and says what came of each round.
    Started again it goes on where it was. A node has to mine, and to aggregate for the task's
    owner.

    Example: `fedledger client run --app vehicles --ledger local+http://127.0.0.1:7002
    --store file:///srv/n1/store --account c1 --task 1 --node-config partition-id=0`

    Exit status 0 when the task is finished, 1 when this client cannot take part.
    """
    from fedledger.experiments.vehicles.running import run_vehicle  # noqa: PLC0415 - slow to import

    from ..render import show_error, show_note  # noqa: PLC0415 - the same

    try:
        run_vehicle(
            app,
            ledger,
            store,
            lambda: open_account(account, password_file),
            account,
            task=task,
            name=name,
            owner=owner,
            run_config=run_config or (),
            node_config=node_config or (),
            train_config=train_config or (),
            device=device,
            attack=malicious,
            patience=float(patience),
            tell=lambda note: show_note(note, format_),
        )
    except RunError as error:
        show_error(str(error))
        raise typer.Exit(FAILED) from error
