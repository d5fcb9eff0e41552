"""What several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer
from typer.core import TyperGroup

if TYPE_CHECKING:  # slow to import
    from fedledger.strategies.rounds.evidence.checks import Outcome

__all__ = [
    "FAILED",
    "AccountOption",
    "Commands",
    "DataOption",
    "Format",
    "FormatOption",
    "LedgerOption",
    "StoreOption",
    "TaskOption",
    "end",
]

FAILED = 1
"""Exit status when what was run or audited failed."""

UNCHECKED = 2
"""Exit status when something could not be checked, or what was asked for makes no sense."""


def end(outcome: "Outcome") -> None:
    """End a command with the exit status for what came of a run or an audit."""
    if outcome != "passed":
        raise typer.Exit(UNCHECKED if outcome == "could not check" else FAILED)


class Commands(TyperGroup):
    """Commands of which a mistyped one is suggested once: click and typer both do, when new."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if "Did you mean" in error.message and hasattr(error, "possibilities"):
                error.possibilities = None
            raise


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
        help="A node, local+http://127.0.0.1:7001, a file, local:///data/chain.db, or "
        "ethereum+http://127.0.0.1:8545.",
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

TaskOption = Annotated[
    int, typer.Option("--task", min=1, help="The task's number.", show_default=False)
]
