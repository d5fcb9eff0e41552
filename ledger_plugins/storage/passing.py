"""A content as a store has it, for who hashes it himself: a server whose readers are strangers.

A stranger costs a server no hashing, and no second reading. Whoever acts on a content uses
`Store.get` or `Store.get_stream`.
"""

from collections.abc import Iterator

from fedledger.errors import ContentTooLarge

from .base import Store
from .cid import Profile, cid_to_bytes
from .waiting import Waiting

__all__ = ["unchecked"]

# ruff: noqa: SLF001 - it reads as `Store` does, without what that compares


def unchecked(
    store: Store, cid: str, *, timeout: float | None = None
) -> tuple[int, Iterator[bytes]]:
    """Return how many bytes a store says are under a CID, and what it gives for them, in chunks.

    Args:
        store: the store.
        cid: the CID.
        timeout: seconds for the first, and again for each chunk, without the time that the reader
            takes (default: the store's own).

    Raises:
        InvalidCid: not a CID this store computes.
        ContentNotFound: nothing is stored under it.
        ContentTooLarge: above the store's cap.
    """
    cid_to_bytes(cid)

    def look(profile: Profile) -> tuple[Profile, int]:
        return profile, store._stated(cid, profile)

    profile, size = store._ask("get", cid, lambda: store._first(cid, look), timeout)
    if size > store.max_bytes:
        raise ContentTooLarge(size, store.max_bytes)
    return size, _given(store, cid, profile, store._seconds(timeout))


def _given(store: Store, cid: str, profile: Profile, seconds: float | None) -> Iterator[bytes]:
    parts = store._chunks(cid, profile)
    with Waiting(seconds) as waiting:
        try:
            while True:
                waiting.renew(seconds)
                with store._boundary("get", cid, seconds):
                    part = waiting.call(lambda: next(parts, b""))
                if not part:
                    return
                yield part
        finally:
            waiting.afterwards(parts.close)
