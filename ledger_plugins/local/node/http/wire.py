"""How nodes and clients write to each other: lists of bytes, and errors as JSON."""

from collections.abc import Iterable
from typing import Any

from fedledger.errors import (
    ContractError,
    LedgerError,
    LedgerUnavailable,
    MalformedBlock,
    MalformedTransaction,
    TransactionRefused,
)

from ...chain.codec import Reader, frame, uint

__all__ = [
    "MAX_ANSWER",
    "MAX_LIST",
    "MAX_LOCATOR",
    "error_from_json",
    "error_to_json",
    "pack",
    "unpack",
]

MAX_LIST = 256
"""Blocks or transactions in one answer."""

MAX_ANSWER = 8 * 1024 * 1024
MAX_LOCATOR = 64

_KINDS: dict[str, type[LedgerError]] = {
    kind.__name__: kind
    for kind in (ContractError, TransactionRefused, MalformedTransaction, MalformedBlock)
}
_MAX_TEXT = 2_000


def pack(parts: Iterable[bytes]) -> bytes:
    """Return a list of byte strings as bytes: their number, then each behind its length."""
    listed = list(parts)
    return uint(len(listed), 4) + b"".join(map(frame, listed))


def unpack(data: bytes, *, at_most: int, each: int) -> list[bytes]:
    """Read what `pack` wrote.

    Args:
        data: the bytes.
        at_most: entries allowed.
        each: bytes of an entry allowed.

    Raises:
        MalformedBlock: field "list"; something else, or too much.
    """
    reader = Reader(data)
    count = reader.uint("list", 4)
    if count > at_most:
        raise MalformedBlock("list", f"{count} entries, allowed are {at_most}")
    found = [reader.framed("list", at_most=each) for _ in range(count)]
    reader.end()
    return found


def error_to_json(error: Exception) -> dict[str, Any]:
    """Return an error as JSON values; what is not the sender's fault says only that it happened."""
    plain: dict[str, Any] = {"error": type(error).__name__, "message": str(error)[:_MAX_TEXT]}
    if isinstance(error, ContractError):
        plain |= {
            "contract": error.contract,
            "name": error.error,
            "arguments": {key: _to_json(value) for key, value in error.arguments.items()},
        }
    elif isinstance(error, TransactionRefused):
        plain["reason"] = error.reason
    elif isinstance(error, MalformedTransaction | MalformedBlock):
        plain["field"] = error.field
    return plain


def error_from_json(plain: Any) -> LedgerError:
    """Return the error that `error_to_json` wrote; whatever else is there is LedgerUnavailable."""
    try:
        kind = _KINDS.get(plain["error"], LedgerUnavailable)
        message = str(plain["message"])[:_MAX_TEXT]
        if kind is ContractError:
            arguments = {str(key): _from_json(value) for key, value in plain["arguments"].items()}
            return ContractError(str(plain["contract"]), str(plain["name"]), arguments)
        if kind is TransactionRefused:
            return _with_message(TransactionRefused(str(plain["reason"]), ""), message)
        if kind is MalformedTransaction:
            return _with_message(MalformedTransaction(str(plain["field"]), ""), message)
        if kind is MalformedBlock:
            return _with_message(MalformedBlock(str(plain["field"]), ""), message)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
        return LedgerUnavailable("the node's answer is no answer of a node")
    return LedgerUnavailable(message)


def _with_message(error: LedgerError, message: str) -> LedgerError:
    error.args = (message,)
    return error


def _to_json(value: Any) -> Any:
    """Integers become strings: JSON readers disagree about large ones."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, tuple | list):
        return [_to_json(one) for one in value]
    return str(value)


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if "int" in value:
            return int(value["int"])
        return bytes.fromhex(value["bytes"])
    if isinstance(value, list):
        return tuple(_from_json(one) for one in value)
    return value
