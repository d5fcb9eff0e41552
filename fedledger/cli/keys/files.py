"""The files of a dealing, and what a trainer finds in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedledger.clients.keyring import Keyring
from fedledger.effects import Disk, Effects
from fedledger.errors import AccountError, ConfigError
from fedledger.ledger_plugins import Ledger, open_store
from fedledger.ledger_plugins.accounts import keystore_path
from fedledger.ledger_plugins.contracts.threshold_keys.dealing import (
    MOST_BYTES,
    Dealing,
    context_on,
    publications,
)
from fedledger.ledger_plugins.keystore import read_keystore, stated_address

if TYPE_CHECKING:  # an extra
    from fedledger.crypto.threshold import ThresholdKeys

__all__ = ["address_of", "check_share", "empty_folder", "keyring_of", "write_files"]

KEYS, SHARE = "keys.bin", ".share"


def keyring_of(account: str) -> Keyring:
    """Return an account's keyring, which needs no password.

    Raises:
        AccountError: there is no such account.
    """
    path, disk = keystore_path(account), Effects.real().disk
    read_keystore(path, disk)
    return Keyring.beside(path, disk)


def address_of(account: str) -> str | None:
    """Return the address that an account's file names; None: it names none.

    Raises:
        AccountError: there is no such account.
    """
    path = keystore_path(account)
    return stated_address(read_keystore(path, Effects.real().disk), path)


def empty_folder(folder: Path) -> None:
    """Make sure of an empty folder, before anything is dealt.

    Raises:
        ConfigError: something is in it, or it cannot be made.
    """
    disk = Effects.real().disk
    try:
        disk.make_folder(folder, private=True)
        names = disk.names(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used: {error.strerror or error}") from error
    if names:
        raise ConfigError(f"{folder} has something in it ({names[0]}): name a new folder")


def write_files(folder: Path, dealing: Dealing, trainers: Sequence[str]) -> list[Path]:
    """Write the keys, and each trainer's sealed share; return where the shares are.

    Raises:
        OSError: they cannot be written.
    """
    disk = Effects.real().disk
    disk.create(folder / KEYS, dealing.keys)
    files = [folder / f"{trainer}{SHARE}" for trainer in trainers]
    for file, envelope in zip(files, dealing.envelopes, strict=True):
        disk.create(file, envelope, private=True)
    return files


def check_share(
    ledger: Ledger, ring: Keyring, what: str, store: str | None, address: str | None
) -> dict[str, Any]:
    """Return what a trainer sees of its share in a file or a stored dealing.

    Args:
        ledger: where the keys are to be used.
        ring: the trainer's.
        what: path of its share, or CID of a dealing.
        store: URL of the store with the dealing.
        address: the trainer's, where it is known.

    Raises:
        CryptoError: what is there is no dealing, or no share in it opens and fits.
        AccountError: on the ledger another account is that trainer.
        ConfigError: a file cannot be read, or there is neither a file nor a store.
        StoreError: the dealing cannot be had.
    """
    context = context_on(ledger)
    keys, envelopes = _found(what, store, Effects.real().disk)
    share = ring.find_share(keys, dict(enumerate(envelopes, 1)), context)
    published = [
        {"dealer": one.dealer, "trainer": one.trainers[share.trainer - 1]}
        for one in publications(ledger, keys.digest)
        if (one.threshold, len(one.trainers)) == (keys.threshold, keys.trainers)
    ]
    if address and published and all(one["trainer"] != address for one in published):
        raise AccountError(
            f"the share opens as that of trainer {share.trainer}, who is "
            f"{published[0]['trainer']} on the ledger, and not {address}"
        )
    return {
        "number": share.trainer,
        "trainers": keys.trainers,
        "threshold": keys.threshold,
        "key_bits": keys.public.bits,
        "digest": keys.digest.hex(),
        "published": published,
    }


def _found(what: str, store: str | None, disk: Disk) -> "tuple[ThresholdKeys, Sequence[bytes]]":
    """Return keys, and what may be the envelope of each trainer."""
    from fedledger.crypto.threshold import ThresholdKeys  # noqa: PLC0415 - an extra

    path = Path(what)
    if disk.exists(path):
        keys = ThresholdKeys.decode(_read(path.with_name(KEYS), disk))
        return keys, [_read(path, disk)] * keys.trainers  # a file does not say whose it is
    if store is None:
        raise ConfigError(f"there is no file {what}; if it is a CID, give its --store")
    with open_store(store, read_only=True) as contents:
        dealing = Dealing.decode(contents.get(what, max_bytes=MOST_BYTES))
    return dealing.check(), dealing.envelopes


def _read(path: Path, disk: Disk) -> bytes:
    try:
        return disk.read_small(path, MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
