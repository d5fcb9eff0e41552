"""`fedledger data`."""

from typing import Annotated

import typer

from ..options import Commands, Format, FormatOption

__all__ = ["data"]

data = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Data sets that must be fetched before a config can use them.",
)


@data.command("fetch")
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    *,
    format_: FormatOption = Format.text,
) -> None:
    """Fetch data sets, each once.

    NAME is one that `fedledger data list` shows. The data is kept in ~/.cache/fedledger, or in the
    folder that $FEDLEDGER_CACHE names. What is there already is verified and not fetched again; a
    fetch that was stopped goes on where it was.

    Example: `fedledger data fetch traffic_lights`
    """
    from rich.console import Console  # noqa: PLC0415 - only when something is shown

    from fedledger.experiments.datasets import fetch_dataset  # noqa: PLC0415 - slow to import

    from ..render import show_datasets  # noqa: PLC0415 - the same

    tell = Console(stderr=True, highlight=False)
    statuses = [
        fetch_dataset(name, progress=lambda step: tell.print(step, markup=False, soft_wrap=True))
        for name in names
    ]
    show_datasets(statuses, format_)


@data.command("list")
def list_(*, format_: FormatOption = Format.text) -> None:
    """Print every data set: whether it was fetched, how large it is, its licence and origin."""
    from fedledger.experiments.datasets import dataset_statuses  # noqa: PLC0415 - slow to import

    from ..render import show_datasets  # noqa: PLC0415 - the same

    show_datasets(dataset_statuses(), format_)
