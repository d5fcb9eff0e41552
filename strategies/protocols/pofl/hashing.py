"""What votes and lists are named by: a hash of parts, none of which can pass for two."""

import hashlib
from collections.abc import Iterable

__all__ = ["hashed", "integer"]


def hashed(parts: Iterable[bytes]) -> bytes:
    """Return SHA-256 over each part after its length, 4 bytes big-endian."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def integer(value: int) -> bytes:
    """Return a whole number as a part: 8 bytes, big-endian."""
    return value.to_bytes(8, "big")
