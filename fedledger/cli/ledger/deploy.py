"""`fedledger deploy`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from fedledger.errors import ConfigError

from ..options import Format, FormatOption
from ..signing import PasswordOption, open_account, open_existing

if TYPE_CHECKING:
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["deploy"]

_ETHEREUM = "ethereum+"


def deploy(
    *,
    ledger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The ledger: ethereum+http://127.0.0.1:8545, local:///data/chain.db, …",
            show_default=False,
        ),
    ] = None,
    rpc: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="In place of --ledger, an Ethereum node: http://127.0.0.1:8545, https://…, or "
            "ipc:///path of its socket.",
            show_default=False,
        ),
    ] = None,
    contract: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A contract wanted besides those that every ledger has; repeatable. A role of the "
            "token that it holds is given by the token's administrator: --account.",
            show_default=False,
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            help="Account that creates the contracts and pays, a name in the keystore or a file. "
            "Not needed on a development chain.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordOption = None,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Ethereum: who may mint and appoint besides the contracts; default: nobody, ever.",
            show_default=False,
        ),
    ] = None,
    proposer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Ethereum: who besides the admin may propose tasks; repeatable. Default: "
            "everybody, and then tokens mean only what the tasks behind them are worth.",
            show_default=False,
        ),
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ethereum: file that says where the contracts are.",
            show_default="deployments/chain-ID.json",
        ),
    ] = None,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="Ethereum: begin again on a development chain that was started anew, empty; its "
            "old file is put aside.",
        ),
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Put the contracts on a ledger that it lacks; what is there stays as it is.

    Run again, it checks the contracts that are there and creates none; after an interruption it
    goes on. What it writes about an Ethereum chain is found by `fedledger run` and `fedledger
    audit` when they are started in the same folder.

    Example: `fedledger deploy --rpc http://127.0.0.1:8545`, then
    `fedledger run quickstart --set ledger=ethereum+http://127.0.0.1:8545`
    """
    url, contracts = _url(ledger, rpc), tuple(contract or ())
    signer = open_account(account, password_file) if account else None
    if url.startswith(_ETHEREUM):
        if deployment is not None:
            url += f"{'&' if '?' in url else '?'}deployment={quote(str(deployment))}"
        _deploy(url, signer, admin, proposer or (), contracts, anew=anew, form=format_)
        return
    for option, given in (
        ("--admin", admin),
        ("--proposer", proposer),
        ("--deployment", deployment),
        ("--anew", anew),
    ):
        if given:
            raise ConfigError(f"{option} is for Ethereum only, and {url} is another ledger")
    if signer is None or not contracts:
        raise ConfigError(
            f"{url} has its first contracts from its first block on: name those to add with "
            "--contract, and its administrator with --account"
        )
    _grow(url, signer, contracts, format_)


def _url(ledger: str | None, rpc: str | None) -> str:
    if (ledger is None) == (rpc is None):
        raise ConfigError("name a ledger with --ledger or an Ethereum node with --rpc, one of them")
    if rpc is None:
        return str(ledger)
    return rpc if rpc.startswith(_ETHEREUM) else _ETHEREUM + rpc


def _deploy(
    url: str,
    account: "Account | None",
    admin: str | None,
    proposers: Sequence[str],
    contracts: Sequence[str],
    *,
    anew: bool,
    form: Format,
) -> None:
    from fedledger.ledger_plugins import LEDGERS  # noqa: PLC0415 - slow to import

    LEDGERS.load("ethereum")  # says what to install
    from fedledger.ledger_plugins import ethereum  # noqa: PLC0415 - it may not be installed

    from ..render import show_contracts  # noqa: PLC0415 - the same

    done = ethereum.deploy(
        url, account=account, admin=admin, proposers=proposers, contracts=contracts, anew=anew
    )
    found = done.deployment
    show_contracts(found.chain_id, found.on_ledger, done.granted, form, path=done.path)


def _grow(url: str, account: "Account", contracts: Sequence[str], form: Format) -> None:
    from fedledger.ledger_plugins.growing import grow  # noqa: PLC0415 - the same

    from ..render import show_contracts  # noqa: PLC0415 - the same

    with open_existing(url) as ledger:
        done = grow(ledger, account, contracts)
        created = {one.name: one.granted for one in done if one.created or one.granted}
        show_contracts(ledger.chain_id, ledger.contracts(), created, form)
