"""`fedledger store`."""

from typing import Annotated

import typer

from .options import Format, FormatOption, StoreOption

__all__ = ["store"]

store = typer.Typer(no_args_is_help=True, help="The contents that a store holds.")


@store.callback()
def _group() -> None:
    """Keep `delete` a command of its own."""


@store.command("delete")
def delete(
    cids: Annotated[list[str], typer.Argument(metavar="CID...", show_default=False)],
    *,
    store: StoreOption,
    unpin: Annotated[
        bool, typer.Option("--unpin", help="Let go of a pin that keeps a content.")
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Delete contents for good, in this store alone: every other copy has to be deleted too.

    What a round's answers hold is printed by `fedledger show rounds --round N`. The audit then says
    of the round that it could not be checked; rounds after it are proved from the stored models.

    Example: `fedledger store delete bafkrei… --store file:///data/store`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.erasing import erase  # noqa: PLC0415 - the same

    from .render import show_record  # noqa: PLC0415 - the same

    with open_store(store) as opened:
        show_record(
            {"deleted": [{"cid": cid} for cid in erase(opened, cids, unpin=unpin)]}, format_
        )
