"""Opening to read only: every scheme takes it, and nothing is made or changed (clause L15)."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.cores import Bench, mine

import fedledger.ledger_plugins as room
from fedledger.effects.real import SystemDisk
from fedledger.errors import (
    ChainCorrupted,
    ConfigError,
    ContentNotFound,
    LedgerUnavailable,
    OpenedReadOnly,
    StoreUnavailable,
)
from fedledger.ledger_plugins import LEDGERS, STORES, open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.local.disk import database
from fedledger.ledger_plugins.local.node.chain.file import NodeFile

ADMIN = Account.from_key(b"\1" * 32)
KILLED = """
import os, signal, sys
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
admin = Account.from_key(bytes([1]) * 32)
ledger = open_ledger(sys.argv[1], admin=admin.address)
for _ in range(3):
    StakeToken(ledger).mint(admin, admin.address, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Return files with their bytes; a log's shared memory has marks of readers, and no data."""
    return {
        path.name: b"" if path.name.endswith("-shm") else path.read_bytes()
        for path in folder.iterdir()
    }


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder as a killed writer leaves it, with its log and its shared memory."""
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, "-c", KILLED, f"local://{folder}/chain.db"], check=False)
    assert {path.name.rpartition("-")[2] for path in folder.iterdir()} >= {"wal", "shm"}
    return folder


@pytest.mark.parametrize("gone", ["", "chain.db-shm"])
def test_what_a_killed_writer_left_is_read_and_stays_as_it_is(killed, tmp_path, gone):
    """The log's blocks are read and verified; no byte changes and no file comes or goes."""
    for path in killed.iterdir():
        if path.name != gone:
            shutil.copy(path, tmp_path)
    before = contents(tmp_path)
    with open_ledger(f"local://{tmp_path}/chain.db", read_only=True) as ledger:
        assert StakeToken(ledger).total_supply() == ledger.head().block == 3
        ledger.verify()
        assert contents(tmp_path) == before
        with pytest.raises(OpenedReadOnly, match="read only"):
            StakeToken(ledger).mint(ADMIN, ADMIN.address, 1)
    assert contents(tmp_path) == before


def test_a_log_that_is_gone_is_missed_and_nothing_is_made(killed, tmp_path):
    """The file says that there is a log, and there is none: no empty one is made."""
    for path in killed.iterdir():
        if not path.name.endswith(("-wal", "-shm")):
            shutil.copy(path, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ChainCorrupted, match="4 blocks were acknowledged"):
        open_ledger(f"local://{tmp_path}/chain.db", read_only=True)
    assert contents(tmp_path) == before


def test_a_reader_of_another_process_changes_nothing_beside_a_writer(tmp_path):
    """It verifies the chain, and file, log and lock stay as the writer left them."""
    url = f"local://{tmp_path}/chain.db"
    program = (
        "import sys; from fedledger.ledger_plugins import open_ledger\n"
        "with open_ledger(sys.argv[1], read_only=True) as ledger:\n"
        "    ledger.verify(); print(ledger.head().block)"
    )
    with open_ledger(url, admin=ADMIN.address) as ledger:
        for _ in range(3):
            StakeToken(ledger).mint(ADMIN, ADMIN.address, 1)
        before = contents(tmp_path)
        done = subprocess.run(
            [sys.executable, "-c", program, url], capture_output=True, text=True, check=True
        )
        assert (done.stdout.strip(), contents(tmp_path) == before) == ("3", True)


def test_a_reader_outlives_writers(tmp_path):
    """Opened before one and read after it: its blocks stay readable, and the file is whole."""
    url = f"local://{tmp_path}/chain.db"
    open_ledger(url, admin=ADMIN.address).close()
    for blocks in (1, 2):
        with open_ledger(url, read_only=True) as before:
            first = before.block(0)
            with open_ledger(url) as ledger, open_ledger(url, read_only=True) as during:
                StakeToken(ledger).mint(ADMIN, ADMIN.address, 1)
                assert [one.block(0) for one in (before, during)] == [first, first]
                ledger.close()
                assert during.block(blocks - 1) == before.block(blocks - 1)
            for end in ("", ".lock"):  # a reader keeps the file in the mode with a log
                shutil.copy(tmp_path / f"chain.db{end}", tmp_path / f"copy.db{end}")
        with open_ledger(f"local://{tmp_path}/copy.db", read_only=True) as copied:
            assert copied.head().block == blocks
    with open_ledger(url):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        *("chain.db", "chain.db.lock"),
        *("copy.db", "copy.db.lock"),
    }


def test_a_reader_follows_a_writer(tmp_path):
    """Following takes in what was added since; looking alone shows the moment it was opened."""
    url = f"local://{tmp_path}/chain.db"
    with (
        open_ledger(url, admin=ADMIN.address) as ledger,
        open_local_ledger(url, read_only=True) as reader,
    ):
        token, cursor, seen = StakeToken(ledger), None, []
        for blocks in (1, 0, 3):
            for _ in range(blocks):
                token.mint(ADMIN, ADMIN.address, 1)
            events, cursor = reader.follow("StakeToken", after=cursor)
            assert len(events) == blocks
            seen += events
        token.mint(ADMIN, ADMIN.address, 1)
        assert seen == reader.events("StakeToken") == ledger.events("StakeToken")[:4]
        assert reader.head().block == 4
        assert reader.refresh() == reader.head() == ledger.head()
        assert StakeToken(reader).total_supply() == 5
        reader.verify()


def test_a_mistyped_path_makes_no_chain(tmp_path):
    """There is no chain, a second time as well; neither folder nor lock was made."""
    for path in (tmp_path / "typo.db", tmp_path / "missing" / "chain.db"):
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match=f"there is no chain at {path}"):
                open_ledger(f"local://{path}", read_only=True)
    assert contents(tmp_path) == {}


def test_a_nodes_file_is_called_by_its_name(tmp_path):
    """Who would write a node's file is told what it is and how the chain is written."""
    bench = Bench(tmp_path)
    mine(bench.core("node"))
    bench.close()
    before = (tmp_path / "node.db").read_bytes()
    with pytest.raises(LedgerUnavailable, match=r"file of a node .* open local\+http://HOST:PORT"):
        open_ledger(f"local://{tmp_path}/node.db")
    assert (tmp_path / "node.db").read_bytes() == before


def test_the_tester_makes_no_chain_for_a_reader():
    """A chain of this process that nobody opened is not there."""
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="there is no chain"):
            open_ledger("ethereum+tester://nobody-opened-this", read_only=True)


def test_a_plugin_that_cannot_is_named(monkeypatch):
    """A third party's opener without `read_only` is a ConfigError with its name, no TypeError."""

    def opened(url):
        return url

    def obliging(url, **options):
        return url, options

    for registry, function in ((LEDGERS, open_ledger), (STORES, open_store)):
        entries = {**registry._entries, "old": "theirs:opened", "any": "theirs:obliging"}
        monkeypatch.setattr(registry, "_entries", entries)
        monkeypatch.setattr(
            registry, "load", {"old": opened, "any": obliging}.__getitem__, raising=True
        )
        with pytest.raises(ConfigError, match=f"{registry.kind} plugin 'old' .*opened"):
            function("old://x", read_only=True)
        found: list[Any] = [function("old://x"), function("any://x", read_only=True)]
        assert found == ["old://x", ("any://x", {"read_only": True})]


def test_a_store_is_read_or_is_not_there(tmp_path):
    """A missing folder is an error and is not made; a store that is there takes nothing."""
    url = f"file://{tmp_path}/store"
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"there is no store at {tmp_path}/store"):
            open_store(url, read_only=True)
    assert contents(tmp_path) == {}
    with open_store(url) as store:
        cid = store.put(b"content")
    with open_store(url, read_only=True) as store:
        assert store.read_only
        assert store.get(cid) == b"content"
        for attempt in (lambda: store.put(b"more"), lambda: store.put_all([])):
            with pytest.raises(StoreUnavailable, match="read only"):
                attempt()
        with pytest.raises(ContentNotFound):
            store.get(cid[:-1] + ("a" if cid[-1] != "a" else "b"))


def test_where_no_log_can_be_kept_nothing_is_written(tmp_path, monkeypatch):
    """SQLite stays with another journal where there is no shared memory: that is an error.

    A node's file has one owner, and needs none.
    """
    path = tmp_path / "chain.db"
    open_local_ledger(f"local://{path}").close()
    file = database.BlockFile(path, write=True)
    file._connection.close()
    file._connection = apsw.Connection(str(path), vfs="unix-none")
    with pytest.raises(LedgerUnavailable, match=r"cannot have a write-ahead log.*=delete"):
        file.start_writing()
    file.close()
    connection = apsw.Connection
    monkeypatch.setattr(
        apsw,
        "Connection",
        lambda name, **options: connection(name, **(options | {"vfs": "unix-none"})),
    )
    NodeFile(tmp_path / "node.db", SystemDisk()).close()


def test_the_names_of_reading_are_public():
    """What a reader needs is exported by the room."""
    assert {"Block", "Cursor", "Followed", "Inclusion"} <= set(room.__all__)
