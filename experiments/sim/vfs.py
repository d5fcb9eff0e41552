"""SQLite's files on a disk in memory: what SQLite writes and flushes is written and flushed there.

Without shared memory: a database with a write-ahead log has one owner (`locking_mode=EXCLUSIVE`).
"""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    from .disk import MemoryDisk, _Content

__all__ = ["MemoryVFS"]

_numbers = itertools.count()


class MemoryVFS(apsw.VFS):
    """A VFS for one disk.

    Args:
        disk: where the files are.
    """

    def __init__(self, disk: "MemoryDisk") -> None:
        self.name = f"fedledger-memory-{next(_numbers)}"
        self._disk = disk
        super().__init__(self.name, base="", maxpathname=1024)

    def xOpen(  # type: ignore[override] # noqa: N802 - a file by its methods; SQLite's names
        self, name: Any, flags: list[int]
    ) -> "_VFSFile":
        """Open a file."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        flags[1] = flags[0]
        try:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                self._disk.content(path)
            return _VFSFile(self._disk, self._disk.made(path))
        except OSError as error:
            raise apsw.CantOpenError from error

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: ARG002, FBT001, N802
        """Remove a file."""
        self._disk.remove(Path(name))

    def xAccess(self, name: str, flags: int) -> bool:  # noqa: ARG002, N802
        """Tell whether there is a file."""
        try:
            self._disk.content(name)
        except OSError:
            return False
        return True

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        """Return the name: all are absolute."""
        return name

    def xRandomness(self, count: int) -> bytes:  # noqa: N802
        """Return bytes that change nothing but the salt of a log."""
        return bytes(count)

    def xSleep(self, microseconds: int) -> int:  # noqa: N802
        """Sleep not at all: nobody else could give back a lock meanwhile."""
        return microseconds

    def xCurrentTime(self) -> float:  # noqa: N802
        """Return a Julian day; no statement asks for it."""
        return 2_461_000.5

    def xGetLastError(self) -> tuple[int, str]:  # noqa: N802
        """Return that there was none."""
        return 0, ""


class _VFSFile:
    def __init__(self, disk: "MemoryDisk", content: "_Content") -> None:
        self._disk = disk
        self._content = content

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Read."""
        return bytes(self._content.data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write."""
        self._disk.change(self._content, offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """Cut off."""
        self._disk.change(self._content, size, None)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802
        """Flush."""
        self._disk.flush(self._content)

    def xFileSize(self) -> int:  # noqa: N802
        """Return the length."""
        return len(self._content.data)

    def xLock(self, level: int) -> None:  # noqa: N802
        """Lock: there is one owner."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Unlock."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """Tell that nobody else has a lock."""
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: ARG002, N802
        """Understand no special operation."""
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        """Return what a torn write may damage."""
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """Promise nothing."""
        return 0

    def xClose(self) -> None:  # noqa: N802
        """Close: nothing is held."""
