"""A content-addressed store in a folder: one file for each CID.

    <folder>/<profile name>/<CID>

The profile's name is the name of the folder the content lies in, so a CID is always computed again
under the profile that made it. A file appears under its CID only when all of it is on disk; what a
killed writer leaves behind starts with a dot and is never read.
"""

import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    InvalidCid,
    StoreUnavailable,
)

from .base import Store
from .cid import DEFAULT_PROFILE, PROFILES, Profile, cid_of, cid_to_bytes, profile_named

__all__ = ["DEFAULT_MAX_BYTES", "FileStore", "open_file_store"]

DEFAULT_MAX_BYTES = 256 * 1024 * 1024

_COMPARED_AT_ONCE = 1024 * 1024
_WRITTEN_AT_ONCE = 8  # files: a disk flushes several in hardly more time than one

logger = logging.getLogger(__name__)


def open_file_store(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    profile: str | Profile = DEFAULT_PROFILE,
    read_only: bool = False,
) -> "FileStore":
    """Open the store that `file:///absolute/folder` names; the folder is made by the first `put`.

    Args:
        url: the folder, percent-encoded where needed.
        max_bytes: size cap of one content.
        profile: import profile for new content, or its name.
        read_only: open what is there, and refuse `put`.

    Raises:
        ConfigError: not such a URL, or the cap is not positive.
        UnknownNameError: no profile of this name.
        StoreUnavailable: something else than a folder is there; to read only: nothing is there.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "file":
        raise ConfigError(f"store URL {url!r}: expected file:///absolute/folder")
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or "\0" in path:
        raise ConfigError(f"store URL {url!r}: only a path may follow file://")
    if not path.startswith("/") or ".." in path.split("/"):
        raise ConfigError(f"store URL {url!r}: the folder must be absolute and without '..'")
    if isinstance(profile, str):
        profile = profile_named(profile)
    return FileStore(Path(path), max_bytes=max_bytes, profile=profile, read_only=read_only)


class FileStore(Store):
    """A folder of files named by CID; any number of processes may write and read it at once.

    Iterating gives every CID that has a file, sorted, without reading the files.

    Args:
        folder: absolute path; made by the first `put`.
        max_bytes: size cap of one content.
        profile: import profile for new content; content of the other profiles is found as well.
        read_only: the folder has to be there, and `put` is refused.

    Raises:
        ConfigError: the folder is not absolute, or the cap is not positive.
        StoreUnavailable: something else than a folder is there; to read only: nothing is there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        profile: Profile = DEFAULT_PROFILE,
        read_only: bool = False,
    ) -> None:
        if not folder.is_absolute():
            raise ConfigError(f"store folder {str(folder)!r} is not absolute")
        if max_bytes <= 0:
            raise ConfigError(f"size cap of {max_bytes} bytes is not positive")
        if folder.exists() and not folder.is_dir():
            raise StoreUnavailable(f"{folder} is not a folder")
        if read_only and not folder.exists():
            raise StoreUnavailable(f"there is no store at {folder}")
        self.read_only = read_only
        self.folder = folder
        self.max_bytes = max_bytes
        self.url = folder.as_uri()
        self.profile = profile.name
        self._profile = profile

    def put(self, data: bytes) -> str:
        """Store `data` durably and return its CID; a damaged copy on disk is replaced.

        Raises:
            ContentTooLarge: above the store's size cap.
            StoreUnavailable: the disk refuses.
        """
        return self.put_all([data])[0]

    def put_all(self, contents: Iterable[bytes]) -> list[str]:
        """Store contents durably and return their CIDs in order; the disk flushes them together.

        When one cannot be stored, others may have been; none is there in part.

        Raises:
            ContentTooLarge: one is above the store's size cap; nothing was stored.
            StoreUnavailable: the disk refuses, or it was opened to read only.
        """
        if self.read_only:
            raise StoreUnavailable(f"{self.url} was opened to read only: it takes no contents")
        listed = list(contents)
        for data in listed:
            if len(data) > self.max_bytes:
                raise ContentTooLarge(len(data), self.max_bytes)
        cids = [cid_of(data, self._profile) for data in listed]
        wanted = dict(zip(cids, listed, strict=True))
        if not wanted:
            return cids
        folder = self.folder / self.profile
        with _disk("write", cids[0] if len(wanted) == 1 else f"{len(wanted)} contents"):
            _make_folder(folder)
            if len(wanted) == 1:
                _keep(folder / cids[0], listed[0])
            else:
                with ThreadPoolExecutor(min(len(wanted), _WRITTEN_AT_ONCE)) as pool:
                    list(pool.map(_keep, map(folder.joinpath, wanted), wanted.values()))
            # Also for content found in place: its writer may not have come to this yet.
            _sync_folder(folder)
        return cids

    def get(self, cid: str, *, max_bytes: int | None = None) -> bytes:
        """Return the content of `cid`, hashed again under the profile of the folder it lies in.

        Args:
            cid: the CID.
            max_bytes: refuse more than this, before reading it (default: the store's size cap).

        Raises:
            InvalidCid: not a CID this store computes.
            ContentNotFound: nothing is stored under it.
            ContentCorrupted: what is stored hashes to something else.
            ContentTooLarge: above `max_bytes`.
            StoreUnavailable: the disk refuses.
        """
        limit = self.max_bytes if max_bytes is None else max_bytes
        actual: str | None = None
        found = False
        for profile, path in self._places(cid):
            with _disk("read", cid):
                try:
                    data = _read(path, limit)
                except FileNotFoundError:
                    continue
            found = True
            actual = cid_of(data, profile)
            if actual == cid:
                return data
            logger.warning("%s is damaged: its content hashes to %s", path, actual)
        if found:
            raise ContentCorrupted(cid, actual)
        raise ContentNotFound(cid)

    def has(self, cid: str) -> bool:
        """Tell whether something is stored under `cid`, without reading it.

        Raises:
            InvalidCid: not a CID this store computes.
        """
        return any(path.is_file() for _, path in self._places(cid))

    def close(self) -> None:
        """Do nothing: no file stays open between calls."""

    def __contains__(self, cid: object) -> bool:
        try:
            return isinstance(cid, str) and self.has(cid)
        except InvalidCid:
            return False

    def __iter__(self) -> Iterator[str]:
        names: set[str] = set()
        for name in PROFILES:
            with _disk("list", name), suppress(FileNotFoundError):
                names.update(path.name for path in (self.folder / name).iterdir())
        return iter(sorted(name for name in names if _is_cid(name)))

    def __repr__(self) -> str:
        return f"FileStore({self.url!r}, profile={self.profile!r})"

    def _places(self, cid: str) -> list[tuple[Profile, Path]]:
        """Return where `cid` may lie, our own profile first; a CID that parses holds no path."""
        cid_to_bytes(cid)
        others = [profile for profile in PROFILES.values() if profile.name != self.profile]
        return [(profile, self.folder / profile.name / cid) for profile in (self._profile, *others)]


@contextmanager
def _disk(action: str, what: str) -> Iterator[None]:
    """Map what the operating system refuses to the store's own error."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot {action} {what}: {error}") from error


def _is_cid(name: str) -> bool:
    try:
        cid_to_bytes(name)
    except InvalidCid:
        return False
    return True


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ContentTooLarge(size, limit)
        return file.read(size + 1)  # one byte more: a file that grows meanwhile will not verify


def _holds(path: Path, data: bytes) -> bool:
    """Tell whether the file is there and holds exactly `data`."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != len(data):
                return False
            view = memoryview(data)
            step = _COMPARED_AT_ONCE
            return all(file.read(step) == view[at : at + step] for at in range(0, len(view), step))
    except FileNotFoundError:
        return False


def _keep(path: Path, data: bytes) -> None:
    """Write the file unless it holds exactly `data` already."""
    if not _holds(path, data):
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    """Write beside `path`, flush to disk, then rename: readers see nothing or all of it."""
    partial = path.parent / f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        with partial.open("xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, each durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be flushed there, and renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
