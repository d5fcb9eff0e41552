"""`fedledger new`."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["new"]


def new(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
) -> None:
    """Copy a Flower App that comes with fedledger, to run and to change.

    NAME is quickstart: simulated clients, PoFL or another strategy, an embedded chain, and an audit
    at the end; or edge: the same on real devices, each with an account of its own. DIR must not be
    there yet; its README.md says how to go on.

    Example: `fedledger new quickstart my-app`, then `flwr run my-app --stream`
    """
    from fedledger.experiments.templates import copy_app  # noqa: PLC0415 - slow to import

    from ..render import show_line  # noqa: PLC0415 - the same

    show_line(f"{copy_app(name, folder)}: README.md says how to run it")
