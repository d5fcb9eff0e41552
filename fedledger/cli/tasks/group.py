"""`fedledger task`: what a task's owner, members and clients decide; others add commands."""

import typer

from ..options import Commands

__all__ = ["tasks"]

tasks = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="What owner, members and clients of a training task decide about it.",
)
