"""The files of a dealing, and those of an account."""

from collections.abc import Sequence
from pathlib import Path

from fedledger.clients.keyring import Keyring
from fedledger.effects import Disk, Effects
from fedledger.errors import ConfigError
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import keystore_path
from fedledger.ledger_plugins.contracts.threshold_keys.dealing import MOST_BYTES, Dealing
from fedledger.ledger_plugins.keystore import read_keystore, stated_address

__all__ = ["address_of", "dealt_in", "empty_folder", "keyring_of", "write_files"]

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


def dealt_in(what: str, store: str | None) -> tuple[bytes, Sequence[bytes]]:
    """Return the keys and the envelopes of a dealing in a store, or in files: there only one.

    Args:
        what: path of a share, beside which the keys lie, or a CID.
        store: URL of the store with the dealing.

    Raises:
        CryptoError: what is stored is no dealing.
        ConfigError: a file cannot be read, or there is neither a file nor a store.
        StoreError: the dealing cannot be had.
    """
    path, disk = Path(what), Effects.real().disk
    if disk.exists(path):
        return _read(path.with_name(KEYS), disk), [_read(path, disk)]
    if store is None:
        raise ConfigError(f"there is no file {what}; if it is a CID, give its --store")
    with open_store(store, read_only=True) as contents:
        dealing = Dealing.decode(contents.get(what, max_bytes=MOST_BYTES))
    dealing.check()
    return dealing.keys, dealing.envelopes


def _read(path: Path, disk: Disk) -> bytes:
    try:
        return disk.read_small(path, MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
