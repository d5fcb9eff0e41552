"""The machine's disk: whole files by a rename, flushed with the folder that names them."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from ..disk import Disk, NotAFile, OpenFile

try:
    import fcntl
except ImportError:  # pragma: no cover - a system without POSIX locks
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["SystemDisk"]

_PRIVATE, _COMMON = 0o600, 0o666
_BINARY = getattr(os, "O_BINARY", 0)  # Windows must not change line ends
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer opens without waiting


class SystemDisk(Disk):
    """Files of the operating system."""

    def read(self, path: Path, *, most: int | None = None) -> bytes:
        """Return a file's bytes, or its first `most`."""
        with os.fdopen(_opened(path, os.O_RDONLY), "rb") as file:
            return file.read(-1 if most is None else most)

    def write(
        self, path: Path, data: bytes, *, private: bool = False, durable: bool = True
    ) -> None:
        """Write beside `path`, flush, then rename: readers see the old file or all of the new."""
        partial = _written(path, data, _mode(private), durable=durable)
        try:
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if durable:
            self.sync_folder(path.parent)

    def create(self, path: Path, data: bytes, *, private: bool = False) -> None:
        """Write beside `path`, flush, then link: unlike a rename this replaces nothing."""
        partial = _written(path, data, _mode(private), durable=True)
        try:
            os.link(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        self.sync_folder(path.parent)

    def open(self, path: Path, *, private: bool = False) -> OpenFile:
        """Open a file in place; it is made, empty, when there is none."""
        return _SystemFile(_opened(path, os.O_RDWR | os.O_CREAT, _mode(private)))

    def view(self, path: Path) -> OpenFile:
        """Open a file to read, if it is one."""
        return _SystemFile(_opened(path, os.O_RDONLY))

    def lock(self, path: Path, *, wait: bool = False, private: bool = False) -> OpenFile:
        """Take flock's lock, which the kernel gives back when the process dies."""
        if fcntl is None:
            raise NotImplementedError("this system has no POSIX locks")
        if path.is_dir():
            file = os.open(path, os.O_RDONLY)
        else:
            file = _opened(path, os.O_RDWR | os.O_CREAT, _mode(private))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            os.close(file)
            raise
        return _SystemFile(file)

    def held(self, path: Path) -> bool:
        """Ask for flock's shared lock, for which reading is enough, and let go of it."""
        flock = getattr(fcntl, "flock", None)
        if flock is None:
            raise NotImplementedError("this system has no POSIX locks")
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            return False
        try:
            flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            held = True
        else:
            held = False
        finally:
            os.close(file)
        return held

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or a folder."""
        return path.exists()

    def is_folder(self, path: Path) -> bool:
        """Tell whether there is a folder."""
        return path.is_dir()

    def size(self, path: Path) -> int:
        """Return a file's length in bytes."""
        return _size_of(path.stat(), path)

    def open_to_all(self, path: Path) -> bool:
        """Tell it by the file's mode; Windows has other rules, of which nothing is known here."""
        return os.name != "nt" and bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))

    def names(self, folder: Path) -> list[str]:
        """Return the names of what is in a folder, sorted."""
        return sorted(one.name for one in folder.iterdir())

    def make_folder(self, path: Path, *, private: bool = False) -> None:
        """Make a folder and what is missing above it, each durably."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
        self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        """Flush a folder; on Windows, where folders are not flushed, renames are journalled."""
        if os.name == "nt":
            return
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name; a file that had it is replaced."""
        path.replace(to)

    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens when there is none."""
        path.unlink(missing_ok=True)

    def database(self, path: Path, *, flags: int, vfs: str | None = None) -> "Connection":
        """Open a SQLite database by its default VFS, or by `vfs` above it."""
        from apsw import Connection  # noqa: PLC0415 - an extra, which whoever calls this has

        return Connection(str(path), flags=flags, vfs=vfs)


class _SystemFile(OpenFile):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        """Return its length in bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from `start` on."""
        return os.pread(self._descriptor, count, start)

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `start`."""
        view = memoryview(data)
        while view:
            done = os.pwrite(self._descriptor, view, start)
            view, start = view[done:], start + done

    def truncate(self, size: int) -> None:
        """Cut the file off after `size` bytes."""
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Flush the file."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close it, and give back a lock; a second time nothing happens."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _not_a_file(path: Path) -> NotAFile:
    return NotAFile(errno.EINVAL, "not a regular file", str(path))


def _size_of(found: os.stat_result, path: Path) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise _not_a_file(path)
    return found.st_size


def _opened(path: Path, flags: int, mode: int = 0) -> int:
    """Open a file without waiting for anybody, and make sure that it is one."""
    try:
        file = os.open(path, flags | _BINARY | _AT_ONCE, mode)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _not_a_file(path) from error
        raise
    try:
        _size_of(os.fstat(file), path)
    except BaseException:
        os.close(file)
        raise
    return file


def _mode(private: bool) -> int:  # noqa: FBT001 - the caller's own keyword
    return _PRIVATE if private else _COMMON


def _written(path: Path, data: bytes, mode: int, *, durable: bool) -> Path:
    """Write `data` into a new file beside `path`; what a killed writer leaves starts with a dot."""
    partial = path.with_name(f".{path.name}.{token_hex(8)}.part")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            if durable:
                os.fsync(file)
        finally:
            os.close(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return partial
