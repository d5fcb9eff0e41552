"""Decoding ABI bytes: exactly those that encoding makes, and no others.

The Solidity ABI specification lets a tail stand anywhere and padding hold anything; its strict mode
does not: tails follow each other in order, without gaps, and padding is zero. Then there is one
encoding of each value, and reading it is one pass over the bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fedledger.errors import CallError

from ..addresses import address_from_bytes
from .values import ARRAY, FIXED, INTEGER, int_range

__all__ = ["decode"]

_WORD = 32


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a type is read.

    Attributes:
        size: bytes of a static type; of a dynamic one None: its place is in its head.
        least: bytes that it takes at least, head included.
        read: reads a value at a place; returns it and the place after it.
    """

    size: int | None
    least: int
    read: Callable[[bytes, int], tuple[Any, int]]


def decode(kinds: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return the values that `data` holds, in the forms that `values.normalise` gives them.

    Args:
        kinds: ABI types: uintN, intN, address, bool, bytesN, bytes, string, and arrays of these.
        data: what encoding them made.

    Raises:
        CallError: anything else, or a type that is not supported.
    """
    values, end = _read_all([_kind(kind) for kind in kinds], data, 0)
    if end != len(data):
        raise CallError(f"{len(data) - end} bytes too many")
    return values


def _read_all(kinds: Sequence[_Kind], data: bytes, start: int) -> tuple[tuple[Any, ...], int]:
    """Read heads, and tails where heads point to the place that comes next."""
    head = start
    tail = start + sum(_WORD if kind.size is None else kind.size for kind in kinds)
    values = []
    for kind in kinds:
        if kind.size is None:
            if _number(data, head) != tail - start:
                raise CallError("a tail is not where it belongs")
            value, tail = kind.read(data, tail)
            head += _WORD
        else:
            value, head = kind.read(data, head)
        values.append(value)
    return tuple(values), tail


@lru_cache(maxsize=256)
def _kind(name: str) -> _Kind:
    if (match := ARRAY.fullmatch(name)) and match[2] != "0":
        return _array(_kind(match[1]), int(match[2]) if match[2] else None)
    if match := INTEGER.fullmatch(name):
        return _static(_integer(name, *int_range(match)))
    if match := FIXED.fullmatch(name):
        return _static(_fixed(int(match[1])))
    if name in _SIMPLE:
        return _SIMPLE[name]
    raise CallError(f"ABI type {name!r} is not supported")


def _static(value_of: Callable[[bytes], Any]) -> _Kind:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        return value_of(_word(data, at)), at + _WORD

    return _Kind(_WORD, _WORD, read)


def _array(item: _Kind, length: int | None) -> _Kind:
    def read_fixed(data: bytes, at: int) -> tuple[Any, int]:
        return _read_all([item] * (length or 0), data, at)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count = _number(data, at)
        if count * item.least > len(data) - at - _WORD:
            raise CallError(f"an array of {count} items is longer than its bytes")
        return _read_all([item] * count, data, at + _WORD)

    if length is None:
        return _Kind(None, 2 * _WORD, read)
    if item.size is None:
        return _Kind(None, _WORD + length * item.least, read_fixed)
    return _Kind(length * item.size, length * item.size, read_fixed)


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + _WORD]
    if len(word) != _WORD:
        raise CallError("bytes are missing")
    return word


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(_word(data, at), "big")


def _integer(name: str, low: int, high: int) -> Callable[[bytes], int]:
    signed = low < 0

    def value_of(word: bytes) -> int:
        number = int.from_bytes(word, "big", signed=signed)
        if not low <= number < high:
            raise CallError(f"{number} is out of the range of {name}")
        return number

    return value_of


def _fixed(length: int) -> Callable[[bytes], bytes]:
    padding = bytes(_WORD - length)

    def value_of(word: bytes) -> bytes:
        if word[length:] != padding:
            raise CallError(f"padding of bytes{length} is not zero")
        return word[:length]

    return value_of


def _address(word: bytes) -> str:
    if any(word[:12]):
        raise CallError("an address has 20 bytes")
    return address_from_bytes(word[12:])


def _boolean(word: bytes) -> bool:
    number = int.from_bytes(word, "big")
    if number > 1:
        raise CallError(f"{number} is no bool")
    return bool(number)


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    start = at + _WORD
    end = start + _number(data, at)
    after = end + -(end - start) % _WORD
    if after > len(data):
        raise CallError("bytes are missing")
    if any(data[end:after]):
        raise CallError("padding is not zero")
    return data[start:end], after


def _string(data: bytes, at: int) -> tuple[str, int]:
    raw, after = _bytes(data, at)
    try:
        return raw.decode(), after
    except UnicodeDecodeError as error:
        raise CallError("a string is not UTF-8") from error


_SIMPLE = {
    "address": _static(_address),
    "bool": _static(_boolean),
    "bytes": _Kind(None, 2 * _WORD, _bytes),
    "string": _Kind(None, 2 * _WORD, _string),
}
