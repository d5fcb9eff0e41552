"""Keystore files on disk: Web3 Secret Storage, version 3, readable by their owner only."""

from pathlib import Path
from typing import Any

from fedledger.effects import Disk
from fedledger.errors import AccountError, CallError
from fedledger.formats import parse_json

from .addresses import checksum_address

__all__ = ["read_keystore", "stated_address", "write_new"]

_MAX_FILE_BYTES = 64 * 1024


def read_keystore(path: Path, disk: Disk) -> dict[str, Any]:
    """Return a keystore file's content.

    Raises:
        AccountError: no such file, or no keystore file of version 3.
    """
    try:
        raw = disk.read(path, most=_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise AccountError(f"no account file {path}: {error.strerror}") from error
    try:
        content = parse_json(raw) if len(raw) <= _MAX_FILE_BYTES else None
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("version") != 3:
        raise AccountError(f"{path} is no keystore file of version 3")
    return content


def stated_address(content: dict[str, Any], path: Path) -> str:
    """Return the address that a keystore file names; AccountError when it names none."""
    address = str(content.get("address", "")).lower().removeprefix("0x")
    try:
        return checksum_address("0x" + address)
    except CallError as error:
        raise AccountError(f"{path} names no address") from error


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
