"""`fedledger show`: what a chain and a node look like now."""

from typing import Annotated

import typer

from .options import DataOption, Format, FormatOption, LedgerOption

__all__ = ["show"]

show = typer.Typer(no_args_is_help=True, help="What a chain and a node look like now.")


@show.command("chain")
def chain(
    *,
    ledger: LedgerOption,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest blocks.")] = 10,
    format_: FormatOption = Format.text,
) -> None:
    """Print the newest blocks."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.local.inspection import newest_blocks  # noqa: PLC0415 - the same

    from .render import show_blocks  # noqa: PLC0415 - the same

    with open_ledger(ledger) as opened:
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
    from fedledger.ledger_plugins.local.inspection import one_block  # noqa: PLC0415 - the same

    from .render import show_record  # noqa: PLC0415 - the same

    with open_ledger(ledger) as opened:
        show_record(one_block(opened, index), format_)


@show.command("balances")
def balances(*, ledger: LedgerOption, format_: FormatOption = Format.text) -> None:
    """Print what every account holds."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.local.inspection import all_balances  # noqa: PLC0415 - the same

    from .render import show_balances  # noqa: PLC0415 - the same

    with open_ledger(ledger) as opened:
        show_balances(all_balances(opened), format_)


@show.command("peers")
def peers(*, data: DataOption, format_: FormatOption = Format.text) -> None:
    """Print a running node's peers and miner."""
    from fedledger.ledger_plugins.local.node.control import NodeControl  # noqa: PLC0415 - slow

    from .render import show_peers  # noqa: PLC0415 - the same

    show_peers(NodeControl(data).about(), format_)
