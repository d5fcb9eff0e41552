"""What each account has stored and pinned: the server's own notes, one SQLite file.

The contents are in the store; here stands who brought them, so that a quota can be kept, and who
pinned them, so that nobody lets go of what somebody else keeps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import apsw

from fedledger.effects import Disk
from fedledger.errors import StoreUnavailable

__all__ = ["LEAST", "Uses"]

LEAST = 4096
"""Bytes that a content counts for at least: what a file takes on a disk."""

_APPLICATION_ID = 0x464C5531  # "FLU1"
_SCHEMA = """
    CREATE TABLE use (
        account TEXT NOT NULL, cid TEXT NOT NULL, bytes INTEGER NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0, issued INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (account, cid)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX use_of_content ON use (cid);
    CREATE TABLE kept (cid TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""


class Uses:
    """The notes; threads may share them.

    Args:
        path: the file, made where there is none; its folder is there.
        disk: where it is.

    Raises:
        StoreUnavailable: the file cannot be opened, or is another program's.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._lock = Lock()
        try:
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            self._file = disk.database(path, flags=flags)
            try:
                self._prepare(path)
            except BaseException:
                self._file.close()
                raise
        except apsw.Error as error:
            raise StoreUnavailable(f"{path} cannot be opened: {error}") from error

    def _prepare(self, path: Path) -> None:
        number = self._file.pragma("application_id")
        if number == 0 and not self._file.pragma("schema_version"):
            self._file.pragma("journal_mode", "wal")
            with self._file:
                self._file.execute(_SCHEMA)
                self._file.pragma("application_id", _APPLICATION_ID)
        elif number != _APPLICATION_ID:
            raise StoreUnavailable(f"{path} is no file of a store's server")
        if self._file.pragma("journal_mode") != "wal":
            raise StoreUnavailable(f"{path}: SQLite cannot keep its log on this disk")
        self._file.pragma("synchronous", "full")

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._lock:
            self._file.close()

    def bytes_of(self, account: str) -> int:
        """Return the bytes that count for an account."""
        with self._open():
            found = self._file.execute("SELECT sum(bytes) FROM use WHERE account = ?", (account,))
            return int(found.get or 0)

    def known(self, cid: str) -> bool:
        """Tell whether anybody has brought a content."""
        with self._open():
            return bool(self._file.execute("SELECT count(*) FROM use WHERE cid = ?", (cid,)).get)

    def add(self, account: str, cid: str, size: int) -> None:
        """Note that an account has brought a content; a second time changes nothing."""
        with self._open():
            self._file.execute(
                "INSERT OR IGNORE INTO use (account, cid, bytes) VALUES (?, ?, ?)",
                (account, cid, max(size, LEAST)),
            )

    def said(self, account: str, cid: str) -> tuple[bool, int] | None:
        """Return whether an account pins a content, and when it last said so or otherwise.

        None where it has not brought the content.
        """
        with self._open():
            row = "SELECT pinned, issued FROM use WHERE account = ? AND cid = ?"
            found = self._file.execute(row, (account, cid)).fetchone()
        return None if found is None else (bool(found[0]), int(found[1]))

    def say(self, account: str, cid: str, issued: int, *, pinned: bool, kept: bool = False) -> None:
        """Note that an account, which has brought a content, pins it or lets go of it.

        Args:
            account: who.
            cid: what.
            issued: when it said so.
            pinned: whether it pins.
            kept: whether the store has a pin that none of these notes explains: somebody else's,
                which stays.
        """
        with self._open():
            self._file.execute(
                "UPDATE use SET pinned = ?, issued = ? WHERE account = ? AND cid = ?",
                (pinned, issued, account, cid),
            )
            if kept:
                self._file.execute("INSERT OR IGNORE INTO kept (cid) VALUES (?)", (cid,))

    def pinned(self, cid: str, *, but: str = "") -> bool:
        """Tell whether an account pins a content, one besides `but`."""
        with self._open():
            row = "SELECT count(*) FROM use WHERE cid = ? AND pinned AND account != ?"
            return bool(self._file.execute(row, (cid, but)).get)

    def kept(self, cid: str) -> bool:
        """Tell whether the store had a pin before any account here made one."""
        with self._open():
            return bool(self._file.execute("SELECT count(*) FROM kept WHERE cid = ?", (cid,)).get)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock, self._file:
            yield
