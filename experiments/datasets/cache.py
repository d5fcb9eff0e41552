"""Where fetched data is kept: one checked file for each data set.

The file is an ordinary `.npz` of four uint8 arrays, not compressed, so that it loads fast. Its zip
comment is the SHA-256 of everything before, and is verified before anything is parsed.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import DataError

try:
    import fcntl
except ModuleNotFoundError:  # not on Windows; there, two fetches at once may download twice
    fcntl = None  # type: ignore[assignment]

__all__ = ["Pixels", "cache_folder", "cached_checksum", "read_cached", "workspace", "write_cached"]

_VARIABLE = "FEDLEDGER_CACHE"
_MARK = b"sha256="
_HEX = 64
_ARRAYS = ("train_x", "train_y", "test_x", "test_y")


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """A data set as it is cached.

    Attributes:
        train_x: (n, channels, height, width) uint8.
        train_y: (n,) uint8.
        test_x: (m, channels, height, width) uint8.
        test_y: (m,) uint8.
    """

    train_x: NDArray[np.uint8]
    train_y: NDArray[np.uint8]
    test_x: NDArray[np.uint8]
    test_y: NDArray[np.uint8]


def cache_folder() -> Path:
    """Return where fetched data is kept: $FEDLEDGER_CACHE, else ~/.cache/fedledger.

    A user without a home, as in a container, has .cache/fedledger in the working folder.
    """
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        home = Path.cwd()
    return home / ".cache" / "fedledger"


def write_cached(path: Path, pixels: Pixels, folder: Path) -> None:
    """Write a data set's file: whole, or not at all.

    Args:
        path: the file.
        pixels: what goes into it; the same pixels give the same bytes.
        folder: a folder on the same file system, for the unfinished file.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(pixels, name) for name in _ARRAYS})
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = _MARK + b"0" * _HEX
    body = buffer.getbuffer()[:-_HEX]
    unfinished = folder / f"{path.name}.unfinished"
    with unfinished.open("wb") as file:
        file.write(body)
        file.write(hashlib.sha256(body).hexdigest().encode())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def cached_checksum(path: Path) -> str:
    """Return the SHA-256 of a data set's whole file, as 64 hex digits, once it is verified.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is damaged or cannot be read.
    """
    return _verified(path)[1]


def read_cached(path: Path) -> Pixels:
    """Return what `write_cached` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is damaged or cannot be read.
    """
    with np.load(io.BytesIO(_verified(path)[0]), allow_pickle=False) as arrays:
        return Pixels(**{name: arrays[name] for name in _ARRAYS})


def _verified(path: Path) -> tuple[bytes, str]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    digest = hashlib.sha256(memoryview(content)[:-_HEX])
    if content[-_HEX:] != digest.hexdigest().encode():
        raise DataError(f"{path} is damaged: its checksum does not fit its content")
    digest.update(content[-_HEX:])
    return content, digest.hexdigest()


@contextmanager
def workspace(cache: Path, name: str) -> Iterator[Path]:
    """Give the folder where a data set is downloaded and converted, to one process at a time.

    What a killed or failed fetch leaves there, the next one finds. The caller removes it.

    Raises:
        DataError: the cache cannot be written.
    """
    folder = cache / f"{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (cache / f".{name}.lock").open("wb")
    except OSError as error:
        raise DataError(
            f"the cache {cache} cannot be written: {error}; ${_VARIABLE} names another"
        ) from error
    with lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(FileExistsError):  # whoever held the lock before may have removed it
            folder.mkdir()
        yield folder
