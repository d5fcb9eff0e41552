"""`fedledger list`."""

from enum import StrEnum
from typing import Annotated

import typer

from .options import Format, FormatOption

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


def listing(
    kind: Annotated[Kind, typer.Argument(metavar="KIND")],
    *,
    format_: FormatOption = Format.text,
) -> None:
    """Print the names that a config can use, with what they mean.

    Third parties' packages add to these lists through entry points.
    """
    from fedledger.experiments.config.catalogue import catalogue  # noqa: PLC0415 - slow to import

    from .render import show_catalogue  # noqa: PLC0415 - the same

    show_catalogue(catalogue(kind.value), format_)
