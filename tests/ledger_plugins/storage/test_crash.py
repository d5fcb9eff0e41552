"""The store in a folder, when writers are killed and the power goes: whole contents or none."""

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fedledger.effects import Effects
from fedledger.errors import (
    ContentPinned,
)
from fedledger.experiments.sim.disk import MemoryDisk
from fedledger.experiments.sim.values import SeededEntropy
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.ledger_plugins.storage.local import FileStore

REAL = Effects.real()


def in_memory(files=None):
    """Return effects with a disk in memory, the disk, and a list of what power cuts leave."""
    left: list[dict[str, Any]] = []
    disk: MemoryDisk = MemoryDisk(SeededEntropy(1, "disk"), lambda: left.append(disk.cut()), files)
    effects = dataclasses.replace(REAL, disk=disk, entropy=SeededEntropy(1, "store"))
    return effects, disk, left


def test_it_stores_on_the_disk_that_it_was_given():
    """All that a store does it does there: contents, streams, pins, and what is gone again."""
    effects, disk, _ = in_memory()
    folder = Path("/nowhere/store")
    with FileStore(folder, effects) as store:
        data = bytes(3_000_000)
        cid = store.put(data)
        assert store.put_stream([b"str", b"eam"]) == cid_of(b"stream")
        assert store.get(cid) == b"".join(store.get_stream(cid)) == data
        store.pin(cid)
        with pytest.raises(ContentPinned):
            store.delete(cid)
        store.unpin(cid)
        store.delete(cid)
        assert list(store) == disk.names(folder / store.profile) == [cid_of(b"stream")]
    assert not folder.parent.exists()


@pytest.mark.parametrize("fuse", range(1, 13))
def test_a_power_cut_at_any_change_leaves_whole_contents(fuse):
    """What was acknowledged is there after it; what was not is whole or absent."""
    effects, disk, left = in_memory()
    disk.fuse = fuse
    store, acknowledged = FileStore(Path("/store"), effects), []
    contents = [bytes([number]) * 100_000 for number in range(3)]
    for data in contents:
        cid = store.put_stream([data[:60_000], data[60_000:]])
        if left:
            break
        acknowledged.append(cid)
    again = FileStore(Path("/store"), in_memory(left[0] if left else disk.cut())[0])
    assert set(acknowledged) <= set(again) <= {cid_of(data) for data in contents}
    for cid in again:
        again.get(cid)


WRITERS = """
import sys
from pathlib import Path
from fedledger.effects import Effects
from fedledger.ledger_plugins.storage.local import FileStore
store = FileStore(Path(sys.argv[1]), Effects.real())
for number in range(40):
    store.put(bytes([number]) * 50_000)
    store.put(f"{sys.argv[2]} {number}".encode())
"""


def test_concurrent_writers_of_the_same_content(tmp_path):
    """Processes that write the same content at once all succeed and leave only whole files."""
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITERS, tmp_path, str(seed)]) for seed in range(2)
    ]
    assert [worker.wait(30) for worker in workers] == [0, 0]
    store = FileStore(tmp_path, REAL)
    assert len(list(store)) == 40 + 2 * 40
    for cid in store:
        store.get(cid)
    assert not [path for path in (tmp_path / store.profile).iterdir() if path.name[0] == "."]


WRITER = """
import os, sys
from pathlib import Path
from fedledger.effects import Effects
from fedledger.ledger_plugins.storage.local import FileStore
store = FileStore(Path(sys.argv[1]), Effects.real())
while True:
    print(store.put(os.urandom(400_000)), flush=True)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_what_was_acknowledged_survives_kill(tmp_path, kills, record_property):
    """A writer killed at any moment leaves every acknowledged content whole, and no damaged one."""
    for _ in range(kills):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        acknowledged = [writer.stdout.readline()]
        time.sleep(random.uniform(0.02, 0.2))
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.readlines()
        writer.stdout.close()
        assert writer.wait(10) == -signal.SIGKILL
        store = FileStore(tmp_path, REAL)
        cids = [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]
        assert cids[0]
        assert all(cid in store for cid in cids)
        for cid in store:
            store.get(cid)
    record_property("kills", kills)
    record_property("contents", len(list(FileStore(tmp_path, REAL))))
