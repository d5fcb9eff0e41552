"""`fedledger account`."""

import os
import warnings
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import AccountError

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption, open_existing

if TYPE_CHECKING:
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["PasswordOption", "accounts", "check_account", "open_account", "password_of"]

accounts = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Keys with which clients and servers sign, kept in encrypted files.",
)

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


@accounts.command("create")
def create(
    name: Annotated[str, typer.Argument()],
    *,
    password_file: PasswordOption = None,
    light: Annotated[
        bool,
        typer.Option(
            "--light",
            help="For a device: opening the keystore takes milliseconds and 4 MB, instead of a "
            "second and 256 MB; the password has to be drawn at random.",
        ),
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Make an account and keep it in the keystore.

    NAME is lower-case letters, digits and hyphens. The keystore is ~/.fedledger/keystore, or below
    the folder that $FEDLEDGER_HOME names. The private key is written encrypted and shown nowhere.

    Give the printed address to the owner of a training task, and the file's path to a SuperNode:
    account="PATH" in its node config.
    """
    from fedledger.ledger_plugins.accounts import create_account  # noqa: PLC0415 - slow to import

    from ..render import show_accounts  # noqa: PLC0415 - the same

    password = password_of(password_file, new=True)
    show_accounts([create_account(name, password, light=light)], format_)


@accounts.command("list")
def list_(*, format_: FormatOption = Format.text) -> None:
    """Print names and addresses; needs no password."""
    from fedledger.ledger_plugins.accounts import list_accounts  # noqa: PLC0415 - slow to import

    from ..render import show_accounts  # noqa: PLC0415 - the same

    show_accounts(list_accounts(), format_)


@accounts.command("bind")
def bind(
    *,
    node_key: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Private key that the SuperNode authenticates with (ssh-keygen -t ecdsa -b 384).",
            show_default=False,
        ),
    ],
    ledger: LedgerOption,
    account: AccountOption,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a local:// chain where there is none yet.")
    ] = False,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Publish that a SuperNode is your account's, by statements of both keys.

    Tasks with bound nodes count your answers when they come with a statement of this key; give the
    same FILE to the SuperNode as node-key="FILE" in its node config. Other keys that you published
    stay.
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.contracts.identities.nodes import (  # noqa: PLC0415 - the same
        bind_node,
        load_node_key,
    )

    from ..render import show_receipt  # noqa: PLC0415 - the same

    key = load_node_key(node_key, Effects.real().disk)
    signer = open_account(account, password_file)
    with open_ledger(ledger) if new else open_existing(ledger) as opened:
        receipt = bind_node(opened, signer, key)
    show_receipt(receipt, format_)


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
