"""All that a store in a folder asks of the operating system: files that appear whole, and flushes.

What is not a regular file is never read: a FIFO would block its reader for ever.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # pragma: no cover - a system without POSIX locks
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "NotRegular",
    "create",
    "draft",
    "exists",
    "flush",
    "locked",
    "make",
    "name_draft",
    "names",
    "opened",
    "remove",
    "size",
    "write",
]


# A FIFO without a writer opens without waiting; Windows must not change line ends.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotRegular(OSError):
    """A directory, FIFO, socket or device lies where a file belongs."""


def make(folder: Path) -> None:
    """Make `folder` and what is missing above it, each durably."""
    if folder.is_dir():
        return
    make(folder.parent)
    folder.mkdir(exist_ok=True)
    flush(folder.parent)


def flush(folder: Path) -> None:
    """Make the names in a folder durable: what came, what went, what was renamed."""
    if os.name == "nt":  # a folder cannot be flushed there, and renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def names(folder: Path) -> list[str]:
    """Return the names in a folder, none where there is no folder."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def exists(path: Path) -> bool:
    """Tell whether anything has this name, a link to nothing too."""
    return os.path.lexists(path)


def size(path: Path) -> int:
    """Return a file's bytes.

    Raises:
        FileNotFoundError: there is none.
        NotRegular: it is no file.
    """
    return _regular(path.stat(), path)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read, without waiting for anybody.

    Raises:
        FileNotFoundError: there is none.
        NotRegular: it is no file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _AT_ONCE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise NotRegular(errno.EINVAL, "not a regular file", str(path)) from error
        raise
    try:
        _regular(os.fstat(handle), path)
        file = os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
    with file:
        yield file


@contextmanager
def draft(folder: Path) -> Iterator[BinaryIO]:
    """Open a new file to write and read; it is gone at the end unless `name_draft` named it."""
    path = folder / f".{secrets.token_hex(16)}.part"
    try:
        with path.open("x+b") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def name_draft(file: BinaryIO, path: Path) -> None:
    """Flush a draft to disk, then rename it: readers see nothing or all of it."""
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).replace(path)


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """Make or replace a file; its name is durable once its folder is flushed."""
    with draft(path.parent) as file:
        for piece in pieces:
            file.write(piece)
        name_draft(file, path)


def create(path: Path) -> None:
    """Make an empty file durably, unless it is there."""
    if not exists(path):
        path.touch()
    flush(path.parent)  # also where it is there: who made it may not have come to this yet


def remove(path: Path) -> None:
    """Remove a file durably, if there is one."""
    with suppress(FileNotFoundError):
        path.unlink()
        flush(path.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process and thread out of the folder that asks for the same."""
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this system has no POSIX locks")
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _regular(found: os.stat_result, path: Path) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegular(errno.EINVAL, "not a regular file", str(path))
    return found.st_size
