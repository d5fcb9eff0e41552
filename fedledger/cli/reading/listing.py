"""`fedledger list`."""

from enum import StrEnum
from typing import Annotated

import typer

from fedledger.errors import ConfigError

from ..options import Format, FormatOption

__all__ = ["listing"]


class Kind(StrEnum):
    """What can be listed."""

    strategies = "strategies"
    rules = "rules"
    attacks = "attacks"
    datasets = "datasets"
    models = "models"
    partitions = "partitions"
    engines = "engines"
    ledgers = "ledgers"
    stores = "stores"
    protocols = "protocols"
    phases = "phases"
    configs = "configs"
    contracts = "contracts"


def listing(
    kind: Annotated[Kind, typer.Argument(metavar="KIND")],
    *,
    ledger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="With contracts: those that this ledger has, and where.",
            show_default=False,
        ),
    ] = None,
    abi: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With contracts: print the ABI of one, as JSON.",
            show_default=False,
        ),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Print the names that a config can use, or the contracts, with what they mean.

    Third parties' packages add to these lists through entry points.

    Example: `fedledger list contracts --abi Bonds`
    """
    if kind is Kind.contracts:
        _contracts(ledger, abi, format_)
        return
    if ledger is not None or abi is not None:
        raise ConfigError("--ledger and --abi are for `fedledger list contracts`")
    from fedledger.experiments.config.catalogue import catalogue  # noqa: PLC0415 - slow to import

    from ..render import show_catalogue  # noqa: PLC0415 - the same

    show_catalogue(catalogue(kind.value), format_)


def _contracts(ledger: str | None, abi: str | None, form: Format) -> None:
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts.catalogue import contract_list  # noqa: PLC0415
    from fedledger.ledger_plugins.contracts.interface import load_abi  # noqa: PLC0415

    from ..render import show_contract_list, show_value  # noqa: PLC0415 - the same

    if abi is not None:
        if ledger is not None:
            raise ConfigError("an ABI is the same on every ledger: give --abi or --ledger")
        show_value(load_abi(abi))
        return
    if ledger is None:
        show_contract_list(contract_list(), form)
        return
    with open_ledger(ledger, read_only=True) as opened:
        show_contract_list(contract_list(opened.contracts()), form)
