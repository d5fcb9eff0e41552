"""The chain's file: whatever byte is damaged, opening finds it and names a block."""

import os
import random

import apsw
import pytest

from fedledger.errors import ChainCorrupted
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.local import open_local_ledger

ADMIN = Account.from_key(b"\1" * 32)
PAGE = 4096
SIZES = (1, 6, 30, 1, 2, 12, 9, 9, 9)
"""Transactions of the blocks: some share a page, some need several."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The bytes of a small chain's file, with blocks above and below the size of a page."""
    path = tmp_path_factory.mktemp("original") / "chain.db"
    with open_local_ledger(f"local://{path}", admin=ADMIN.address, chain_id=5) as ledger:
        nonce = 0
        for size in SIZES:
            data = encode_call("StakeToken", "mint", ADMIN.address, 1)
            terms = ledger.terms("StakeToken", "mint")
            ledger.transact_all(
                [
                    ADMIN.sign(UnsignedTransaction(terms, nonce + ahead, data))
                    for ahead in range(size)
                ]
            )
            nonce += size
    return path.read_bytes()


@pytest.fixture
def path(tmp_path, original):
    path = tmp_path / "chain.db"
    path.write_bytes(original)
    return path


def opened(path, **options) -> ChainCorrupted | None:
    """Open a file; return what was found, if anything. Any other error is the test's failure."""
    try:
        with open_local_ledger(f"local://{path}", create=False, **options) as ledger:
            assert ledger.head().block == len(SIZES)
            return None
    except ChainCorrupted as error:
        return error


def test_the_untouched_file_opens(path):
    """The file that the other tests damage is a valid chain."""
    assert opened(path) is None
    assert opened(path, read_only=True) is None


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.soak)])
def test_every_flipped_byte_is_found(path, original, step, record_property):
    """Each byte of the file, one bit or all of them flipped: ChainCorrupted, always.

    The short form flips every 29th byte, from a place of its own in each run.
    """
    generator = random.Random()
    start = generator.randrange(step)
    missed, blocks = [], set()
    with path.open("r+b", buffering=0) as file:
        descriptor = file.fileno()
        for position in range(start, len(original), step):
            byte = original[position]
            flipped = byte ^ (0xFF if position % 2 else 1 << generator.randrange(8))
            os.pwrite(descriptor, bytes([flipped]), position)
            found = opened(path, read_only=position % 16 > 0)
            if found is None:
                missed.append(position)
            else:
                blocks.add(found.block)
            os.pwrite(descriptor, bytes([byte]), position)
    assert missed == []
    assert 0 in blocks
    assert len(blocks) > 3  # each error names the block that does not verify
    assert opened(path) is None
    record_property("bytes", len(original))


def test_every_bit_of_the_header_is_found(path, original):
    """The first 100 bytes turn the checksums on: each of their bits is covered all the same."""
    for position in range(100):
        for bit in range(8):
            damaged = bytearray(original)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            found = opened(path, read_only=True)
            assert found is not None, (position, bit)
            assert found.block == 0


def test_a_file_that_is_cut_is_found(path, original):
    """A file cut anywhere, at a page's end or inside, down to nothing, is damaged."""
    cuts = {0, 1, 99, 100, 511, 512, len(original) - 1, *range(PAGE, len(original), PAGE)}
    for cut in sorted(cuts):
        path.write_bytes(original[:cut])
        assert opened(path) is not None, cut


def test_what_is_appended_is_found(path, original):
    """A byte, a page of zeros or a copy of a page behind the end is damage."""
    for junk in (b"\0", b"x" * 100, bytes(PAGE), original[-PAGE:], bytes(PAGE * 3)):
        path.write_bytes(original + junk)
        assert opened(path) is not None, len(junk)


def test_swapped_and_repeated_pages_are_found(path, original):
    """Pages with right checksums in wrong places are damage."""
    pages = [original[at : at + PAGE] for at in range(0, len(original), PAGE)]
    assert len(pages) >= 4
    for first in range(len(pages)):
        for second in range(len(pages)):
            if pages[first] == pages[second]:
                continue
            wrong = list(pages)
            wrong[first] = pages[second]
            path.write_bytes(b"".join(wrong))
            assert opened(path, read_only=True) is not None, (first, second)


def test_a_damaged_page_names_the_first_block_that_cannot_be_read(path):
    """The number in the error is that of the block whose bytes were damaged."""
    connection = apsw.Connection(str(path), vfs="cksmvfs")
    for index, data in connection.execute("SELECT position, data FROM block").fetchall():
        changed = bytearray(data)
        changed[len(data) // 2] ^= 1
        connection.execute("UPDATE block SET data = ? WHERE position = ?", (changed, index))
        found = opened(path, read_only=True)
        assert found is not None
        assert found.block == index
        connection.execute("UPDATE block SET data = ? WHERE position = ?", (data, index))
    connection.close()
    assert opened(path) is None


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM block WHERE position = 0",
        "DELETE FROM block WHERE position = 2",
        "DELETE FROM block WHERE position = 9",
        "DELETE FROM block",
        "INSERT INTO block SELECT 19, data FROM block WHERE position = 5",
        "INSERT INTO block SELECT 10, data FROM block WHERE position = 5",
        "INSERT INTO block SELECT -1, data FROM block WHERE position = 5",
        "UPDATE block SET position = 17 WHERE position = 3",
        "CREATE TABLE other (a)",
        "CREATE INDEX by_data ON block (data)",
        "CREATE TRIGGER late AFTER INSERT ON block BEGIN DELETE FROM block; END",
        "ALTER TABLE block RENAME TO brick",
        "PRAGMA application_id = 1",
    ],
)
def test_changes_made_with_sqlite_are_found(path, statement):
    """Rows, tables and settings changed with right checksums are damage all the same."""
    connection = apsw.Connection(str(path), vfs="cksmvfs")
    connection.execute(statement).fetchall()
    connection.close()
    assert opened(path) is not None


@pytest.mark.parametrize("content", [b"", b"hello", os.urandom(PAGE * 3), bytes(PAGE * 3)])
def test_a_file_that_is_no_chain_is_left_alone(tmp_path, content):
    """A foreign file is reported and not overwritten."""
    path = tmp_path / "chain.db"
    path.write_bytes(content)
    with pytest.raises(ChainCorrupted) as caught:
        open_local_ledger(f"local://{path}")
    assert caught.value.block == 0
    assert path.read_bytes() == content


def test_another_database_is_left_alone(tmp_path):
    """Somebody else's SQLite file is reported and not written to."""
    path = tmp_path / "chain.db"
    connection = apsw.Connection(str(path), vfs="unix")
    connection.execute(
        "CREATE TABLE block (position INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT"
    )
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ChainCorrupted):
        open_local_ledger(f"local://{path}")
    assert path.read_bytes() == before


def test_the_default_vfs_stays(path):
    """Other databases of the process do not get the checksum VFS."""
    assert opened(path) is None
    assert apsw.vfs_names()[0] != "cksmvfs"
