"""Deleting contents for good."""

from collections.abc import Iterable

from fedledger.errors import ContentNotFound, StoreUnavailable

from .base import Store

__all__ = ["erase"]


def erase(store: Store, cids: Iterable[str], *, unpin: bool = False) -> list[str]:
    """Delete contents, all of which have to be there, and see that they are gone.

    Args:
        store: the store.
        cids: their CIDs.
        unpin: let go of pins that keep them.

    Returns:
        The CIDs, each once.

    Raises:
        InvalidCid, ContentNotFound: one is no CID, or not there; nothing was deleted.
        ContentPinned: a pin keeps it; those before it are deleted.
        StoreUnsupported: this store cannot delete.
        StoreUnavailable: it cannot be changed, or says that it deleted one which is still there.
    """
    wanted = list(dict.fromkeys(cids))
    for cid in wanted:
        if not store.has(cid):
            raise ContentNotFound(cid)
    for cid in wanted:
        if unpin:
            store.unpin(cid)
        store.delete(cid)
        if store.has(cid):
            raise StoreUnavailable(f"{store.url} said that it deleted {cid}, and still has it")
    return wanted
