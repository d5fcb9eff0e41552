"""`fedledger tx`."""

from typing import Annotated

import typer

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption, open_existing
from .accounts import PasswordOption, open_account

__all__ = ["transfers"]

transfers = typer.Typer(cls=Commands, no_args_is_help=True, help="Transactions of the stake token.")


@transfers.command("transfer")
def transfer(
    to: Annotated[str, typer.Argument(metavar="ADDRESS")],
    amount: Annotated[int, typer.Argument(min=1)],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Move stake of an account to ADDRESS; returns when it is in a block."""
    _send("transfer", to, amount, ledger, account, password_file, format_)


@transfers.command("mint")
def mint(
    to: Annotated[str, typer.Argument(metavar="ADDRESS")],
    amount: Annotated[int, typer.Argument(min=1)],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Make new stake for ADDRESS; the chain's admin may."""
    _send("mint", to, amount, ledger, account, password_file, format_)


def _send(  # noqa: PLR0917 - both commands' arguments, in their order
    function: str,
    to: str,
    amount: int,
    ledger: str,
    account: str,
    password_file: PasswordOption,
    form: Format,
) -> None:
    from fedledger.ledger_plugins.contracts import StakeToken  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    sender = open_account(account, password_file)
    with open_existing(ledger) as opened:
        token = StakeToken(opened)
        send = token.transfer if function == "transfer" else token.mint
        show_receipt(send(sender, to, amount), form)
