"""What several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "FAILED",
    "AccountOption",
    "DataOption",
    "Format",
    "FormatOption",
    "LedgerOption",
    "StoreOption",
]

FAILED = 1
"""Exit status when what was run or audited failed."""

UNCHECKED = 2
"""Exit status when something could not be checked, or what was asked for makes no sense."""


class Format(StrEnum):
    """How a command answers."""

    text = "text"
    json = "json"


FormatOption = Annotated[
    Format, typer.Option("--format", help="text for people, json for programs.")
]

LedgerOption = Annotated[
    str,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="A node, local+http://127.0.0.1:7001, or a file, local:///data/chain.db.",
        show_default=False,
    ),
]

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        help="The store of the node you use, for example file:///data/n1/store.",
        show_default=False,
    ),
]

AccountOption = Annotated[
    str,
    typer.Option(
        "--account", metavar="NAME", help="Who signs: a name in the keystore.", show_default=False
    ),
]

DataOption = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="The node's folder.", show_default=False),
]
