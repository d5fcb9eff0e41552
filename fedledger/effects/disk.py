"""Files and databases: what a disk promises.

What the operating system refuses is an OSError, as everywhere in Python; whoever uses a disk says
in its own words what could not be done.
"""

import errno
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # an extra: only an embedded chain has databases
    import apsw

__all__ = ["Disk", "NotAFile", "OpenFile"]


_SMALL = 64 * 1024 * 1024


class NotAFile(OSError):
    """A folder, FIFO, socket or device lies where a file belongs."""


class OpenFile(ABC):
    """A file that is open for reading and writing at any place."""

    @abstractmethod
    def size(self) -> int:
        """Return its length in bytes."""

    @abstractmethod
    def read(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from `start` on; fewer where the file ends."""

    @abstractmethod
    def write(self, start: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `start`; a killed machine keeps it from the next `sync` on."""

    @abstractmethod
    def truncate(self, size: int) -> None:
        """Cut the file off after `size` bytes."""

    @abstractmethod
    def sync(self) -> None:
        """Return when all that was written is on the disk."""

    @abstractmethod
    def close(self) -> None:
        """Close it, and give back a lock; a second time nothing happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Disk(ABC):
    """Where bytes stay."""

    @abstractmethod
    def read(self, path: Path, *, most: int | None = None) -> bytes:
        """Return a file's bytes, or its first `most`, without waiting for anybody (see `view`).

        Raises:
            FileNotFoundError: there is none.
            NotAFile: something else is there.
        """

    def read_small(self, path: Path, most: int = _SMALL) -> bytes:
        """Return a file's bytes; one of more than `most` is refused and not read.

        Raises:
            OSError: as of `read`, or EFBIG.
        """
        data = self.read(path, most=most + 1)
        if len(data) > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return data

    @abstractmethod
    def write(
        self, path: Path, data: bytes, *, private: bool = False, durable: bool = True
    ) -> None:
        """Make `path` a file of exactly `data`: who reads it sees the old one or all of this.

        Args:
            path: the file; one that is there is replaced.
            data: its bytes.
            private: only its owner may read it.
            durable: return when it is on the disk, under its name.
        """

    @abstractmethod
    def create(self, path: Path, data: bytes, *, private: bool = False) -> None:
        """Do as `write`, durably, unless there is something at `path`.

        Raises:
            FileExistsError: there is; nothing changed.
        """

    @abstractmethod
    def open(self, path: Path, *, private: bool = False) -> OpenFile:
        """Open a file in place; it is made, empty, when there is none.

        Raises:
            NotAFile: something else is there.
        """

    @abstractmethod
    def view(self, path: Path) -> OpenFile:
        """Open a file to read, without waiting for anybody: a FIFO would block its reader for ever.

        Raises:
            FileNotFoundError: there is none.
            NotAFile: something else is there.
        """

    @abstractmethod
    def lock(self, path: Path, *, wait: bool = False, private: bool = False) -> OpenFile:
        """Open a file that nobody else has open by `lock`; made when there is none, never removed.

        Args:
            path: the lock's file, or a folder that is there.
            wait: wait until whoever has it gives it back.
            private: only its owner may lock it.

        Raises:
            BlockingIOError: somebody has it.
            NotAFile: neither a file nor a folder is there.
            NotImplementedError: this system has no such locks.
        """

    @abstractmethod
    def held(self, path: Path) -> bool:
        """Tell whether somebody has a file open by `lock`; nothing is made, and nobody waits.

        Raises:
            NotImplementedError: this system has no such locks.
        """

    @abstractmethod
    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or a folder."""

    @abstractmethod
    def is_folder(self, path: Path) -> bool:
        """Tell whether there is a folder."""

    @abstractmethod
    def size(self, path: Path) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundError: there is none.
            NotAFile: something else is there.
        """

    @abstractmethod
    def open_to_all(self, path: Path) -> bool:
        """Tell whether every user of the machine may read or write a file.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def names(self, folder: Path) -> list[str]:
        """Return the names of what is in a folder, sorted.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def make_folder(self, path: Path, *, private: bool = False) -> None:
        """Make a folder and what is missing above it, durably; nothing happens when it is there."""

    @abstractmethod
    def sync_folder(self, path: Path) -> None:
        """Return when the names in a folder are on the disk."""

    @abstractmethod
    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name; a file that had it is replaced. Durable by `sync_folder`."""

    @abstractmethod
    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens when there is none. Durable by `sync_folder`."""

    @abstractmethod
    def database(self, path: Path, *, flags: int, vfs: str | None = None) -> "apsw.Connection":
        """Open a SQLite database.

        Args:
            path: its file.
            flags: SQLite's for opening (`apsw.SQLITE_OPEN_…`).
            vfs: a registered VFS that checks pages above this disk's own, or None.

        Raises:
            apsw.Error: SQLite cannot open it.
        """
