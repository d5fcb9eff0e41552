"""`fedledger account`."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption
from ..signing import PasswordOption, open_account, open_existing, password_of

__all__ = ["accounts"]

accounts = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Keys with which clients and servers sign, kept in encrypted files.",
)


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
