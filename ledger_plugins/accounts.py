"""Accounts: secp256k1 keys that sign calls for every ledger, kept in encrypted keystore files.

A private key leaves an `Account` only into a keystore file (Web3 Secret Storage, version 3). It is
in no repr and no pickle. Keystore files lie in `$FEDLEDGER_HOME/keystore/NAME.json`.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import coincurve
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_hash.auto import keccak

from fedledger.effects import Disk, Effects, Entropy
from fedledger.errors import AccountError, MalformedTransaction

from .addresses import address_of_public_key
from .base import SignedTransaction, UnsignedTransaction
from .keystore import open_keystore, read_keystore, stated_address, write_new
from .transactions import decode_transaction, recover_signer, sign_creation, sign_transaction

__all__ = [
    "ACCOUNT_VARIABLE",
    "PASSWORD_FILE_VARIABLE",
    "PASSWORD_VARIABLE",
    "Account",
    "AccountFile",
    "create_account",
    "decode_transaction",
    "environment_account",
    "keystore_path",
    "list_accounts",
    "load_account",
    "read_password",
    "recover",
    "recover_digest",
]

ACCOUNT_VARIABLE = "FEDLEDGER_ACCOUNT"
PASSWORD_VARIABLE = "FEDLEDGER_ACCOUNT_PASSWORD"  # noqa: S105 - the variable's name
PASSWORD_FILE_VARIABLE = "FEDLEDGER_ACCOUNT_PASSWORD_FILE"  # noqa: S105 - the same

_LONGEST_PASSWORD_FILE = 64 * 1024
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_ROUNDS = 2**18
_LIGHT_ROUNDS = 2**12
_LIGHT_PASSWORD = 22  # characters; of base64 they hold 132 bits
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Account:
    """One key and its address; equal to another account with the same address."""

    __slots__ = ("_key", "address")

    address: str
    """The checksummed address."""

    def __init__(self, key: coincurve.PrivateKey) -> None:
        self._key = key
        self.address = address_of_public_key(key.public_key.format(compressed=False))

    @classmethod
    def create(cls, entropy: Entropy | None = None) -> Self:
        """Make an account with a new random key.

        Args:
            entropy: draws it; this machine's by default.
        """
        return cls.from_key((entropy or Effects.real().entropy).draw(32))

    @classmethod
    def from_key(cls, key: bytes) -> Self:
        """Make the account of a private key.

        Args:
            key: 32 bytes, a number from 1 to the order of secp256k1 less 1.

        Raises:
            AccountError: something else; the message does not repeat it.
        """
        if not isinstance(key, bytes) or len(key) != 32:
            raise AccountError("a private key is 32 bytes")
        try:
            return cls(coincurve.PrivateKey(key))
        except ValueError:
            raise AccountError("these 32 bytes are no secp256k1 private key") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str], password: str, *, disk: Disk | None = None) -> Self:
        """Open a keystore file (Web3 Secret Storage, version 3).

        Args:
            path: the file.
            password: what it was encrypted with.
            disk: where it is; this machine's by default.

        Raises:
            AccountError: no such file, not a keystore, or a wrong password.
        """
        place = Path(path)
        content = read_keystore(place, _disk(disk))
        key = open_keystore(content, password, place)
        try:
            account = cls.from_key(key)
        except AccountError as error:
            raise AccountError(f"{path}: {error}") from error
        if stated_address(content, place) not in (None, account.address):
            raise AccountError(f"{path} names another address than its key has")
        return account

    def save(
        self,
        path: str | os.PathLike[str],
        password: str,
        *,
        light: bool = False,
        disk: Disk | None = None,
    ) -> None:
        """Write an encrypted keystore file, readable by its owner only; never over another file.

        Args:
            path: the new file; its folder exists.
            password: what `load` will need.
            light: scrypt with 2^12 instead of 2^18 rounds, milliseconds and 4 MB instead of about a
                second and 256 MB: for a password that nobody can guess.
            disk: where it goes; this machine's by default.

        Raises:
            AccountError: the file exists or cannot be written.
        """
        disk = _disk(disk)
        from eth_account import Account as EthAccount  # noqa: PLC0415 - half a second of imports

        if disk.exists(Path(path)):
            raise AccountError(f"{path} exists; a keystore file is never overwritten")
        rounds = _LIGHT_ROUNDS if light else _ROUNDS
        content = EthAccount.encrypt(self._key.secret, password, kdf="scrypt", iterations=rounds)
        write_new(Path(path), (json.dumps(content, indent=1) + "\n").encode(), disk)

    def sign(self, unsigned: UnsignedTransaction) -> SignedTransaction:
        """Sign a call; it needs no ledger.

        Raises:
            CallError: a field is out of range, or the transaction would be too large.
        """
        return sign_transaction(unsigned, self._key, self.address)

    def sign_creation(self, unsigned: UnsignedTransaction) -> tuple[bytes, str]:
        """Sign the creation of a contract; see `transactions.sign_creation`.

        Returns:
            The envelope's bytes and its hash.

        Raises:
            CallError: a field is out of range, or the transaction would be too large.
        """
        return sign_creation(unsigned, self._key)

    def sign_bytes(self, message: bytes) -> bytes:
        """Sign a message that is no transaction (EIP-191, `personal_sign`); see `recover`.

        Returns:
            65 bytes: r, s, and 27 or 28.
        """
        return self.sign_digest(_digest(message))

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes that hash what is meant (EIP-712, `Statement.digest`).

        Returns:
            65 bytes: r, s, and 27 or 28; see `recover_digest`.
        """
        if not isinstance(digest, bytes) or len(digest) != 32:
            raise AccountError("a digest is 32 bytes")
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([signature[64] + 27])

    def secret(self, purpose: bytes) -> bytes:
        """Return 32 secret bytes of this account for one purpose.

        Secrets of two purposes tell nothing of each other or of the key (HKDF-SHA256, RFC 5869,
        info "fedledger/" and the purpose).
        """
        if not isinstance(purpose, bytes) or not purpose:
            raise AccountError("the purpose of a secret is non-empty bytes")
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"fedledger/" + purpose)
        return derive.derive(self._key.secret)

    def __repr__(self) -> str:
        return f"Account({self.address}, key=***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise AccountError("an account is never pickled or copied: it would carry the private key")


def recover(message: bytes, signature: bytes) -> str:
    """Return the address that signed `message` with `Account.sign_bytes`.

    Raises:
        AccountError: not 65 bytes in the one canonical form, or no key makes this signature.
    """
    return recover_digest(_digest(message), signature)


def recover_digest(digest: bytes, signature: bytes) -> str:
    """Return the address that signed 32 bytes with `Account.sign_digest`.

    Raises:
        AccountError: not 65 bytes in the one canonical form, or no key makes this signature.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise AccountError("a signature is 65 bytes, the last one 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise AccountError("a signature's s is at most half the group's order")
    try:
        return recover_signer(digest, signature[:64] + bytes([signature[64] - 27]))
    except MalformedTransaction as error:
        raise AccountError("no key makes this signature") from error


@dataclass(frozen=True, slots=True)
class AccountFile:
    """A keystore file, not opened.

    Attributes:
        name: the account's name.
        address: what the file says its address is; None: it does not say, its key does.
        path: where it lies.
        problem: why it cannot be opened, or None.
    """

    name: str
    address: str | None
    path: Path
    problem: str | None = None


def create_account(
    name: str, password: str, home: str | os.PathLike[str] | None = None, *, light: bool = False
) -> AccountFile:
    """Make a new account and keep it as `name` in the keystore.

    Args:
        name: 1 to 64 lower-case letters, digits and hyphens.
        password: what opens it.
        home: the folder above the keystore (default: $FEDLEDGER_HOME, else ~/.fedledger).
        light: see `Account.save`; the password has 22 characters at least, drawn at random.

    Raises:
        AccountError: a bad name, no password or too short a one, the name is taken, or there is no
            home folder.
    """
    path = _path_of(name, home)
    if not password:
        raise AccountError("an account needs a password")
    if light and len(password) < _LIGHT_PASSWORD:
        raise AccountError(
            "a light keystore is as hard to open as its password is to guess: draw one of at least "
            f"{_LIGHT_PASSWORD} characters, as `openssl rand -base64 24` does"
        )
    account = Account.create()
    disk = _disk(None)
    disk.make_folder(path.parent, private=True)
    account.save(path, password, light=light, disk=disk)
    return AccountFile(name, account.address, path)


def list_accounts(home: str | os.PathLike[str] | None = None) -> list[AccountFile]:
    """Return the keystore's accounts, sorted by name; no password needed.

    A damaged file is among them and says what is wrong with it; it hides no other.

    Raises:
        AccountError: the keystore's folder cannot be read.
    """
    folder, disk = _keystore(home), _disk(None)
    try:
        names = disk.names(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AccountError(f"{folder} cannot be read: {error.strerror}") from error
    paths = [folder / name for name in sorted(names) if name.endswith(".json")]
    return [_listed(path, disk) for path in paths if _NAME.fullmatch(path.stem)]


def _listed(path: Path, disk: Disk) -> AccountFile:
    try:
        address = stated_address(read_keystore(path, disk), path)
    except AccountError as error:
        return AccountFile(path.stem, None, path, str(error))
    return AccountFile(path.stem, address, path)


def load_account(
    name_or_path: str | os.PathLike[str],
    password: str,
    home: str | os.PathLike[str] | None = None,
    *,
    disk: Disk | None = None,
) -> Account:
    """Open an account by its name in the keystore, or by the path of its file.

    Args:
        name_or_path: which one.
        password: what opens it.
        home: the folder above the keystore, as of `create_account`.
        disk: where it is; this machine's by default.

    Raises:
        AccountError: missing, malformed, or a wrong password.
    """
    return Account.load(keystore_path(name_or_path, home), password, disk=disk)


def environment_account(why: str, disk: Disk | None = None) -> Account:
    """Open the account that the environment names, by name or path, and its password.

    FEDLEDGER_ACCOUNT names it; the password is in FEDLEDGER_ACCOUNT_PASSWORD, or in the first line
    of the file that FEDLEDGER_ACCOUNT_PASSWORD_FILE names.

    Args:
        why: what needs one, for the message where none is named.
        disk: where it is; this machine's by default.

    Raises:
        AccountError: none is named, its password is not, or it cannot be opened.
    """
    name, file = os.environ.get(ACCOUNT_VARIABLE), os.environ.get(PASSWORD_FILE_VARIABLE)
    if not name:
        raise AccountError(
            f"{why}: give one, or set {ACCOUNT_VARIABLE} to its name or file, and "
            f"{PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}"
        )
    password = read_password(file, disk=disk) if file else os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise AccountError(
            f"account {name}: no password: set {PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}"
        )
    return load_account(name, password, disk=disk)


def read_password(path: str | os.PathLike[str], *, disk: Disk | None = None) -> str:
    """Return the password in a file: its first line, whoever reads it.

    Args:
        path: the file.
        disk: where it is; this machine's by default.

    Raises:
        AccountError: it cannot be read, or every user of the machine can; or the line is empty or
            no UTF-8. The message does not repeat it.
    """
    disk = _disk(disk)
    try:
        text = disk.read_small(Path(path), _LONGEST_PASSWORD_FILE).decode("utf-8-sig")
        told = disk.open_to_all(Path(path))
    except OSError as error:
        raise AccountError(f"password file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise AccountError(f"password file {path} is not UTF-8") from None
    if told:
        raise AccountError(
            f"password file {path} can be read by every user of this machine: chmod 600 {path}, "
            "and if others are there, take another password"
        )
    password = text.partition("\n")[0].removesuffix("\r")
    if not password:
        raise AccountError(f"password file {path}: its first line, the password, is empty")
    return password


def keystore_path(
    name_or_path: str | os.PathLike[str], home: str | os.PathLike[str] | None = None
) -> Path:
    """Return where the keystore file of an account lies, by its name or by its path."""
    if isinstance(name_or_path, str) and _NAME.fullmatch(name_or_path):
        return _path_of(name_or_path, home)
    return Path(name_or_path)


def _digest(message: bytes) -> bytes:
    if not isinstance(message, bytes):
        raise AccountError("a message is bytes")
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def _disk(disk: Disk | None) -> Disk:
    return Effects.real().disk if disk is None else disk


def _keystore(home: str | os.PathLike[str] | None) -> Path:
    if home is None:
        home = os.environ.get("FEDLEDGER_HOME")
    if not home:
        try:
            home = Path.home() / ".fedledger"
        except RuntimeError as error:
            raise AccountError(
                "this user has no home folder for a keystore: set FEDLEDGER_HOME"
            ) from error
    return Path(home) / "keystore"


def _path_of(name: str, home: str | os.PathLike[str] | None) -> Path:
    if not _NAME.fullmatch(name):
        raise AccountError(f"{name!r} is no account name: 1 to 64 of a-z, 0-9 and hyphens")
    return _keystore(home) / f"{name}.json"
