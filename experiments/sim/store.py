"""A content-addressed store on a machine's disk, whatever kind of disk it is."""

from pathlib import Path

from fedledger.effects import Disk
from fedledger.errors import ContentCorrupted, ContentNotFound, ContentTooLarge, StoreUnavailable

from ...ledger_plugins.storage.base import Store
from ...ledger_plugins.storage.cid import DEFAULT_PROFILE, cid_of, cid_to_bytes

__all__ = ["DiskStore"]

_MOST = 1 << 20


class DiskStore(Store):
    """One file a content.

    Args:
        folder: where they are.
        disk: whose.
    """

    profile = DEFAULT_PROFILE.name

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.url = folder.as_uri()
        self._folder = folder
        self._disk = disk

    def put(self, data: bytes) -> str:
        """Store `data` durably and return its CID."""
        if len(data) > _MOST:
            raise ContentTooLarge(len(data), _MOST)
        cid = cid_of(data)
        try:
            self._disk.write(self._folder / cid, data)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {cid}: {error}") from error
        return cid

    def get(self, cid: str, *, max_bytes: int | None = None) -> bytes:
        """Return the content of `cid`, hashed again."""
        cid_to_bytes(cid)
        try:
            data = self._disk.read(self._folder / cid)
        except FileNotFoundError as error:
            raise ContentNotFound(cid) from error
        except OSError as error:
            raise StoreUnavailable(f"cannot read {cid}: {error}") from error
        if max_bytes is not None and len(data) > max_bytes:
            raise ContentTooLarge(len(data), max_bytes)
        if (actual := cid_of(data)) != cid:
            raise ContentCorrupted(cid, actual)
        return data

    def has(self, cid: str) -> bool:
        """Tell whether something is stored under `cid`."""
        cid_to_bytes(cid)
        try:
            return self._disk.exists(self._folder / cid)
        except OSError as error:
            raise StoreUnavailable(f"cannot look for {cid}: {error}") from error

    def close(self) -> None:
        """Do nothing: no file stays open."""
