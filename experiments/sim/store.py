"""A content-addressed store on a machine's disk, whatever kind of disk it is."""

from collections.abc import Iterable
from pathlib import Path

from fedledger.effects import Disk
from fedledger.errors import ContentNotFound

from ...ledger_plugins.storage.base import Store
from ...ledger_plugins.storage.cid import DEFAULT_PROFILE
from ...ledger_plugins.storage.pieces import Incoming

__all__ = ["DiskStore"]

_MOST = 1 << 20


class DiskStore(Store):
    """One file a content.

    Args:
        folder: where they are.
        disk: whose.
    """

    profile = DEFAULT_PROFILE.name
    max_bytes = _MOST
    timeout = None  # the machine is in this process

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.url = folder.as_uri()
        self._folder = folder
        self._disk = disk

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _write(self, content: Incoming) -> None:
        self._disk.write(self._folder / content.cid, b"".join(content))

    def _read(self, cid: str, profile: str) -> Iterable[bytes]:  # noqa: ARG002 - there is one
        try:
            return [self._disk.read(self._folder / cid)]
        except FileNotFoundError as error:
            raise ContentNotFound(cid) from error

    def _size(self, cid: str, profile: str) -> int:  # noqa: ARG002 - there is one
        if not self._disk.exists(self._folder / cid):
            raise ContentNotFound(cid)
        return len(self._disk.read(self._folder / cid))
