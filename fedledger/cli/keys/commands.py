"""`fedledger keys`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fedledger.errors import ConfigError

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption, StoreOption
from ..signing import PasswordOption, open_account, open_existing, signed

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["keys"]

keys = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Threshold keys of encrypted rounds: trainers' own keys, dealings, and their end.",
)

_DIGITS = 64


@keys.command("new")
def new(
    *,
    ledger: LedgerOption,
    account: AccountOption,
    node_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Private key of the SuperNode that the account has bound, where it has: its "
            "statement is made anew.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Draw a key to which a dealer can seal your share, and publish its public half.

    The private half lies beside the account's keystore, readable by you alone. Other keys that you
    published stay, and so do older private keys, until `fedledger keys forget`.

    Example: `fedledger keys new --ledger local+http://127.0.0.1:7001 --account press-7`
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts.identities.nodes import (  # noqa: PLC0415 - the same
        load_node_key,
        publish_hpke,
    )

    from ..render import show_record  # noqa: PLC0415 - the same
    from .files import keyring_of  # noqa: PLC0415 - the same

    effects = Effects.real()
    node = None if node_key is None else load_node_key(node_key, effects.disk)
    signer, ring = open_account(account, password_file), keyring_of(account)
    with open_existing(ledger) as opened:
        public, receipt = publish_hpke(opened, signer, lambda: ring.new_key(effects.entropy), node)
    show_record(
        {
            "account": signer.address,
            "hpke": public.hex(),
            "folder": str(ring.folder),
            "transaction": receipt.transaction,
            "block": receipt.block,
        },
        format_,
    )


@keys.command("deal")
@signed
def deal(
    ledger: "Ledger",
    signer: "Account",
    trainer: Annotated[list[str], typer.Argument(metavar="TRAINER...", show_default=False)],
    *,
    store: StoreOption,
    threshold: Annotated[
        int,
        typer.Option(min=2, help="How many open together: more than half.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="A new folder for copies.", show_default=False)
    ],
    bits: Annotated[Literal["2048", "3072"], typer.Option(help="Size of the modulus.")] = "2048",
) -> dict[str, Any]:
    """Deal a key to trainers: a process of its own makes it, seals the shares, and ends.

    TRAINER is an account's address; their order counts. Each needs the key that `fedledger keys
    new` publishes. The dealing goes into the store, the keys onto the ledger; DIR gets keys.bin
    and one ADDRESS.share for each trainer, which opens for its owner alone. Run it where neither an
    aggregator nor a trainer can look, and against a ledger that you believe: it says to which keys
    shares are sealed. They are printed; trainers know theirs.

    Example: `fedledger keys deal 0x… 0x… 0x… --threshold 2 --out dealt --ledger URL --store URL
    --account dealer`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.addresses import checksum_address  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.contracts.threshold_keys.dealing import (  # noqa: PLC0415 - same
        deal_to,
    )
    from fedledger.registry import check_installed  # noqa: PLC0415 - the same

    check_installed("dealing keys", "paillier", "gmpy2")
    from .files import empty_folder, write_files  # noqa: PLC0415 - the same

    trainers = [checksum_address(one) for one in trainer]
    empty_folder(out)
    with open_store(store, account=signer) as contents:
        dealt = deal_to(ledger, contents, signer, trainers, threshold=threshold, bits=int(bits))
    try:
        files = write_files(out, dealt.dealing, trainers)
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written: {error.strerror or error}; the dealing is stored as "
            f"{dealt.cid}, and its keys are published"
        ) from error
    return {
        "dealer": signer.address,
        "digest": dealt.dealing.digest.hex(),
        "dealing": dealt.cid,
        "threshold": threshold,
        "key_bits": int(bits),
        "trainers": [
            {"number": at, "trainer": one, "hpke": key.hex(), "file": str(file)}
            for at, (one, key, file) in enumerate(
                zip(trainers, dealt.recipients, files, strict=True), 1
            )
        ],
        "transaction": dealt.receipt.transaction,
        "block": dealt.receipt.block,
    }


@keys.command("check")
def check(
    what: Annotated[str, typer.Argument(metavar="FILE|CID", show_default=False)],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="URL", help="Where the dealing CID is.", show_default=False
        ),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Look whether your share of a dealing opens, on this ledger, and is the one of its v_i.

    FILE is your ADDRESS.share, with keys.bin beside it; CID the dealing in a store. Nothing is
    kept, and no password is asked for.
    """
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.registry import check_installed  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    check_installed("checking a share", "paillier", "gmpy2")
    from fedledger.clients.dealt import check_share  # noqa: PLC0415 - the same

    from .files import address_of, dealt_in, keyring_of  # noqa: PLC0415 - the same

    address, ring = address_of(account), keyring_of(account)
    with open_ledger(ledger, read_only=True) as opened:
        found = check_share(opened, ring, *dealt_in(what, store), address)
    show_record(found, format_)


@keys.command("forget")
def forget(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", show_default=False)],
    *,
    account: AccountOption,
    format_: FormatOption = Format.text,
) -> None:
    """Remove your share of keys, and the private key that opened it: when a run has ended.

    Then the share opens for nobody any more. A second time nothing happens. Private keys that
    opened nothing, or also what is still kept, stay and are listed. `fedledger keys new` publishes
    a key for the next dealing.
    """
    from ..render import show_record  # noqa: PLC0415 - slow to import
    from .files import keyring_of  # noqa: PLC0415 - the same

    plain = digest.removeprefix("0x").lower()
    if len(plain) != _DIGITS or not set(plain) <= set("0123456789abcdef"):
        raise ConfigError(f"{digest!r} is no digest of keys: {_DIGITS} hexadecimal digits")
    ring = keyring_of(account)
    ring.forget(bytes.fromhex(plain))
    left = [{"hpke": one.hex()} for one in ring.public_keys()]
    show_record({"forgotten": plain, "folder": str(ring.folder), "hpke_left": left}, format_)
