"""A stopped node's own file is a ledger to read: its main branch, checked, and nothing changes."""

import shutil

import apsw
import pytest
from support.cores import Bench, mine, tell

from fedledger.effects.real import SystemDisk
from fedledger.errors import ChainCorrupted, ConfigError, LedgerUnavailable, OpenedReadOnly
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.inspection import all_balances, newest_blocks, one_block
from fedledger.ledger_plugins.local.disk.lock import WriteLock

NAME = "node.db"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def stopped(tmp_path):
    """A folder with a node's file as a stopped node leaves it, and the head that it stood on."""
    bench = Bench(tmp_path / "bench")
    (tmp_path / "bench").mkdir()
    core, other = bench.core("node"), bench.core("other")
    for amount in (1, 2, 3):
        core.submit(bench.mint(amount).raw)
        mine(core)
    mine(other)  # a side branch, which the node keeps, too
    tell(other, core)
    head = core.snapshot.hashes[-1]
    bench.close()
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(tmp_path / "bench" / NAME, folder)
    return folder, head


def test_it_is_read_like_any_chain(stopped):
    """Blocks, balances and calls are those of the node's branch; no byte or file comes or goes."""
    folder, head = stopped
    before = contents(folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555)
    with open_ledger(f"local://{folder}/{NAME}", read_only=True) as ledger:
        assert ledger.head().hash == "0x" + head.hex()
        assert StakeToken(ledger).total_supply() == 6
        assert ledger.holds("0x" + head.hex())
        assert all_balances(ledger)[0]["balance"] == 6
        assert [block["index"] for block in newest_blocks(ledger, 2)] == [3, 2]
        assert one_block(ledger, 1)["transactions"][0]["call"] == "StakeToken.mint"
        ledger.verify()
        with pytest.raises(OpenedReadOnly):
            ledger.transact(ledger.transaction(ledger.block(1).transactions[0]))
    folder.chmod(0o755)
    assert contents(folder) == before


def test_a_killed_nodes_log_counts(tmp_path):
    """What is in the write-ahead log alone is read, and the log stays as it is."""
    bench = Bench(tmp_path)
    core = bench.core("node")
    core.submit(bench.mint(5).raw)
    mine(core)
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (NAME, f"{NAME}-wal"):
        shutil.copy(tmp_path / name, folder)
    before = contents(folder)
    with open_ledger(f"local://{folder}/{NAME}", read_only=True) as ledger:
        assert StakeToken(ledger).total_supply() == 5
    bench.close()
    assert contents(folder) == before


def test_a_running_nodes_file_is_left_alone(stopped):
    """It changes under its reader: the node itself is to be asked."""
    folder, _ = stopped
    lock = WriteLock(folder / "node.lock", SystemDisk())
    with pytest.raises(
        LedgerUnavailable, match=r"node that is running: .* local\+http://HOST:PORT"
    ):
        open_ledger(f"local://{folder}/{NAME}", read_only=True)
    lock.release()
    open_ledger(f"local://{folder}/{NAME}", read_only=True).close()


def test_another_chain_than_was_asked_for_is_refused(stopped):
    """As of every embedded chain, by the setting's name."""
    folder, _ = stopped
    with pytest.raises(ConfigError, match="chain_id 8: the chain was made with 7"):
        open_ledger(f"local://{folder}/{NAME}", read_only=True, chain_id=8)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ("DELETE FROM block WHERE seen = 2", ChainCorrupted, "is not there"),
        ("UPDATE block SET data = x'00' WHERE seen = 2", ChainCorrupted, "damaged"),
        ("UPDATE head SET hash = x'1234'", ChainCorrupted, "block 1234 is not there"),
        ("DELETE FROM head", LedgerUnavailable, "has no block yet"),
        ("DROP TABLE head", ChainCorrupted, "damaged"),
    ],
)
def test_damage_is_found(stopped, change, error, says):
    """A block that is missing, altered or of another hash, in one sentence."""
    folder, _ = stopped
    connection = apsw.Connection(str(folder / NAME))
    connection.execute(change)
    connection.close()
    with pytest.raises(error, match=says):
        open_ledger(f"local://{folder}/{NAME}", read_only=True)
