"""The chain's file: SQLite, one row a block, a checksum on every page.

SQLite alone does not notice a flipped byte. Its checksum VFS (`cksumvfs`, shipped in apsw's wheels)
keeps eight bytes at the end of each page and refuses a page that does not match; the fields that
turn it on are compared by hand, for a page that says "no checksums" would not be checked. A page
in another one's place has a right checksum, too: the number of blocks is kept in the first page, so
that none is lost that way.

While a process writes, blocks go to SQLite's write-ahead log first: one flush a block, where the
rollback journal takes five. Each block is one commit, on the disk when it returns. SQLite silently
drops what follows a damaged frame of the log; so the writer notes in the lock file how many blocks
it has acknowledged, and whoever opens the chain after a crash misses what is gone. Closed properly,
a chain is one file again.

Who only reads changes no byte of file, log and lock and makes no file beside them, which SQLite
would otherwise do: it never puts the log into the file, and what a crash or a copy left without the
log's shared memory it reads from a copy elsewhere.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any
from urllib.parse import quote

import apsw
import apsw.sqlite_extra

from fedledger.errors import ChainCorrupted, LedgerUnavailable

__all__ = ["NODE_ID", "BlockFile", "NodesFile", "own_copy", "require_log"]

_VFS = "cksmvfs"
_RESERVED = 8
_PAGE = 4096
_APPLICATION_ID = 0x464C4231  # "FLB1"
NODE_ID = 0x464C4E31  # "FLN1": a node's file, see `node.file`
_BUSY_MS = 30_000
_SCHEMA = "CREATE TABLE block (position INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT"
_EXPECTED = {
    "application_id": _APPLICATION_ID,
    "auto_vacuum": 0,
    "checksum_verification": "1",
    "freelist_count": 0,
    "page_size": _PAGE,
}
_COPIED = 1 << 20
_MODES = ("delete", "wal")
_DAMAGE = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS}
_loading = Lock()


class NodesFile(LedgerUnavailable):
    """It is the file of a node of a network, which is no embedded chain's."""


class BlockFile:
    """An open file of encoded blocks.

    Args:
        path: the file; it exists.
        write: whether blocks will be appended; the caller holds the lock for that.

    Raises:
        LedgerUnavailable: it cannot be opened.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self._named = path
        self._writing = False
        self._copy: TemporaryDirectory[str] | None = None
        for one in (path, *_journals_of(path)):
            _refuse_odd(one)
        try:
            if not write and _is_left_over(path):
                self._copy = TemporaryDirectory(prefix="fedledger-")
                path = _copied(path, Path(self._copy.name))
            self._path = path
            self._connection = _connect(path, write=write)
        except BaseException:
            self._drop_copy()
            raise

    @staticmethod
    def create(path: Path, first: bytes) -> None:
        """Make the file with block 0 in it, in one step: it is complete or it is not there.

        Args:
            path: the new file; the caller holds the lock.
            first: block 0's encoding.

        Raises:
            LedgerUnavailable: it cannot be written, or a journal of an older file is in the way.
        """
        for journal in _journals_of(path):
            if journal.exists():
                raise LedgerUnavailable(
                    f"{journal} belongs to a chain that is not there: "
                    "bring the chain's file back, or delete the journal"
                )
        draft = path.with_name(path.name + ".new")
        for leftover in (draft, *_journals_of(draft)):
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

    def read_all(self, start: int = 0, *, known: int | None = 0) -> list[bytes]:
        """Return all blocks from `start` on, as one moment has them.

        Args:
            start: the first block wanted.
            known: blocks that the file must have, from block 0 on; None: nobody knows, which
                matters where some may be in the log alone.

        Raises:
            ChainCorrupted: the file is damaged, with the first block that cannot be read.
            LedgerUnavailable: it cannot be read for another reason, or nobody can tell whether all
                of it is there.
        """
        with _mapped(0):
            self._connection.execute("BEGIN")
        try:
            with _mapped(0):
                self._check_file()
            if known is None and _says_log(self._path):
                raise self._uncounted()
            rows = self._read_rows(start)
        finally:
            with suppress(apsw.Error):  # a read that failed has ended its transaction itself
                self._connection.execute("ROLLBACK")
        if known is not None and start + len(rows) < known:
            raise ChainCorrupted(
                start + len(rows),
                f"{known} blocks were acknowledged, and the file has {start + len(rows)}: its "
                f"write-ahead log ({_journals_of(self._path)[-1].name}) is damaged or missing",
            )
        return rows

    def start_writing(self) -> None:
        """Get ready for `append`, once the file was read and is known to be a chain's.

        Raises:
            LedgerUnavailable: it cannot be written, or not with a write-ahead log.
        """
        with _mapped(0):
            require_log(self._connection, self._path)
        self._writing = True

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

    def close(self) -> bool:
        """Close the file; a second time nothing happens.

        Returns:
            Whether all blocks are in it, and no log beside it is needed.
        """
        whole = False
        if self._writing:
            self._writing = False
            with suppress(apsw.Error):  # damaged or full, or somebody is reading: the log stays
                self._connection.set_busy_timeout(0)
                # All into the file first: readers cannot keep it from being whole, but they can
                # keep the log, empty then, from being removed.
                done = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                whole = done is not None and done[0] == 0
                self._connection.pragma("journal_mode", "delete")
        self._connection.close()
        self._drop_copy()
        return whole

    def _drop_copy(self) -> None:
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _uncounted(self) -> LedgerUnavailable:
        name = self._named.name
        return LedgerUnavailable(
            f"{self._named} was not closed, so blocks may be in its log alone, and {name}.lock, "
            f"which says how many there are, is missing or damaged: copy {name}, {name}-wal and "
            f"{name}.lock together. Where it is lost for good, an empty file of that name accepts "
            "what is there"
        )

    def _check_file(self) -> None:
        connection = self._connection
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        if connection.pragma("application_id") == NODE_ID:
            raise NodesFile(
                f"{self._named} is the file of a node of a network, with blocks of all branches: "
                "start the node (`fedledger node run`) and open local+http://HOST:PORT, or open "
                "the file to read only"
            )
        if schema != [("table", "block", _SCHEMA)]:
            raise ChainCorrupted(0, "the file is not an embedded chain's")
        found = {name: connection.pragma(name) for name in _EXPECTED}
        if wrong := {name for name in found if found[name] != _EXPECTED[name]}:
            raise ChainCorrupted(
                0, ", ".join(f"{name} is {found[name]!r}" for name in sorted(wrong))
            )
        if (reserved := connection.reserve_bytes()) != _RESERVED:
            raise ChainCorrupted(0, f"pages keep {reserved} bytes for checksums, not {_RESERVED}")
        if (mode := connection.pragma("journal_mode")) not in _MODES:
            raise ChainCorrupted(0, f"journal_mode is {mode!r}")
        size, pages = self._path.stat().st_size, connection.pragma("page_count")
        if size != pages * _PAGE and not (mode == "wal" and size < pages * _PAGE):
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


def require_log(connection: apsw.Connection, path: Path) -> None:
    """Put a file into the mode with a write-ahead log, and check that it is.

    Where there is no shared memory (some network disks) SQLite says nothing and keeps another
    journal, whose durability nobody has tested here.

    Raises:
        LedgerUnavailable: it stays in another mode.
    """
    mode = connection.execute("PRAGMA journal_mode=WAL").get
    if mode != "wal":
        raise LedgerUnavailable(
            f"{path} cannot have a write-ahead log: its disk has no shared memory, and SQLite "
            f"stays with journal_mode={mode}. Put it on a local disk"
        )
    # The first read makes the log's file: readers take a header without one for a lost log.
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()


def _connect(path: Path, *, write: bool, create: bool = False) -> apsw.Connection:
    _load_checksums()
    if not create and not path.exists():
        raise LedgerUnavailable(f"there is no chain at {path}")
    name, flags = str(path), apsw.SQLITE_OPEN_READWRITE
    # A header that speaks of a log where there is none: nobody writes, and none must be made.
    alone = not write and _says_log(path) and not _journals_of(path)[1].exists()
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    elif alone:
        name = f"file:{quote(str(path))}?immutable=1"
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(name, flags=flags, vfs=_VFS)
    except apsw.Error as error:
        raise LedgerUnavailable(f"{path} cannot be opened: {error}") from error
    try:
        with _mapped(0):
            connection.set_busy_timeout(_BUSY_MS)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(not write))
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
    if alone and _journals_of(path)[1].exists():  # a writer was just beginning
        connection.close()
        return _connect(path, write=write)
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


def _journals_of(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-journal"), path.with_name(path.name + "-wal")


def _refuse_odd(path: Path) -> None:
    """Refuse what whoever opens it would wait for, or read for ever."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LedgerUnavailable(f"{path} is not a regular file")
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _is_left_over(path: Path) -> bool:
    """Tell whether there is a journal that no running process is using."""
    journal, log = _journals_of(path)
    return journal.exists() or (log.exists() and not path.with_name(path.name + "-shm").exists())


@contextmanager
def own_copy(path: Path) -> Iterator[Path]:
    """Have a copy of a file and its journals, which is gone at the end.

    Raises:
        LedgerUnavailable: they cannot be read, or the disk is full.
    """
    with TemporaryDirectory(prefix="fedledger-") as folder:
        yield _copied(path, Path(folder))


def _copied(path: Path, folder: Path) -> Path:
    """Copy a chain's file and its journals into a folder of our own.

    Raises:
        LedgerUnavailable: they cannot be read, or the disk is full.
    """
    try:
        for one in (path, *_journals_of(path)):
            with suppress(FileNotFoundError):
                _copy(one, folder / one.name)
    except OSError as error:
        raise LedgerUnavailable(f"{path} cannot be read: {error}") from error
    return folder / path.name


def _copy(path: Path, to: Path) -> None:
    """Copy a file; what is a hole in it, which may be larger than the disk, stays one."""
    seek_data, seek_hole = getattr(os, "SEEK_DATA", None), getattr(os, "SEEK_HOLE", None)
    if seek_data is None or seek_hole is None:
        shutil.copyfile(path, to)
        return
    with path.open("rb") as file, to.open("wb") as copy:
        end = file.seek(0, os.SEEK_END)
        copy.truncate(end)
        at = 0
        while at < end:
            try:
                start = file.seek(at, seek_data)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    return
                raise
            at = file.seek(start, seek_hole)
            file.seek(start)
            copy.seek(start)
            while start < at and (piece := file.read(min(_COPIED, at - start))):
                copy.write(piece)
                start += len(piece)


def _says_log(path: Path) -> bool:
    """Tell whether the file's header says that it is read with a log (SQLite's format, 1.3)."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
