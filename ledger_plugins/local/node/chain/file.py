"""A node's disk: blocks of all branches, the head, and transactions that must not get lost.

One SQLite file. Blocks certify themselves by their hashes and transactions by their signatures, and
both are checked again when they are used; so a damaged row costs a fetch from a peer and nothing
else. `commit` makes a step durable as a whole: what a killed node finds is one moment's state.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from fedledger.effects import Disk
from fedledger.errors import ChainCorrupted, LedgerUnavailable

from ...disk.database import require_log

__all__ = ["NodeFile", "Step", "has_chain"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS block (
    seen INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS kept (
    seen INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, raw BLOB NOT NULL, error TEXT) STRICT;
CREATE INDEX IF NOT EXISTS failed ON kept (seen) WHERE error IS NOT NULL;
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1), hash BLOB NOT NULL, verified INTEGER) STRICT;
"""
_APPLICATION_ID = 0x464C4E31  # "FLN1"
_FAILED = 10_000
"""Transactions that will not be included and whose errors are remembered: the newest."""


def has_chain(path: Path, disk: Disk) -> bool:
    """Tell whether a node's file is there and holds at least block 0.

    Raises:
        LedgerUnavailable, ChainCorrupted: it cannot be opened.
    """
    if not disk.exists(path):
        return False
    file = NodeFile(path, disk)
    try:
        return next(file.blocks(), None) is not None
    finally:
        file.close()


class Step:
    """Changes that become durable together.

    Attributes:
        blocks: envelopes to add, by block hash.
        gone: hashes of blocks to remove.
        head: hash of the new head and whether the rounds up to it were verified, or None when it
            stays.
        keep: transactions to keep, by hash.
        settled: hashes of transactions that need not be kept any more.
        failed: hash to error of transactions that will not be included.
    """

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.gone: set[bytes] = set()
        self.head: tuple[bytes, bool] | None = None
        self.keep: dict[str, bytes] = {}
        self.settled: set[str] = set()
        self.failed: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(
            self.blocks or self.gone or self.head or self.keep or self.settled or self.failed
        )


class NodeFile:
    """The open file; threads may share it.

    Args:
        path: the file; made when it does not exist. The caller holds the lock for writing.
        disk: where it is.

    Raises:
        LedgerUnavailable: it cannot be opened.
        ChainCorrupted: it is no node's file, or damaged beyond reading.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._guard = Lock()
        with self._mapped():
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            self._connection = disk.database(path, flags=flags)
        try:
            with self._mapped():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        connection = self._connection
        # One owner: nobody else opens it meanwhile, and the log needs no shared memory.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        # A write-ahead log needs one sync a step. What a damaged log loses, peers still have.
        require_log(connection, self._path)
        for setting in ("synchronous=FULL", "fullfsync=ON"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        if tables and connection.pragma("application_id") != _APPLICATION_ID:
            raise ChainCorrupted(0, f"{self._path} is not a node's file")
        with connection:
            connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.execute(_SCHEMA)

    def commit(self, step: Step) -> None:
        """Make a step durable; when this returns, it is on the disk.

        Raises:
            LedgerUnavailable: it cannot be written; nothing of it was.
        """
        if not step:
            return
        with self._mapped(), self._connection:
            run = self._connection.executemany
            run("DELETE FROM block WHERE hash = ?", ((one,) for one in step.gone))
            run("INSERT OR IGNORE INTO block (hash, data) VALUES (?, ?)", step.blocks.items())
            run(
                "INSERT INTO kept (hash, raw) VALUES (?, ?) "
                "ON CONFLICT (hash) DO UPDATE SET raw = excluded.raw, error = NULL",
                step.keep.items(),
            )
            run("DELETE FROM kept WHERE hash = ?", ((one,) for one in step.settled))
            run(
                "UPDATE kept SET raw = x'', error = ? WHERE hash = ?",
                ((error, one) for one, error in step.failed.items()),
            )
            if step.failed:
                self._connection.execute(
                    "DELETE FROM kept WHERE error IS NOT NULL AND seen <= ("
                    "SELECT seen FROM kept WHERE error IS NOT NULL "
                    "ORDER BY seen DESC LIMIT 1 OFFSET ?)",
                    (_FAILED,),
                )
            if step.head is not None:
                self._connection.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?)", step.head)

    def block(self, block_hash: bytes) -> bytes | None:
        """Return a block's envelope, or None when it is not there."""
        with self._mapped():
            found: bytes | None = self._connection.execute(
                "SELECT data FROM block WHERE hash = ?", (block_hash,)
            ).get
        return found

    def blocks(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield hash and envelope of every block, in the order in which they were first seen."""
        last = -1
        while True:
            with self._mapped():
                rows: list[Any] = self._connection.execute(
                    "SELECT seen, hash, data FROM block WHERE seen > ? ORDER BY seen LIMIT 256",
                    (last,),
                ).fetchall()
            if not rows:
                return
            for last, block_hash, data in rows:  # noqa: B007 - read when the next rows are
                yield block_hash, data

    def head(self) -> tuple[bytes, bool] | None:
        """Return the head's hash and whether its rounds were verified; None in a new file."""
        with self._mapped():
            row = self._connection.execute("SELECT hash, verified FROM head").fetchone()
        return None if row is None else (row[0], bool(row[1]))

    def kept(self) -> list[tuple[str, bytes, str | None]]:
        """Return hash, envelope and error (or None) of the kept transactions, oldest first.

        What has an error has no envelope any more.
        """
        with self._mapped():
            return list(self._connection.execute("SELECT hash, raw, error FROM kept ORDER BY seen"))

    def close(self) -> None:
        """Close the file; a second time nothing happens."""
        with self._guard:
            self._connection.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        with self._guard:
            try:
                yield
            except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError) as error:
                raise ChainCorrupted(
                    0,
                    f"{self._path} is damaged ({error}): move it away, and the node fetches the "
                    "chain from its peers",
                ) from error
            except apsw.Error as error:
                raise LedgerUnavailable(f"{self._path}: {error}") from error
