"""The conformance suite on the store of this example: pytest test_sqlite_store.py."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.testing import StoreConformance


class TestSqlite(StoreConformance):
    @pytest.fixture
    def store_factory(self, tmp_path):
        return lambda **options: open_store(f"sqlite://{tmp_path}/store.db", **options)

    def footprint(self, store):
        return Path(store.url.removeprefix("sqlite://")).read_bytes()

    def damage(self, store, cid, data):
        with closing(sqlite3.connect(store.url.removeprefix("sqlite://"))) as database, database:
            database.execute("DELETE FROM pieces WHERE cid = ?", (cid,))
            database.execute("INSERT INTO pieces VALUES (?, ?, 0, ?)", (cid, store.profile, data))
            database.execute("UPDATE contents SET size = ? WHERE cid = ?", (len(data), cid))
