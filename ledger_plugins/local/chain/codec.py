"""Strict reading and writing of the chain's binary records.

Integers are unsigned and big-endian with a fixed width; variable fields have their length in front.
There is one encoding for each value, so that bytes which decode encode to themselves again.
"""

import struct

from fedledger.errors import MalformedBlock

__all__ = ["Reader", "frame", "framed", "text_of", "uint"]

_U32 = struct.Struct(">I")


def uint(value: int, width: int) -> bytes:
    """Return `value` as `width` bytes, most significant first."""
    return value.to_bytes(width, "big")


def frame(data: bytes) -> bytes:
    """Return `data` behind its length (4 bytes)."""
    return _U32.pack(len(data)) + data


def framed(*parts: bytes) -> bytes:
    """Return all parts framed and joined: no two sequences of parts give the same bytes."""
    return b"".join(map(frame, parts))


class Reader:
    """Takes fields from the front of a record; whatever does not fit is a `MalformedBlock`.

    Args:
        data: the whole record.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, field: str, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
            MalformedBlock: fewer are left.
        """
        end = self._position + size
        if end > len(self._data):
            raise MalformedBlock(field, f"{size} bytes wanted, {self._left()} left")
        piece = self._data[self._position : end]
        self._position = end
        return piece

    def uint(self, field: str, width: int) -> int:
        """Return the next integer of `width` bytes."""
        return int.from_bytes(self.take(field, width), "big")

    def framed(self, field: str, *, at_least: int = 0, at_most: int) -> bytes:
        """Return the next framed field.

        Raises:
            MalformedBlock: its length is outside the bounds, or bytes are missing.
        """
        size = self.uint(field, 4)
        if not at_least <= size <= at_most:
            raise MalformedBlock(field, f"{size} bytes, allowed are {at_least} to {at_most}")
        return self.take(field, size)

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            MalformedBlock: there are bytes behind the last field.
        """
        if left := self._left():
            raise MalformedBlock("end", f"{left} bytes behind the last field")

    def _left(self) -> int:
        return len(self._data) - self._position


def text_of(field: str, data: bytes) -> str:
    """Return UTF-8 bytes as text.

    Raises:
        MalformedBlock: not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedBlock(field, "not UTF-8") from error
