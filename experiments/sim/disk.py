"""A disk in memory that a power cut treats as a real one: what was not flushed is lost, or torn."""

from collections.abc import Callable
from pathlib import Path

import apsw

from fedledger.effects import Disk, OpenFile

from .values import SeededEntropy
from .vfs import MemoryVFS

__all__ = ["MemoryDisk"]

_KEPT, _TORN = 0.5, 0.7  # of the writes that were not flushed


class _Content:
    """A file: what it holds, and what of it the platter has."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.flushed = bytes(data)
        self.writes: list[tuple[int, bytes | None]] = []
        """Since the last flush: where, and what; None: the file was cut off there."""

    def write(self, start: int, data: bytes) -> None:
        self.writes.append((start, bytes(data)))
        _apply(self.data, start, data)

    def truncate(self, size: int) -> None:
        self.writes.append((size, None))
        _apply(self.data, size, None)

    def flush(self) -> None:
        self.flushed = bytes(self.data)
        self.writes.clear()

    def after_cut(self, entropy: SeededEntropy) -> "_Content":
        """Return what a power cut leaves: each write since the last flush whole, in part or not."""
        left = bytearray(self.flushed)
        for start, data in self.writes:
            drawn = entropy.uniform()
            if drawn < _KEPT:
                _apply(left, start, data)
            elif drawn < _TORN and data is not None:
                _apply(left, start, data[: entropy.below(len(data) + 1)])
        return _Content(bytes(left))


class MemoryDisk(Disk):
    """One machine's disk, from one start to the next power cut.

    Names (of new, renamed and removed files) last at once; the bytes below them only when flushed.
    What is done after the cut goes to a memory that nobody will see: a machine without power knows
    of no error.

    Args:
        entropy: decides what a power cut leaves.
        on_cut: called when `fuse` has let the power go.
        files: what it holds at first, all of it flushed.
    """

    def __init__(
        self,
        entropy: SeededEntropy,
        on_cut: Callable[[], object],
        files: dict[str, _Content] | None = None,
    ) -> None:
        self.fuse: int | None = None
        """Changes after which the power goes in the middle of one; None: never."""
        self.changes = 0
        """Changes so far."""
        self.dead = False
        self._entropy = entropy
        self._on_cut = on_cut
        self._files = files if files is not None else {}
        self._folders = {"/"}
        self._locks: set[str] = set()
        self._vfs = MemoryVFS(self)

    def cut(self) -> "dict[str, _Content]":
        """Take the power away; return what the disk holds when it comes back."""
        self.dead = True
        self._vfs.unregister()
        return {path: self._files[path].after_cut(self._entropy) for path in sorted(self._files)}

    def content(self, path: Path | str) -> _Content:
        """Return a file.

        Raises:
            FileNotFoundError: there is none.
        """
        found = self._files.get(str(path))
        if found is None:
            raise FileNotFoundError(2, "no such file", str(path))
        return found

    def made(self, path: Path | str) -> _Content:
        """Return a file, which is made when there is none."""
        return self._files.setdefault(str(path), _Content())

    def change(self, content: _Content, start: int, data: bytes | None) -> None:
        """Write into a file, or cut it off; the power may go meanwhile."""
        if data is None:
            content.truncate(start)
        else:
            content.write(start, data)
        self._burn()

    def flush(self, content: _Content) -> None:
        """Flush a file; the power may go before."""
        self._burn()
        content.flush()

    # The interface ------------------------------------------------------------------------

    def read(self, path: Path, *, most: int | None = None) -> bytes:
        """Return a file's bytes, or its first `most`."""
        return bytes(self.content(path).data[:most])

    def write(
        self,
        path: Path,
        data: bytes,
        *,
        private: bool = False,  # noqa: ARG002 - there is nobody else
        durable: bool = True,
    ) -> None:
        """Write beside `path`, flush, then rename."""
        content = _Content()
        self.change(content, 0, data)
        if durable:
            self.flush(content)
        self._files[str(path)] = content

    def create(self, path: Path, data: bytes, *, private: bool = False) -> None:
        """Write a new file."""
        if self.exists(path):
            raise FileExistsError(17, "file exists", str(path))
        self.write(path, data, private=private)

    def open(self, path: Path, *, private: bool = False) -> OpenFile:  # noqa: ARG002
        """Open a file in place; it is made, empty, when there is none."""
        return _MemoryFile(self, self.made(path), lambda: None)

    def view(self, path: Path) -> OpenFile:
        """Open a file to read."""
        return _MemoryFile(self, self.content(path), lambda: None)

    def lock(self, path: Path, *, wait: bool = False, private: bool = False) -> OpenFile:  # noqa: ARG002
        """Lock a file or a folder; nobody can wait for another in one thread."""
        if str(path) in self._locks:
            raise BlockingIOError(11, "locked", str(path))
        self._locks.add(str(path))
        locked = _Content() if self.is_folder(path) else self.made(path)
        return _MemoryFile(self, locked, lambda: self._locks.discard(str(path)))

    def held(self, path: Path) -> bool:
        """Tell whether somebody has locked it."""
        return str(path) in self._locks

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or a folder."""
        return str(path) in self._files or self.is_folder(path)

    def is_folder(self, path: Path) -> bool:
        """Tell whether there is a folder."""
        below = f"{path}/"
        return str(path) in self._folders or any(one.startswith(below) for one in self._files)

    def size(self, path: Path) -> int:
        """Return a file's length in bytes."""
        return len(self.content(path).data)

    def open_to_all(self, path: Path) -> bool:
        """Tell that nobody else is there."""
        self.content(path)
        return False

    def names(self, folder: Path) -> list[str]:
        """Return the names of what is in a folder, sorted."""
        if not self.is_folder(folder):
            raise FileNotFoundError(2, "no such folder", str(folder))
        below = f"{folder}/"
        inside = (one for one in (*self._files, *self._folders) if one.startswith(below))
        return sorted({one.removeprefix(below).split("/")[0] for one in inside} - {""})

    def make_folder(self, path: Path, *, private: bool = False) -> None:  # noqa: ARG002
        """Make a folder and what is missing above it."""
        self._folders |= {str(path), *map(str, path.parents)}

    def sync_folder(self, path: Path) -> None:
        """Do nothing: names last."""

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name."""
        content = self.content(path)
        del self._files[str(path)]
        self._files[str(to)] = content

    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens when there is none."""
        self._files.pop(str(path), None)

    def database(self, path: Path, *, flags: int, vfs: str | None = None) -> apsw.Connection:
        """Open a SQLite database on this disk.

        Raises:
            NotImplementedError: a VFS above it is wanted.
        """
        if vfs is not None:
            raise NotImplementedError(f"no VFS {vfs} above a disk in memory")
        return apsw.Connection(str(path), flags=flags, vfs=self._vfs.name)

    def _burn(self) -> None:
        self.changes += 1
        if self.fuse is not None and self.changes >= self.fuse:
            self.fuse = None
            self._on_cut()


class _MemoryFile(OpenFile):
    def __init__(self, disk: MemoryDisk, content: _Content, closed: Callable[[], object]) -> None:
        self._disk = disk
        self._content = content
        self._closed = closed

    def size(self) -> int:
        """Return its length in bytes."""
        return len(self._content.data)

    def read(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from `start` on."""
        return bytes(self._content.data[start : start + count])

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `start`."""
        self._disk.change(self._content, start, bytes(data))

    def truncate(self, size: int) -> None:
        """Cut the file off after `size` bytes."""
        self._disk.change(self._content, size, None)

    def sync(self) -> None:
        """Flush the file."""
        self._disk.flush(self._content)

    def close(self) -> None:
        """Close it, and give back a lock."""
        self._closed()


def _apply(data: bytearray, start: int, new: bytes | None) -> None:
    if len(data) < start:
        data.extend(bytes(start - len(data)))
    if new is None:
        del data[start:]
    else:
        data[start : start + len(new)] = new
