"""`fedledger tx`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Commands
from ..signing import signed

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["transfers"]

transfers = typer.Typer(cls=Commands, no_args_is_help=True, help="Transactions of the stake token.")

_To = Annotated[str, typer.Argument(metavar="ADDRESS")]
_Amount = Annotated[int, typer.Argument(min=1)]


@transfers.command("transfer")
@signed
def transfer(ledger: "Ledger", signer: "Account", to: _To, amount: _Amount) -> "Receipt":
    """Move stake of an account to ADDRESS; returns when it is in a block."""
    from fedledger.ledger_plugins.contracts import StakeToken  # noqa: PLC0415 - slow to import

    return StakeToken(ledger).transfer(signer, to, amount)


@transfers.command("mint")
@signed
def mint(ledger: "Ledger", signer: "Account", to: _To, amount: _Amount) -> "Receipt":
    """Make new stake for ADDRESS; the chain's admin may."""
    from fedledger.ledger_plugins.contracts import StakeToken  # noqa: PLC0415 - slow to import

    return StakeToken(ledger).mint(signer, to, amount)
