"""A content-addressed store in a folder: one file for each CID, and one for each pin.

    <folder>/<profile name>/<CID>
    <folder>/pins/<CID>

The profile's name is the name of the folder the content lies in, so a CID is always computed again
under the profile that made it. A file appears under its CID only when all of it is on disk; what a
killed writer leaves behind starts with a dot and is never read. A pin is an empty file.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from fedledger.effects import Effects, NotAFile
from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentPinned,
    InvalidCid,
    StoreUnavailable,
)

from .base import DEFAULT_MAX_BYTES, Store
from .cid import DEFAULT_PROFILE, PROFILES, Profile, cid_to_bytes, profiles_from
from .draft import Draft, draft
from .pieces import PIECE_BYTES, Incoming

__all__ = ["DEFAULT_MAX_BYTES", "FileStore", "open_file_store"]

_WRITTEN_AT_ONCE = 8  # files: a disk flushes several in hardly more time than one
_PINS = "pins"


def open_file_store(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float | None = None,
    profile: str | Profile = DEFAULT_PROFILE,
    read_only: bool = False,
    effects: Effects | None = None,
) -> "FileStore":
    """Open the store that `file:///absolute/folder` names; the folder is made by the first `put`.

    Args:
        url: the folder, percent-encoded where needed.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take; None: a disk of this machine answers by itself.
        profile: import profile for new content, or its name.
        read_only: open what is there, and refuse what would change it.
        effects: whose disk; this machine's by default.

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
    return FileStore(
        Path(path),
        effects or Effects.real(),
        max_bytes=max_bytes,
        timeout=timeout,
        profile=profile,
        read_only=read_only,
    )


class FileStore(Store):
    """A folder of files named by CID; any number of processes may write and read it at once.

    Iterating gives every CID that has a file, sorted, without reading the files.

    Args:
        folder: absolute path; made by the first `put`.
        effects: whose disk; draws the names of drafts, and writes several files at once.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take; None: as long as the disk takes.
        profile: import profile for new content; content of the other profiles is found as well.
        read_only: the folder has to be there, and what would change it is refused.

    Raises:
        ConfigError: the folder is not absolute, or the cap is not positive.
        StoreUnavailable: something else than a folder is there; to read only: nothing is there.
    """

    def __init__(
        self,
        folder: Path,
        effects: Effects,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout: float | None = None,
        profile: str | Profile = DEFAULT_PROFILE,
        read_only: bool = False,
    ) -> None:
        if not folder.is_absolute():
            raise ConfigError(f"store folder {str(folder)!r} is not absolute")
        self._set_up(
            folder.as_uri(),
            max_bytes=max_bytes,
            timeout=timeout,
            profile=profile,
            read_only=read_only,
        )
        disk = effects.disk
        if disk.exists(folder) and not disk.is_folder(folder):
            raise StoreUnavailable(f"{folder} is not a folder")
        if read_only and not disk.exists(folder):
            raise StoreUnavailable(f"there is no store at {folder}")
        self.folder = folder
        self._disk = disk
        self._entropy = effects.entropy
        self._work = effects.work

    def close(self) -> None:
        """Do nothing: no file stays open between calls."""

    def __contains__(self, cid: object) -> bool:
        try:
            return isinstance(cid, str) and self.has(cid)
        except InvalidCid:
            return False

    def __iter__(self) -> Iterator[str]:
        with self._boundary("list", self.url):
            names = {name for profile in PROFILES for name in self._cids(self.folder / profile)}
        return iter(sorted(names))

    def __repr__(self) -> str:
        return f"FileStore({self.url!r}, profile={self.profile!r})"

    def _write(self, content: Incoming) -> None:
        self._write_all([content])

    def _write_all(self, contents: Sequence[Incoming]) -> None:
        """Write what is not there or is damaged; the disk flushes all of it together."""
        folder = self.folder / self.profile
        self._disk.make_folder(folder)

        def keep(content: Incoming) -> None:
            path = folder / content.cid
            if not self._holds(path, content):
                with draft(self._disk, self._entropy, folder) as file:
                    file.writelines(content)
                    file.keep(path)

        self._work.map(keep, contents, at_once=_WRITTEN_AT_ONCE)
        # Also for content found in place: its writer may not have come to this yet.
        self._disk.sync_folder(folder)

    def _draft(self) -> AbstractContextManager[BinaryIO]:
        self._disk.make_folder(self.folder / self.profile)
        return draft(self._disk, self._entropy, self.folder / self.profile)

    def _keep(self, draft: BinaryIO, cid: str, size: int) -> None:
        """Give the draft its name, unless the content is there: it is written once."""
        path = self.folder / self.profile / cid
        if not self._holds(path, Incoming(cid, draft, size)):
            cast("Draft", draft).keep(path)
        self._disk.sync_folder(path.parent)

    def _read(self, cid: str, profile: str) -> Iterator[bytes]:
        with _found(cid), self._disk.view(self.folder / profile / cid) as file:
            place = 0
            while piece := file.read(place, PIECE_BYTES):
                yield piece
                place += len(piece)

    def _size(self, cid: str, profile: str) -> int:
        with _found(cid):
            return self._disk.size(self.folder / profile / cid)

    def _pin(self, cid: str) -> None:
        self._copies(cid)
        with self._judging() as pins:
            self._copies(cid)
            if not self._disk.exists(pins / cid):
                self._disk.open(pins / cid).close()
            # Also where it is there: who made it may not have come to this yet.
            self._disk.sync_folder(pins)

    def _unpin(self, cid: str) -> None:
        if self._pinned(cid):
            self._remove(self.folder / _PINS / cid)

    def _pins(self) -> list[str]:
        return self._cids(self.folder / _PINS)

    def _pinned(self, cid: str) -> bool:
        return self._disk.exists(self.folder / _PINS / cid)

    def _delete(self, cid: str) -> None:
        self._copies(cid)
        with self._judging() as pins:
            if self._disk.exists(pins / cid):
                raise ContentPinned(cid)
            for path in self._copies(cid):
                self._remove(path)

    @contextmanager
    def _judging(self) -> Iterator[Path]:
        """Have the folder of the pins to oneself: no pin comes between its check and a removal."""
        pins = self.folder / _PINS
        self._disk.make_folder(pins)
        with self._disk.lock(pins, wait=True):
            yield pins

    def _remove(self, path: Path) -> None:
        """Remove a file durably."""
        self._disk.remove(path)
        self._disk.sync_folder(path.parent)

    def _cids(self, folder: Path) -> list[str]:
        """Return the names in a folder that are CIDs; none where there is no folder."""
        try:
            return list(filter(_is_cid, self._disk.names(folder)))
        except FileNotFoundError:
            return []

    def _holds(self, path: Path, content: Incoming) -> bool:
        """Tell whether the file is there and holds exactly this content."""
        try:
            if self._disk.size(path) != content.size:
                return False
            with self._disk.view(path) as file:
                place = 0
                for piece in content:
                    if file.read(place, len(piece)) != piece:
                        return False
                    place += len(piece)
        except (FileNotFoundError, NotAFile):
            return False
        return True

    def _copies(self, cid: str) -> list[Path]:
        """Return the files of a content, under whatever profile; there is one at least."""
        paths = (self.folder / profile / cid for profile in PROFILES)
        if found := [path for path in paths if self._disk.exists(path)]:
            return found
        raise ContentNotFound(cid)

    def _profiles(self) -> Sequence[Profile]:
        return profiles_from(self.profile)


@contextmanager
def _found(cid: str) -> Iterator[None]:
    """Say of a CID what the folder says of its file."""
    try:
        yield
    except FileNotFoundError:
        raise ContentNotFound(cid) from None
    except NotAFile as error:
        raise ContentCorrupted(cid, None) from error


def _is_cid(name: str) -> bool:
    try:
        cid_to_bytes(name)
    except InvalidCid:
        return False
    return True
