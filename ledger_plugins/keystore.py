"""Keystore files on disk: Web3 Secret Storage, version 3, readable by their owner only.

Files of geth, foundry, ethers, MyEtherWallet and MetaMask's import are all of this form; they
differ in whether they name an address, in the case of keys, and in how much work a password costs.
That work is a number in the file, so it is bounded before any of it is done.
"""

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

from Crypto.Protocol.KDF import scrypt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from eth_hash.auto import keccak

from fedledger.effects import Disk
from fedledger.errors import AccountError, CallError
from fedledger.formats import parse_json, shown

from .addresses import checksum_address

__all__ = ["open_keystore", "read_keystore", "stated_address", "write_new"]

_MAX_FILE_BYTES = 64 * 1024
_MAX_SCRYPT = 1 << 23  # n * r * p; geth's standard is 2**21, and takes about a second
_MAX_PBKDF2 = 10_000_000  # iterations; wallets use 10,240 to 1,000,000
_LENGTHS = range(32, 65)  # of derived keys; 32 bytes are used
_scrypt: Callable[..., Any] = scrypt  # its stub has no bytes
_VAULT = {"data", "iv", "salt"}
_CIPHER, _PRF = "aes-128-ctr", "hmac-sha256"


def read_keystore(path: Path, disk: Disk) -> dict[str, Any]:
    """Return a keystore file's content.

    Raises:
        AccountError: no such file, or no keystore file of version 3.
    """
    try:
        raw = disk.read(path, most=_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise AccountError(f"no account file {path}: {error.strerror or error}") from error
    try:
        content = (
            parse_json(raw.removeprefix(b"\xef\xbb\xbf")) if len(raw) <= _MAX_FILE_BYTES else None
        )
    except ValueError:
        content = None
    content = _lower(content)
    if isinstance(content, dict) and content.keys() >= _VAULT:
        raise AccountError(
            f"{path} is MetaMask's vault, the seed of all its accounts: export the private key of "
            "one, and write it as a keystore file, with `cast wallet import` for example"
        )
    if not isinstance(content, dict) or content.get("version") not in (3, "3"):
        raise AccountError(f"{path} is no keystore file of version 3")
    if not isinstance(content.get("crypto"), dict):
        raise AccountError(f"{path} is no keystore file of version 3: it holds no key")
    stated_address(content, path)
    return content


def stated_address(content: dict[str, Any], path: Path) -> str | None:
    """Return the address that a keystore file names; None: it names none, as foundry's do.

    Raises:
        AccountError: what it names is no address.
    """
    stated = content.get("address")
    if stated in (None, ""):
        return None
    try:
        return checksum_address("0x" + str(stated).lower().removeprefix("0x"))
    except CallError as error:
        raise AccountError(f"{path} names {shown(stated)}, which is no address") from error


def open_keystore(content: dict[str, Any], password: str, path: Path) -> bytes:
    """Return the private key in a keystore file.

    Args:
        content: what `read_keystore` returned.
        password: what it was encrypted with.
        path: the file, for messages.

    Raises:
        AccountError: a wrong password, parameters that no wallet uses, or a damaged file.
    """
    crypto = content["crypto"]
    if crypto.get("cipher") != _CIPHER:
        raise AccountError(f"{path}: {_CIPHER} wanted, its cipher is {shown(crypto.get('cipher'))}")
    secret = _hex(crypto, "ciphertext", path, 32)
    mac = _hex(crypto, "mac", path, 32)
    iv = _hex(crypto.get("cipherparams"), "iv", path, 16)
    try:
        derived = _derive(crypto, password.encode(), path)
    except (MemoryError, UnicodeEncodeError) as error:
        why = "memory is short" if isinstance(error, MemoryError) else "the password is no text"
        raise AccountError(f"{path} cannot be opened: {why}") from error
    if not hmac.compare_digest(keccak(derived[16:32] + secret), mac):
        raise AccountError(f"wrong password for {path}")
    return Cipher(AES(derived[:16]), CTR(iv)).decryptor().update(secret)


def _derive(crypto: dict[str, Any], password: bytes, path: Path) -> bytes:
    given, kdf = crypto.get("kdfparams"), crypto.get("kdf")
    salt = _hex(given, "salt", path)
    length = _number(given, "dklen", path)
    if length not in _LENGTHS:
        raise AccountError(
            f"{path}: dklen is {shown(length)}, {_LENGTHS[0]} to {_LENGTHS[-1]} wanted"
        )
    if kdf == "scrypt":
        n, r, p = (_number(given, name, path) for name in "nrp")
        if n < 2 or n & (n - 1) or n * r * p > _MAX_SCRYPT:
            raise AccountError(
                f"{path}: scrypt with n={shown(n)}, r={shown(r)}, p={shown(p)} is refused: n is "
                f"a power of 2, and n times r times p at most {_MAX_SCRYPT}"
            )
        # OpenSSL refuses the r=1 of some wallets.
        return bytes(_scrypt(password, salt, length, N=n, r=r, p=p))
    if kdf == "pbkdf2" and (given or {}).get("prf", _PRF) == _PRF:
        count = _number(given, "c", path)
        if count > _MAX_PBKDF2:
            raise AccountError(
                f"{path}: PBKDF2 with c={shown(count)} is refused: at most {_MAX_PBKDF2}"
            )
        return PBKDF2HMAC(SHA256(), length, salt, count).derive(password)
    raise AccountError(f"{path}: scrypt, or pbkdf2 with {_PRF} wanted, it has {shown(kdf)}")


def _number(given: Any, name: str, path: Path) -> int:
    value = given.get(name) if isinstance(given, dict) else None
    if type(value) is not int or value < 1:
        raise AccountError(f"{path}: {name} is {shown(value)}, a whole number above 0 wanted")
    return value


def _hex(given: Any, name: str, path: Path, length: int | None = None) -> bytes:
    value = given.get(name) if isinstance(given, dict) else None
    try:
        found = bytes.fromhex(value.lower().removeprefix("0x")) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or (length is not None and len(found) != length):
        size = f"{length} bytes" if length else "bytes"
        raise AccountError(f"{path} is damaged: {name} has to be {size} in hexadecimal digits")
    return found


def _lower(value: Any) -> Any:
    """Return an object whose keys are in lower case, for some wallets write "Crypto"."""
    if not isinstance(value, dict):
        return value
    return {name.lower(): _lower(one) for name, one in value.items()}


def write_new(path: Path, content: bytes, disk: Disk) -> None:
    """Write a whole file, durably and for its owner alone, or nothing.

    Raises:
        AccountError: the file exists, or cannot be written.
    """
    try:
        disk.create(path, content, private=True)
    except FileExistsError:
        raise AccountError(f"{path} exists; a keystore file is never overwritten") from None
    except OSError as error:
        raise AccountError(f"{path} cannot be written: {error.strerror}") from error
