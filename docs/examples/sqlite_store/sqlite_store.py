"""A store of your own: all contents in one SQLite file, a row for each piece.

Installed, its entry point makes `open_store("sqlite:///absolute/file.db")` work. What is checked
(caps, CIDs, hashes, deadlines) is checked above it, in `Store`.
"""

import sqlite3
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from fedledger.errors import ContentNotFound, ContentPinned, StoreUnavailable
from fedledger.ledger_plugins.storage.base import DEFAULT_MAX_BYTES, Store
from fedledger.ledger_plugins.storage.cid import DEFAULT_PROFILE

SCHEMA = """
CREATE TABLE IF NOT EXISTS contents (cid TEXT, profile TEXT, size INT, PRIMARY KEY (cid, profile));
CREATE TABLE IF NOT EXISTS pieces (cid TEXT, profile TEXT, number INT, data BLOB,
                                   PRIMARY KEY (cid, profile, number));
CREATE TABLE IF NOT EXISTS pins (cid TEXT PRIMARY KEY);
"""
SIZE = "SELECT size FROM contents WHERE cid = ? AND profile = ?"
PIECE = "SELECT data FROM pieces WHERE cid = ? AND profile = ? AND number = ?"


def open_sqlite_store(url, *, max_bytes=DEFAULT_MAX_BYTES, timeout=30.0, read_only=False):
    """Contents in one SQLite file: sqlite:///absolute/file.db."""
    file = Path(url.removeprefix("sqlite://"))
    if read_only and not file.exists():
        raise StoreUnavailable(f"there is no store at {file}")  # S12: nothing is created
    return SqliteStore(file, max_bytes, timeout, read_only)


class SqliteStore(Store):
    profile = DEFAULT_PROFILE.name

    def __init__(self, file, max_bytes, timeout, read_only):
        self.url = f"sqlite://{file}"
        self.max_bytes, self.timeout, self.read_only = max_bytes, timeout, read_only
        self._name = f"{file.as_uri()}?mode={'ro' if read_only else 'rwc'}"
        if not read_only:
            with closing(self._open()) as database:
                database.executescript(SCHEMA)

    def _write(self, content):
        where = (content.cid, self.profile)
        with self._change() as database:
            if database.execute(SIZE, where).fetchone():
                return
            for number, piece in enumerate(content):
                database.execute("INSERT INTO pieces VALUES (?, ?, ?, ?)", (*where, number, piece))
            database.execute("INSERT INTO contents VALUES (?, ?, ?)", (*where, content.size))

    def _read(self, cid, profile):
        self._size(cid, profile)
        with closing(self._open()) as database:
            for number in count():  # each by itself: a slow reader holds up no writer
                row = database.execute(PIECE, (cid, profile, number)).fetchone()
                if row is None:
                    return
                yield row[0]

    def _size(self, cid, profile):
        with closing(self._open()) as database:
            row = database.execute(SIZE, (cid, profile)).fetchone()
        if row is None:
            raise ContentNotFound(cid)
        return row[0]

    def _pin(self, cid):
        with self._change() as database:
            if not database.execute("SELECT 1 FROM contents WHERE cid = ?", (cid,)).fetchone():
                raise ContentNotFound(cid)
            database.execute("INSERT OR IGNORE INTO pins VALUES (?)", (cid,))

    def _unpin(self, cid):
        with self._change() as database:
            database.execute("DELETE FROM pins WHERE cid = ?", (cid,))

    def _pins(self):
        with closing(self._open()) as database:
            return [cid for (cid,) in database.execute("SELECT cid FROM pins")]

    def _delete(self, cid):
        with self._change() as database:
            if database.execute("SELECT 1 FROM pins WHERE cid = ?", (cid,)).fetchone():
                raise ContentPinned(cid)
            if not database.execute("DELETE FROM contents WHERE cid = ?", (cid,)).rowcount:
                raise ContentNotFound(cid)
            database.execute("DELETE FROM pieces WHERE cid = ?", (cid,))

    def close(self):
        """Nothing stays open between calls."""

    def _open(self):
        return sqlite3.connect(self._name, uri=True, timeout=self.timeout, isolation_level=None)

    @contextmanager
    def _change(self):
        """One transaction, alone: all of it is on disk at the end, or nothing."""
        with closing(self._open()) as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
