"""The tree of commands."""

from typing import Annotated

import typer

from .edge import edge
from .experiments.data import data
from .experiments.new import new
from .experiments.run import run
from .keys.commands import keys
from .ledger.accounts import accounts
from .ledger.beacon import beacon
from .ledger.bonds import bonds, faucet
from .ledger.deploy import deploy
from .ledger.report import reports
from .ledger.transfers import transfers
from .nodes.client import clients
from .nodes.node import miner, node
from .nodes.store import store
from .options import Commands
from .reading.audit import audit
from .reading.listing import listing
from .reading.show import show
from .tasks import (
    aggregators,  # noqa: F401 - adds its commands
    members,  # noqa: F401 - adds its commands to `task`
    rollbacks,  # noqa: F401 - adds its commands
)
from .tasks.group import tasks
from .tasks.models import models

__all__ = ["app"]

_HELP = """Federated learning that leaves evidence.

An experiment trains models with many clients, some of them malicious, and puts every round on a
ledger: who sent what, which rule aggregated it, what came out. The audit recomputes it all from
the ledger and the stored models alone.

Begin with `fedledger run quickstart`: 20 clients, 30 % of them malicious, about a minute. It prints
a table, writes a plot, and ends with the audit's verdict.
"""

_EPILOG = "`fedledger COMMAND --help` explains a command and gives an example."

app = typer.Typer(
    name="fedledger",
    cls=Commands,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        from fedledger import __version__  # noqa: PLC0415 - reads the package's metadata

        typer.echo(f"fedledger {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    *,
    _version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit."),
    ] = False,
) -> None:
    """See `_HELP`, which typer shows."""


app.command("run")(run)
app.command("audit")(audit)
app.command("list")(listing)
app.command("deploy")(deploy)
app.command("new")(new)
app.command("faucet")(faucet)
app.add_typer(accounts, name="account")
app.add_typer(bonds, name="bond")
app.add_typer(beacon, name="beacon")
app.add_typer(data, name="data")
app.add_typer(edge, name="edge")
app.add_typer(keys, name="keys")
app.add_typer(node, name="node")
app.add_typer(miner, name="miner")
app.add_typer(models, name="model")
app.add_typer(clients, name="client")
app.add_typer(tasks, name="task")
app.add_typer(reports, name="report")
app.add_typer(transfers, name="tx")
app.add_typer(show, name="show")
app.add_typer(store, name="store")
