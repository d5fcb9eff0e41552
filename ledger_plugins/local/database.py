"""The chain's file: SQLite, one row a block, a checksum on every page.

SQLite alone does not notice a flipped byte. Its checksum VFS (`cksumvfs`, shipped in apsw's wheels)
keeps eight bytes at the end of each page and refuses a page that does not match; the fields that
turn it on are compared by hand, for a page that says "no checksums" would not be checked. A page
in another one's place has a right checksum, too: the number of blocks is kept in the first page, so
that none is lost that way.

The rollback journal is used, and not the write-ahead log: a log is a side file in which blocks
would live that were acknowledged, and SQLite silently drops what follows a damaged frame of it.
Each block is one commit with `synchronous=EXTRA`: file and folder are on the disk when it returns.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import apsw
import apsw.sqlite_extra

from fedledger.errors import ChainCorrupted, LedgerUnavailable

__all__ = ["BlockFile"]

_VFS = "cksmvfs"
_RESERVED = 8
_PAGE = 4096
_APPLICATION_ID = 0x464C4231  # "FLB1"
_BUSY_MS = 30_000
_SCHEMA = "CREATE TABLE block (position INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT"
_EXPECTED = {
    "application_id": _APPLICATION_ID,
    "auto_vacuum": 0,
    "checksum_verification": "1",
    "freelist_count": 0,
    "journal_mode": "delete",
    "page_size": _PAGE,
}
_DAMAGE = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS}
_loading = Lock()


class BlockFile:
    """An open file of encoded blocks.

    Args:
        path: the file; it exists.
        write: whether blocks will be appended; the caller holds the lock for that.

    Raises:
        LedgerUnavailable: it cannot be opened.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self._path = path
        self._connection = _connect(path, write=write, create=False)

    @staticmethod
    def create(path: Path, first: bytes) -> None:
        """Make the file with block 0 in it, in one step: it is complete or it is not there.

        Args:
            path: the new file; the caller holds the lock.
            first: block 0's encoding.

        Raises:
            LedgerUnavailable: it cannot be written, or a journal of an older file is in the way.
        """
        if _journal_of(path).exists():
            raise LedgerUnavailable(
                f"{_journal_of(path)} belongs to a chain that is not there: "
                "bring the chain's file back, or delete the journal"
            )
        draft = path.with_name(path.name + ".new")
        for leftover in (draft, _journal_of(draft)):
            leftover.unlink(missing_ok=True)
        connection = _connect(draft, write=True, create=True)
        try:
            with _mapped(0):
                connection.reserve_bytes(reserve=_RESERVED)
                for statement in (
                    f"PRAGMA page_size={_PAGE}",
                    f"PRAGMA application_id={_APPLICATION_ID}",
                    "PRAGMA user_version=1",
                    _SCHEMA,
                ):
                    connection.execute(statement)
                connection.execute("INSERT INTO block VALUES (0, ?)", (first,))
        finally:
            connection.close()
        draft.rename(path)
        _sync_folder(path.parent)

    def read_all(self, start: int = 0) -> list[bytes]:
        """Return all blocks from `start` on, as one moment has them.

        Raises:
            ChainCorrupted: the file is damaged, with the first block that cannot be read.
            LedgerUnavailable: it cannot be read for another reason.
        """
        with _mapped(0):
            self._connection.execute("BEGIN")
        try:
            with _mapped(0):
                self._check_file()
            return self._read_rows(start)
        finally:
            with suppress(apsw.Error):  # a read that failed has ended its transaction itself
                self._connection.execute("ROLLBACK")

    def read(self, position: int) -> bytes:
        """Return one block.

        Raises:
            ChainCorrupted: it is damaged, or not there any more.
            LedgerUnavailable: it cannot be read for another reason.
        """
        with _mapped(position):
            data: bytes | None = self._connection.execute(
                "SELECT data FROM block WHERE position = ?", (position,)
            ).get
        if data is None:
            raise ChainCorrupted(position, "the block has disappeared from the file")
        return data

    def append(self, position: int, data: bytes) -> None:
        """Add a block; it is on the disk when this returns.

        Raises:
            ChainCorrupted: a page that has to change is damaged.
            LedgerUnavailable: it cannot be written; whether it was is known after opening again.
        """
        with _mapped(position):
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT INTO block VALUES (?, ?)", (position, data))
            self._connection.execute(f"PRAGMA user_version={position + 1}")
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; a second time nothing happens."""
        self._connection.close()

    def _check_file(self) -> None:
        connection = self._connection
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        if schema != [("table", "block", _SCHEMA)]:
            raise ChainCorrupted(0, "the file is not an embedded chain's")
        found = {name: connection.pragma(name) for name in _EXPECTED}
        if wrong := {name for name in found if found[name] != _EXPECTED[name]}:
            raise ChainCorrupted(
                0, ", ".join(f"{name} is {found[name]!r}" for name in sorted(wrong))
            )
        if (reserved := connection.reserve_bytes()) != _RESERVED:
            raise ChainCorrupted(0, f"pages keep {reserved} bytes for checksums, not {_RESERVED}")
        size, pages = self._path.stat().st_size, connection.pragma("page_count")
        if size != pages * _PAGE:
            raise ChainCorrupted(0, f"the file has {size} bytes, its {pages} pages {pages * _PAGE}")

    def _read_rows(self, start: int) -> list[bytes]:
        rows: list[bytes] = []
        expected = start
        with _mapped(start):
            cursor = self._connection.execute(
                "SELECT position, data FROM block WHERE position >= ? ORDER BY position", (start,)
            )
        while True:
            with _mapped(expected):
                row: Any = next(cursor, None)
            if row is None:
                break
            if row[0] != expected:
                raise ChainCorrupted(expected, f"the file goes on with block {row[0]}")
            rows.append(row[1])
            expected += 1
        with _mapped(start):
            there = self._connection.execute("SELECT count(*) FROM block").get
        count = self._connection.pragma("user_version")
        if not expected == there == count:
            raise ChainCorrupted(
                min(expected, count),
                f"the file has {there} blocks up to {expected - 1} and counts {count}",
            )
        return rows


def _connect(path: Path, *, write: bool, create: bool) -> apsw.Connection:
    _load_checksums()
    if not create and not path.exists():
        raise LedgerUnavailable(f"there is no chain at {path}")
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    try:
        connection = apsw.Connection(str(path), flags=flags, vfs=_VFS)
    except apsw.Error as error:
        raise LedgerUnavailable(f"{path} cannot be opened: {error}") from error
    try:
        with _mapped(0):
            connection.set_busy_timeout(_BUSY_MS)
            for setting in (
                "trusted_schema=OFF",
                "cell_size_check=ON",
                "fullfsync=ON",
                "synchronous=EXTRA",
                f"query_only={'OFF' if write else 'ON'}",
            ):
                connection.execute(f"PRAGMA {setting}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _load_checksums() -> None:
    """Register the checksum VFS; SQLite's default VFS stays what it was."""
    with _loading:
        if _VFS in apsw.vfs_names():
            return
        default = apsw.vfs_names()[0]
        memory = apsw.Connection(":memory:")
        try:
            apsw.sqlite_extra.load(memory, "cksumvfs")
        except (LookupError, apsw.sqlite_extra.NotAvailable, apsw.Error) as error:
            raise LedgerUnavailable(
                "this build of apsw has no cksumvfs: pip install --only-binary=apsw apsw"
            ) from error
        finally:
            memory.close()
        apsw.set_default_vfs(default)


@contextmanager
def _mapped(block: int) -> Iterator[None]:
    """Turn SQLite's errors into ours; damage is reported at `block`."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError) as error:
        raise ChainCorrupted(block, f"damaged page: {error}") from error
    except apsw.Error as error:
        if getattr(error, "extendedresult", None) in _DAMAGE:
            raise ChainCorrupted(block, "a page does not match its checksum") from error
        raise LedgerUnavailable(f"the chain's file: {error}") from error


def _journal_of(path: Path) -> Path:
    return path.with_name(path.name + "-journal")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
