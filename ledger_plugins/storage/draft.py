"""A new file on a disk, as Python's own binary file: what is in it gets its name at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, BufferedRandom, RawIOBase
from pathlib import Path
from typing import Any

from fedledger.effects import Disk, Entropy, OpenFile

__all__ = ["Draft", "draft"]

_BUFFER = 1 << 16  # bytes; larger pieces go past it


class Draft(BufferedRandom):
    """A file to write and read, which nobody else looks at; made by `draft`."""

    def __init__(self, disk: Disk, path: Path, file: OpenFile) -> None:
        super().__init__(_Raw(file), _BUFFER)
        self._disk = disk
        self._path = path
        self._file = file

    def keep(self, path: Path) -> None:
        """Flush it to disk, then rename it: readers see nothing or all of it.

        The name is durable once its folder is flushed.
        """
        self.flush()
        self._file.sync()
        self._disk.rename(self._path, path)


@contextmanager
def draft(disk: Disk, entropy: Entropy, folder: Path) -> Iterator[Draft]:
    """Open a new file in a folder; it is gone at the end unless it was kept."""
    path = folder / f".{entropy.hexadecimal(16)}.part"
    try:
        with disk.open(path) as file, Draft(disk, path, file) as opened:
            yield opened
    finally:
        disk.remove(path)


class _Raw(RawIOBase):
    """An open file with a place in it where the next byte is read or written."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def writable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what fits into the buffer; 0 at the end."""
        data = self._file.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        """Write all of it."""
        self._file.write(self._at, data)
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; return it."""
        start = {SEEK_CUR: self._at, SEEK_END: self._file.size()}.get(whence, 0)
        self._at = start + offset
        return self._at
