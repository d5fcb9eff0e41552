"""Large contents through a store's server: slowly, and in bounded memory."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.store_server import WRITER, StoreServer, named_account

from fedledger.ledger_plugins import open_store

_SLOW = """
import time
from fedledger.effects.real import disk
kept = disk._SystemFile.read
def read(self, start, count):
    if count >= 1 << 20:
        time.sleep(0.7)
    return kept(self, start, count)
disk._SystemFile.read = read
from fedledger.cli import main; main()
"""


def test_a_slow_store_behind_has_its_deadline_for_each_piece(tmp_path):
    """A content comes that takes longer than the deadline in all, to a reader that waits for it."""
    data = hashlib.shake_128(b"slow").digest(5_000_000)
    options = ("--allow", WRITER.address, "--deadline", "2")
    with (
        StoreServer(tmp_path, *options, program=_SLOW) as server,
        open_store(server.url, account=WRITER) as store,
    ):
        cid = store.put(data)
        assert store.get(cid) == data
        assert "cut" not in server.log


_LARGE = """
import sys, time
from fedledger.ledger_plugins import open_store
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
size, chunk = int(sys.argv[2]), 262_144
block = bytes(range(256)) * 1024
def pieces():
    for at in range(0, size, chunk):
        yield (at.to_bytes(8, "big") + block[8:])[: size - at]
with open_store(sys.argv[1], max_bytes=size) as store:
    store.put(b"small")
    before, began = peak(), time.monotonic()
    cid = store.put_stream(pieces())
    up = time.monotonic()
    assert sum(map(len, store.get_stream(cid))) == size
    down = time.monotonic()
    assert store.put_stream(pieces()) == cid
    print(peak() - before, up - began, down - up, time.monotonic() - down)
"""


@pytest.mark.soak
@pytest.mark.parametrize("behind", ["file", "ipfs"])
def test_a_gibibyte_goes_up_and_down_in_bounded_memory(
    tmp_path, monkeypatch, request, behind, record_property
):
    """Neither the writer nor the server grows by more than 96 MiB, and the disk has no more copies.

    Sent again it is not sent: the server looks whether what it has is whole.
    """
    size = 1024 * 1024 * 1024
    named_account(monkeypatch, tmp_path)
    url = request.getfixturevalue("ipfs_daemon").url if behind == "ipfs" else ""
    options = ("--allow", WRITER.address, "--max-bytes", str(size), "--timeout", "300")
    with StoreServer(tmp_path, *options, store=url) as server:
        before = peak_of(server.pid)
        done = subprocess.run(
            [sys.executable, "-c", _LARGE, server.url, str(size)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + server.log
        grown, up, down, again = map(float, done.stdout.split())
        served = peak_of(server.pid) - before
        said = f"writer +{grown / 1e6:.0f} MB, server +{served / 1e6:.0f} MB, "
        said += f"{size / up / 1e6:.0f} MB/s up, {size / down / 1e6:.0f} MB/s down twice, "
        record_property("measured", said + f"{again:.0f} s to offer it again")
        assert grown < 96 * 1024 * 1024, said
        assert served < 96 * 1024 * 1024, said
        if behind == "file":
            assert sorted(path.stat().st_size for path in server.behind.rglob("baf*")) == [5, size]


def peak_of(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) * 1024
