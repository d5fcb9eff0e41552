"""Values as a contract's ABI types them: checked, and in one Python form each."""

import re
from collections.abc import Callable
from functools import lru_cache
from operator import index
from typing import Any

from fedledger.errors import CallError

from ..addresses import checksum_address

__all__ = ["ARRAY", "FIXED", "INTEGER", "int_range", "normalise"]

ARRAY = re.compile(r"(.+)\[(\d*)\]")
INTEGER = re.compile(r"(u?)int(\d+)")
FIXED = re.compile(r"bytes(\d+)")

_Check = Callable[[Any], Any]


def normalise(kind: str, value: Any, where: str) -> Any:
    """Return `value` in the form that ABI type `kind` has in this library.

    Args:
        kind: an elementary ABI type ("uint64", "bytes31", "address") or an array of one.
        value: an integer of any kind but bool, a bytes-like object, str, bool, list or tuple.
        where: what the value is, for the error message.

    Returns:
        int, bool, str (an address checksummed), bytes, or a tuple of these.

    Raises:
        CallError: a wrong type, length or range (clause L10).
    """
    try:
        return _check_of(kind)(value)
    except CallError as error:
        raise CallError(f"{where}: {error}") from None


def int_range(match: re.Match[str]) -> tuple[int, int]:
    """Return the smallest value of an `INTEGER` type, and the first one above its values."""
    bits = int(match[2])
    return (0, 1 << bits) if match[1] else (-1 << bits - 1, 1 << bits - 1)


@lru_cache(maxsize=256)
def _check_of(kind: str) -> _Check:
    if match := ARRAY.fullmatch(kind):
        return _array(kind, match[1], int(match[2]) if match[2] else None)
    if match := INTEGER.fullmatch(kind):
        return _integer(kind, *int_range(match))
    if match := FIXED.fullmatch(kind):
        return _bytes(kind, int(match[1]))
    simple: dict[str, _Check] = {
        "address": checksum_address,
        "bool": _boolean,
        "bytes": _bytes(kind, None),
        "string": _string,
    }
    if kind not in simple:
        raise CallError(f"ABI type {kind!r} is not supported")
    return simple[kind]


def _refused(kind: str, value: Any) -> CallError:
    return CallError(f"{kind} wanted, got {type(value).__name__}")


def _integer(kind: str, low: int, high: int) -> _Check:
    def check(value: Any) -> int:
        if isinstance(value, bool):
            raise _refused(kind, value)
        try:
            number = index(value)
        except TypeError:
            raise _refused(kind, value) from None
        if not low <= number < high:
            raise CallError(f"{number} is out of the range of {kind}")
        return number

    return check


def _bytes(kind: str, length: int | None) -> _Check:
    def check(value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise _refused(kind, value)
        raw = bytes(value)
        if length is not None and len(raw) != length:
            raise CallError(f"{kind} wanted, got {len(raw)} bytes")
        return raw

    return check


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refused("bool", value)
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _refused("string", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CallError("string that has no UTF-8 form") from None
    return value


def _array(kind: str, item: str, length: int | None) -> _Check:
    check_item = _check_of(item)

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _refused(kind, value)
        if length is not None and len(value) != length:
            raise CallError(f"{kind} wanted, got {len(value)} items")
        return tuple(check_item(one) for one in value)

    return check
