"""`fedledger bond` and `fedledger faucet`."""

from typing import Annotated

import typer

from fedledger.errors import ConfigError

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption, open_existing
from .accounts import PasswordOption, open_account

__all__ = ["bonds", "faucet"]

bonds = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Stake that an account deposits, and that contracts lock, release and take away.",
)


@bonds.command("deposit")
def deposit(
    amount: Annotated[int, typer.Argument(min=1)],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Deposit tokens of an account, in one call; returns when it is in a block.

    Example: `fedledger bond deposit 50 --ledger local+http://127.0.0.1:7001 --account press-7`
    """
    _send("deposit", amount, ledger, account, password_file, format_)


@bonds.command("withdraw")
def withdraw(
    amount: Annotated[int, typer.Argument(min=1)],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Take out what is free of a deposit: a day after something was last released to the account.

    What is locked, the contract that locked it releases; no account can unlock it by itself.
    """
    _send("withdraw", amount, ledger, account, password_file, format_)


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


def _send(  # noqa: PLR0917 - both commands' arguments, in their order
    function: str,
    amount: int,
    ledger: str,
    account: str,
    password_file: PasswordOption,
    form: Format,
) -> None:
    from fedledger.ledger_plugins.contracts import Bonds  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    sender = open_account(account, password_file)
    with open_existing(ledger) as opened:
        if Bonds.contract not in opened.contracts():
            raise ConfigError(f"{ledger} has no contract Bonds: `fedledger deploy` adds it")
        contract = Bonds(opened)
        send = contract.deposit if function == "deposit" else contract.withdraw
        show_receipt(send(sender, amount), form)
