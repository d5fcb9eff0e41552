"""`fedledger deploy`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from .accounts import password_of
from .options import Format, FormatOption

__all__ = ["deploy"]


def deploy(
    *,
    rpc: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The node: http://127.0.0.1:8545, https://…, or ipc:///path of its socket.",
            show_default=False,
        ),
    ],
    account: Annotated[
        str | None,
        typer.Option(
            help="Account that creates the contracts and pays, a name in the keystore or a file. "
            "Not needed on a development chain.",
            show_default=False,
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is the account's password. Else "
            "$FEDLEDGER_ACCOUNT_PASSWORD is taken, and without it you are asked.",
            show_default=False,
        ),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Who may mint and appoint besides the contracts; default: nobody, ever.",
            show_default=False,
        ),
    ] = None,
    proposer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Who besides the admin may propose tasks; repeatable. Default: everybody, and "
            "then tokens mean only what the tasks behind them are worth.",
            show_default=False,
        ),
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that will say where the contracts are.",
            show_default="deployments/chain-ID.json",
        ),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Create new contracts where there are some already.")
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Put the contracts on an Ethereum chain, once.

    Run again, it checks the contracts that are there and creates nothing. What it writes is found
    by `fedledger run` and `fedledger audit` when they are started in the same folder.

    Example: `fedledger deploy --rpc http://127.0.0.1:8545`, then
    `fedledger run quickstart --set ledger=ethereum+http://127.0.0.1:8545`
    """
    from fedledger.ledger_plugins import LEDGERS  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import load_account  # noqa: PLC0415 - the same

    LEDGERS.load("ethereum")  # says what to install
    from fedledger.ledger_plugins import ethereum  # noqa: PLC0415 - it may not be installed

    from .render import show_deployment  # noqa: PLC0415 - the same

    url = rpc if rpc.startswith("ethereum+") else f"ethereum+{rpc}"
    if deployment is not None:
        url += f"{'&' if '?' in url else '?'}deployment={quote(str(deployment))}"
    signer = load_account(account, password_of(password_file, new=False)) if account else None
    path, found, created = ethereum.deploy(
        url, account=signer, admin=admin, proposers=proposer or (), anew=anew
    )
    show_deployment(path, found, format_, created=created)
