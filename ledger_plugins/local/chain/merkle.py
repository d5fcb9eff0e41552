"""The Merkle tree of RFC 6962, section 2.1, over SHA-256."""

import hashlib
from collections.abc import Sequence

__all__ = ["merkle_root"]

_LEAF = b"\x00"
_NODE = b"\x01"


def merkle_root(entries: Sequence[bytes]) -> bytes:
    """Return the root over `entries` in their order (32 bytes).

    Leaves and inner nodes are hashed under different prefixes, so that no node passes for an entry.
    Pairing neighbours level by level, with an odd last node moved up, gives the tree that the RFC
    defines by splitting at the largest power of two. The root of nothing is the hash of nothing.
    """
    if not entries:
        return hashlib.sha256().digest()
    level = [hashlib.sha256(_LEAF + entry).digest() for entry in entries]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [
            hashlib.sha256(_NODE + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ] + odd
    return level[0]
