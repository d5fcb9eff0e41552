"""Where a file of a chain belongs lies something else: opening says so, and waits for nobody."""

import os
import socket
import warnings

import pytest

from fedledger.effects.real import SystemDisk
from fedledger.errors import AccountError, ConfigError, LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import load_account


def _linked_fifo(path):
    os.mkfifo(f"{path}.fifo")
    path.symlink_to(f"{path}.fifo")


ODD = {
    "a FIFO": os.mkfifo,
    "a link to a FIFO": _linked_fifo,
    "a folder": os.mkdir,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a loop": lambda path: path.symlink_to(path.name),
}


@pytest.fixture(params=ODD)
def put(request, tmp_path, monkeypatch):
    """Returns what puts one of them in a file's place."""
    monkeypatch.chdir(tmp_path)

    def odd(path):
        path.unlink(missing_ok=True)
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            ODD[request.param](path)

    return odd


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("name", ["chain.db", "chain.db-wal", "chain.db-journal", "chain.db.lock"])
def test_an_odd_file_of_a_chain_is_named(tmp_path, put, name, read_only):
    """The error names it; who only reads needs no lock."""
    url = f"local://{tmp_path}/chain.db"
    open_ledger(url, chain_id=7).close()
    put(tmp_path / name)
    if name == "chain.db.lock" and read_only:
        with open_ledger(url, read_only=True) as ledger:
            assert ledger.head().block == 0
        return
    with pytest.raises((LedgerUnavailable, ConfigError), match=f"{tmp_path}|/dev/zero") as caught:
        open_ledger(url, read_only=read_only, create=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read_only", [True, False])
def test_an_odd_snapshot_is_none(tmp_path, put, read_only, caplog):
    """It is a cache: a writer does without and says so in its log; a reader needs none."""
    url = f"local://{tmp_path}/chain.db"
    open_ledger(url, chain_id=7).close()
    put(tmp_path / "chain.db.snapshot")
    with open_ledger(url, read_only=read_only) as ledger:
        ledger.verify()
    said = "chain.db.snapshot cannot be read, and is not used" in caplog.text
    assert said is not read_only


def test_an_odd_keystore_file_is_none(tmp_path, put):
    """An account is read from a file alone."""
    path = tmp_path / "me.json"
    put(path)
    with pytest.raises(AccountError, match=r"me\.json"):
        load_account(path, "a password")


def test_no_disk_waits(tmp_path, put):
    """Whole files, open ones and locks are files, or an error of the operating system's kind."""
    path, disk = tmp_path / "file", SystemDisk()
    put(path)
    for ask in (disk.read, disk.view, disk.open):
        with pytest.raises(OSError, match="file"):
            ask(path)
    if not path.is_dir():  # a folder can be locked
        with pytest.raises(OSError, match="file"):
            disk.lock(path, wait=True)
