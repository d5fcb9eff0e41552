"""Commands that sign: with which account, and how what they call reaches a ledger."""

import inspect
import os
import warnings
from collections.abc import Callable
from functools import update_wrapper
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedledger.errors import AccountError

from .options import AccountOption, Format, FormatOption, LedgerOption

if TYPE_CHECKING:  # slow to import
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account

__all__ = [
    "PasswordOption",
    "check_account",
    "open_account",
    "open_existing",
    "password_of",
    "signed",
]

PasswordOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="File whose first line is the account's password. Else $FEDLEDGER_ACCOUNT_PASSWORD "
        "is taken, and without it you are asked.",
        show_default=False,
    ),
]

_PASSWORD_VARIABLE = "FEDLEDGER_ACCOUNT_PASSWORD"  # noqa: S105 - the variable's name


def signed(call: "Callable[..., Receipt | dict[str, Any]]") -> Callable[..., None]:
    """Make a command of a function that calls a contract.

    The command asks for --ledger, --account, --password-file and --format besides what the function
    takes. It opens the ledger and the account, which are the function's first two arguments, and
    prints what the function returns: a receipt, or a record of what came of it.
    """

    def command(
        *given: Any,
        ledger: LedgerOption,
        account: AccountOption,
        password_file: PasswordOption = None,
        format_: FormatOption = Format.text,
        **named: Any,
    ) -> None:
        from .render import show_receipt, show_record  # noqa: PLC0415 - slow to import

        signer = open_account(account, password_file)
        with open_existing(ledger) as opened:
            done = call(opened, signer, *given, **named)
        if isinstance(done, dict):
            show_record(done, format_)
        else:
            show_receipt(done, format_)

    own = list(inspect.signature(call).parameters.values())[2:]
    shared = inspect.signature(command).parameters.values()
    shown = [*own, *(one for one in shared if one.kind is one.KEYWORD_ONLY)]
    update_wrapper(command, call)
    command.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in shown}
    return command


def open_existing(url: str) -> "Ledger":
    """Open a ledger to send calls to; one that is not there is an error, and is not made."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import

    open_ledger(url, read_only=True).close()
    return open_ledger(url)


def check_account(name: str) -> None:
    """Make sure that there is an account's file, without its password.

    Raises:
        AccountError: there is none, or it is no such file.
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.accounts import keystore_path  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.keystore import read_keystore  # noqa: PLC0415 - the same

    read_keystore(keystore_path(name), Effects.real().disk)


def open_account(name: str, password_file: Path | None) -> "Account":
    """Open an account that signs; what is no account is said before a password is asked for."""
    from fedledger.ledger_plugins.accounts import load_account  # noqa: PLC0415 - slow to import

    check_account(name)
    return load_account(name, password_of(password_file))


def password_of(file: Path | None, *, new: bool = False) -> str:
    """Return the password of an account, from a file, the environment or the user.

    Args:
        file: its first line is the password, or None.
        new: whether the user, if it comes to that, types it twice.
    """
    if file is not None:
        from fedledger.ledger_plugins.accounts import read_password  # noqa: PLC0415 - slow to import

        return read_password(file)
    given = os.environ.get(_PASSWORD_VARIABLE)
    if given is not None:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        try:
            return str(typer.prompt("Password", hide_input=True, confirmation_prompt=new))
        except GetPassWarning:
            raise AccountError(
                f"no password, and no terminal to ask at: give --password-file FILE, or set "
                f"${_PASSWORD_VARIABLE}"
            ) from None
