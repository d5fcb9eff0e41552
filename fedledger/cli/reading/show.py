"""`fedledger show`: what a ledger and a node look like now."""

from contextlib import ExitStack
from typing import Annotated, NoReturn

import typer

from fedledger.errors import ConfigError

from ..options import FAILED, Commands, DataOption, Format, FormatOption, LedgerOption, StoreOption

__all__ = ["show"]

show = typer.Typer(
    cls=Commands, no_args_is_help=True, help="What a ledger and a node look like now."
)


@show.command("chain")
def chain(
    *,
    ledger: LedgerOption,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest blocks.")] = 10,
    format_: FormatOption = Format.text,
) -> None:
    """Print the newest blocks."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.inspection import newest_blocks  # noqa: PLC0415 - the same

    from ..render import show_blocks  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        show_blocks(newest_blocks(opened, last), format_)


@show.command("block")
def block(
    index: Annotated[int, typer.Argument(min=0)],
    *,
    ledger: LedgerOption,
    format_: FormatOption = Format.text,
) -> None:
    """Print one block: its header, its transactions and its model info."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.inspection import one_block  # noqa: PLC0415 - the same

    from ..render import show_block  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        show_block(one_block(opened, index), format_)


@show.command("rounds")
def rounds(
    *,
    ledger: LedgerOption,
    store: StoreOption,
    task: Annotated[int, typer.Option(min=1, help="The task's number.")] = 1,
    round_: Annotated[
        int | None,
        typer.Option("--round", min=1, help="One round, with every answer.", show_default=False),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Print what happened in a task's rounds, as their evidence says; `audit` checks it.

    Example: `fedledger show rounds --ledger local:///data/chain.db --store file:///data/store`
    """
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.strategies.rounds.evidence.record import read_rounds  # noqa: PLC0415 - the same

    from ..render import show_round, show_rounds  # noqa: PLC0415 - the same

    with (
        open_ledger(ledger, read_only=True) as opened,
        open_store(store, read_only=True) as contents,
    ):
        found = read_rounds(opened, contents, task, strict=False)
    if round_ is None:
        show_rounds(found, format_)
        return
    if round_ > len(found):
        raise ConfigError(f"task {task} has {len(found)} rounds that ended, none is {round_}")
    show_round(found[round_ - 1], format_)


@show.command("task")
def task(
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The task's number.")],
    *,
    ledger: LedgerOption,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The store with its specification: protocol, settings, clients.",
            show_default=False,
        ),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Print a task: who may do what in it, how far it is, its models, rounds and checkpoints.

    Example: `fedledger show task 1 --ledger local:///data/chain.db --store file:///data/store`

    Exit status 1 where the ledger has no such task.
    """
    from fedledger.ledger_plugins import open_ledger, open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same
    from fedledger.strategies.rounds.tasks.about import about_task  # noqa: PLC0415 - the same

    from ..views import show_task  # noqa: PLC0415 - the same

    with ExitStack() as opened:
        chain = opened.enter_context(open_ledger(ledger, read_only=True))
        contents = opened.enter_context(open_store(store, read_only=True)) if store else None
        count = TrainingTask(chain).count()
        if number > count:
            there = f"its tasks are 1 to {count}" if count else "it has none"
            _not_there(f"there is no task {number} on this ledger: {there}")
        show_task(about_task(chain, number, contents), format_)


@show.command("tx")
def tx(
    transaction: Annotated[str, typer.Argument(metavar="HASH")],
    *,
    ledger: LedgerOption,
    format_: FormatOption = Format.text,
) -> None:
    """Print a call: who signed it, what it calls with which arguments, its block, its events.

    Example: `fedledger show tx 0x… --ledger ethereum+http://127.0.0.1:8545`

    Exit status 1 where the ledger has no such call.
    """
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.inspection import one_transaction  # noqa: PLC0415 - the same

    from ..views import show_transaction  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        try:
            found = one_transaction(opened, transaction)
        except KeyError:
            _not_there(f"the ledger has no call of a contract with the hash {transaction}")
        show_transaction(found, format_)


@show.command("balances")
def balances(*, ledger: LedgerOption, format_: FormatOption = Format.text) -> None:
    """Print what every account holds."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.inspection import all_balances  # noqa: PLC0415 - the same

    from ..render import show_balances  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        show_balances(all_balances(opened), format_)


@show.command("peers")
def peers(*, data: DataOption, format_: FormatOption = Format.text) -> None:
    """Print a running node's peers and miner."""
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.local.node.http.control import NodeControl  # noqa: PLC0415 - the same

    from ..render import show_peers  # noqa: PLC0415 - the same

    show_peers(NodeControl(data, Effects.real()).about(), format_)


def _not_there(said: str) -> NoReturn:
    from ..render import show_error  # noqa: PLC0415 - slow to import

    show_error(said)
    raise typer.Exit(FAILED)
