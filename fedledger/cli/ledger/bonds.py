"""`fedledger bond` and `fedledger faucet`."""

from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption
from ..signing import PasswordOption, open_account, open_existing, signed

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account
    from fedledger.ledger_plugins.contracts import Bonds

__all__ = ["bonds", "faucet"]

bonds = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Stake that an account deposits, and that contracts lock, release and take away.",
)


_Amount = Annotated[int, typer.Argument(min=1)]


@bonds.command("deposit")
@signed
def deposit(ledger: "Ledger", signer: "Account", amount: _Amount) -> "Receipt":
    """Deposit tokens of an account, in one call; returns when it is in a block.

    Example: `fedledger bond deposit 50 --ledger local+http://127.0.0.1:7001 --account press-7`
    """
    return _bonds_of(ledger).deposit(signer, amount)


@bonds.command("withdraw")
@signed
def withdraw(ledger: "Ledger", signer: "Account", amount: _Amount) -> "Receipt":
    """Take out what is free of a deposit: a day after something was last released to the account.

    What is locked, the contract that locked it releases; no account can unlock it by itself.
    """
    return _bonds_of(ledger).withdraw(signer, amount)


@bonds.command("show")
def show(
    address: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ADDRESS]...", help="Whose; default: everybody's."),
    ] = None,
    *,
    ledger: LedgerOption,
    format_: FormatOption = Format.text,
) -> None:
    """Print deposits: what is free, what is locked, by whom and what for."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.money import deposits  # noqa: PLC0415 - the same

    from ..views import show_deposits  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        show_deposits(deposits(opened, address), format_)


def faucet(
    address: Annotated[list[str], typer.Argument(metavar="ADDRESS...")],
    *,
    amount: Annotated[
        int, typer.Option(min=1, help="Tokens for each account.", show_default=False)
    ],
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Give accounts tokens to begin with, minted by who may: the ledger's administrator.

    An account that was given as many before, rewards not counted, is given none again. Audits show
    these tokens apart from rewards. `fedledger tx mint` mints more.

    Example: `fedledger faucet 0x… 0x… --amount 100 --ledger URL --account admin`
    """
    from fedledger.ledger_plugins.money import give  # noqa: PLC0415 - the same

    from ..views import show_receipts  # noqa: PLC0415 - the same

    minter = open_account(account, password_file)
    with open_existing(ledger) as opened:
        show_receipts(give(opened, minter, address, amount), "nobody was given anything", format_)


def _bonds_of(ledger: "Ledger") -> "Bonds":
    from fedledger.ledger_plugins.contracts import Bonds  # noqa: PLC0415 - slow to import

    if Bonds.contract not in ledger.contracts():
        raise ConfigError(f"{ledger.url} has no contract Bonds: `fedledger deploy` adds it")
    return Bonds(ledger)
