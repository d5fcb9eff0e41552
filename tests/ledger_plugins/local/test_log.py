"""The write-ahead log: blocks that only it has are found after a crash, or missed aloud."""

import random
import shutil
from pathlib import Path

import pytest

from fedledger.effects.real import SystemDisk
from fedledger.errors import ChainCorrupted, LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.local.disk.lock import WriteLock, acknowledged

ADMIN = Account.from_key(b"\1" * 32)
BLOCKS = 9
LOG, LOCK = "chain.db-wal", "chain.db.lock"
PAGE = 4096
FRAME, HEADER = PAGE + 24, 32


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A folder as a killed writer leaves it: no block after the first four is in the file."""
    folder = tmp_path_factory.mktemp("crashed")
    live = tmp_path_factory.mktemp("live")
    url = f"local://{live}/chain.db"
    with open_local_ledger(url, admin=ADMIN.address, chain_id=5) as ledger:
        for _ in range(4):
            StakeToken(ledger).mint(ADMIN, ADMIN.address, 1)
    with open_local_ledger(url) as ledger:
        for _ in range(BLOCKS - 4):
            StakeToken(ledger).mint(ADMIN, ADMIN.address, 1)
        for name in ("chain.db", LOG, LOCK):
            shutil.copy(live / name, folder / name)
    assert (folder / LOG).stat().st_size % FRAME == HEADER
    return folder


@pytest.fixture
def folder(crashed, tmp_path):
    restore(crashed, tmp_path)
    return tmp_path


def restore(crashed: Path, folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    for path in crashed.iterdir():
        shutil.copy(path, folder / path.name)


def opened(folder: Path, **options) -> int:
    """Open the chain and return its newest block."""
    url = f"local://{folder}/chain.db"
    with open_local_ledger(url, create=False, **options) as ledger:
        assert StakeToken(ledger).total_supply() == ledger.head().block
        return ledger.head().block


@pytest.mark.parametrize("read_only", [True, False])
def test_a_crashed_writer_loses_nothing(folder, read_only):
    """Blocks that are in the log alone are read; closed properly, the chain is one file again."""
    assert opened(folder, read_only=read_only) == BLOCKS
    assert opened(folder) == BLOCKS
    assert {path.name for path in folder.iterdir()} == {"chain.db", LOCK}
    assert acknowledged(folder / LOCK, SystemDisk()) == 0
    assert opened(folder, read_only=True) == BLOCKS


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.soak)])
def test_damage_anywhere_in_the_log_is_found(folder, crashed, step, record_property):
    """A flipped bit in any frame: all blocks are there, or ChainCorrupted; never fewer blocks.

    The short form flips a bit in one of ten of the places.
    """
    whole = (crashed / LOG).read_bytes()
    generator = random.Random()
    frames = range(HEADER, len(whole), FRAME)
    heads = [frame + at for frame in frames for at in range(FRAME - PAGE)]
    found = []
    anywhere = generator.sample(range(HEADER, len(whole)), 500)
    places = [*range(HEADER), *heads, *anywhere]
    for position in places[generator.randrange(step) :: step]:
        restore(crashed, folder)
        damaged = bytearray(whole)
        damaged[position] ^= 1 << generator.randrange(8)
        (folder / LOG).write_bytes(damaged)
        try:
            assert opened(folder, read_only=position % 2 > 0) == BLOCKS, position
        except ChainCorrupted as error:
            found.append(error)
    assert len(found) >= 500 // step
    record_property("places", len(places))
    assert all("write-ahead log" in str(error) and 4 < error.block <= BLOCKS for error in found)


def test_a_log_that_is_cut_or_gone_is_found(folder, crashed):
    """Wherever it ends before its end, acknowledged blocks are missed, a second time as well."""
    whole = (crashed / LOG).read_bytes()
    for cut in (0, HEADER, *range(HEADER + FRAME, len(whole), FRAME), len(whole) - 1):
        restore(crashed, folder)
        (folder / LOG).write_bytes(whole[:cut])
        for read_only in (True, False, False):
            with pytest.raises(ChainCorrupted, match=f"{BLOCKS + 1} blocks were acknowledged"):
                opened(folder, read_only=read_only)
    restore(crashed, folder)
    (folder / LOG).unlink()
    for _ in range(2):
        with pytest.raises(ChainCorrupted, match="damaged or missing") as caught:
            opened(folder)
        assert caught.value.block == 5


def test_a_block_that_nobody_was_told_of_may_be_half_written(folder, crashed):
    """The end of the log is torn, and the writer had not acknowledged it: that is no damage."""
    lock = WriteLock(folder / LOCK, SystemDisk())
    lock.acknowledge(BLOCKS)  # one less than there are, with block 0
    lock.release()
    (folder / LOG).write_bytes((crashed / LOG).read_bytes()[:-100])
    assert opened(folder) == BLOCKS - 1


@pytest.mark.parametrize("read_only", [True, False])
def test_without_the_lock_a_crashed_chain_is_not_read_as_if_it_were_whole(
    folder, crashed, read_only
):
    """Its log may be whole, cut or gone: nobody can tell, so all three files are asked for."""
    whole = (crashed / LOG).read_bytes()
    for log in (whole, whole[: HEADER + FRAME], whole[:-1], b""):
        restore(crashed, folder)
        (folder / LOCK).unlink()
        (folder / LOG).write_bytes(log)
        for _ in range(2):  # the first attempt to write has left a lock file
            with pytest.raises(LedgerUnavailable, match=r"chain\.db-wal and chain\.db\.lock toge"):
                opened(folder, read_only=read_only)
    restore(crashed, folder)
    (folder / LOCK).write_bytes(b"")
    assert opened(folder, read_only=read_only) == BLOCKS, "an empty file accepts what is there"


def test_a_flipped_byte_in_the_lock_corrupts_no_chain(folder, crashed):
    """Of a closed chain nothing depends on it; of a crashed one it is named, and no block is."""
    with open_local_ledger(f"local://{folder}/chain.db"):
        pass
    closed = (folder / LOCK).read_bytes()
    for position in range(len(closed)):
        for bit in (1, 64):
            lock = bytearray(closed)
            lock[position] ^= bit
            (folder / LOCK).write_bytes(lock)
            assert opened(folder, read_only=True) == BLOCKS
    assert opened(folder) == BLOCKS
    restore(crashed, folder)
    good = (crashed / LOCK).read_bytes()
    for position in range(len(good)):
        lock = bytearray(good)
        lock[position] ^= 4
        (folder / LOCK).write_bytes(lock)
        if position < 32:  # who held it; the number is whole
            assert opened(folder, read_only=True) == BLOCKS
        else:
            with pytest.raises(LedgerUnavailable, match="missing or damaged"):
                opened(folder, read_only=True)


def test_readers_follow_a_writer_through_its_checkpoints(tmp_path):
    """Whatever is in the file and what in the log, a reader sees each acknowledged block."""
    url = f"local://{tmp_path}/chain.db"
    with open_local_ledger(url, admin=ADMIN.address) as ledger:
        token, held = StakeToken(ledger), []
        for block in range(1, 601):  # the log is copied into the file about every 300 blocks
            token.mint(ADMIN, ADMIN.address, 1)
            if block % 60 == 0:
                assert opened(tmp_path, read_only=True) == block
                held.append(open_local_ledger(url, read_only=True))
        ledger.verify()
    for reader in held:
        reader.verify()
        reader.close()
    assert opened(tmp_path) == 600
    assert {path.name for path in tmp_path.iterdir()} == {"chain.db", LOCK}


def test_a_new_chain_owes_nothing_to_one_that_was_deleted(folder):
    """Who deletes a crashed chain and its log begins anew: the old count is the old chain's."""
    for name in ("chain.db", LOG):
        (folder / name).unlink()
    with open_local_ledger(f"local://{folder}/chain.db", admin=ADMIN.address) as ledger:
        StakeToken(ledger).mint(ADMIN, ADMIN.address, 1)
    assert opened(folder) == 1
