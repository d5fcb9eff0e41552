"""The embedded ledger: opening, locks, blocks, time, batches, threads."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import apsw
import pytest

from fedledger.errors import (
    CallError,
    ChainCorrupted,
    ConfigError,
    ContractError,
    LedgerUnavailable,
    TransactionRefused,
)
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Receipt, UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.contracts.stake_token.twin import StakeToken as StakeTokenTwin
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.local.chain import chain as chain_module
from fedledger.ledger_plugins.local.chain.block import check_link, check_seal

ADMIN = Account.from_key(b"\1" * 32)


@pytest.fixture
def url(tmp_path):
    return f"local://{tmp_path}/chain.db"


@pytest.fixture
def ledger(url):
    with open_local_ledger(url, admin=ADMIN.address) as ledger:
        yield ledger


def mint(ledger, amount=1, *, ahead=0, account=ADMIN):
    """Sign a mint, `ahead` calls after the account's next one."""
    return account.sign(
        UnsignedTransaction(
            ledger.terms("StakeToken", "mint"),
            ledger.nonce(account.address) + ahead,
            encode_call("StakeToken", "mint", account.address, amount),
        )
    )


@pytest.mark.parametrize(
    "url",
    [
        "local://relative/chain.db",
        "local:chain.db",
        "local:///",
        "local:///folder/",
        "local:///srv/chain.db?mode=fast",
        "local:///srv/chain.db#1",
        "local:///srv/ch%00ain.db",
        "file:///tmp/chain.db",
        "/srv/chain.db",
    ],
)
def test_only_absolute_local_urls_open(url):
    """A URL that names no absolute path of a file is a ConfigError, before anything is made."""
    with pytest.raises(ConfigError):
        open_local_ledger(url)


def test_the_url_opens_it_again(tmp_path):
    """`url` names the same file, also where its name needs escaping."""
    odd = tmp_path / "a chain #1 100%.db"
    with open_local_ledger("local://" + str(odd).replace("%", "%25").replace("#", "%23")) as ledger:
        chain_id = ledger.chain_id
        url = ledger.url
    assert odd.exists()
    with open_local_ledger(url, create=False) as again:
        assert again.chain_id == chain_id


def test_parameters_are_fixed_when_the_chain_is_made(url):
    """Opening with other parameters than the chain was made with is a ConfigError."""
    with open_local_ledger(url, admin=ADMIN.address, chain_id=5, difficulty=2**252) as ledger:
        assert (ledger.chain_id, ledger.genesis.difficulty) == (5, 2**252)
        assert ledger.genesis.admin == ADMIN.address
    with open_local_ledger(url):
        pass
    for other in ({"chain_id": 6}, {"difficulty": 2**251}, {"admin": "0x" + "22" * 20}):
        with pytest.raises(ConfigError):
            open_local_ledger(url, **other)
    with open_local_ledger(url, admin=ADMIN.address.lower(), chain_id=5):
        pass


@pytest.mark.parametrize(
    "wrong", [{"chain_id": 0}, {"difficulty": 1}, {"admin": "nobody"}, {"admin": "0x" + "A" * 40}]
)
def test_wrong_parameters_make_no_file(url, tmp_path, wrong):
    """Parameters out of range are refused, and no chain is made."""
    with pytest.raises((ConfigError, CallError)):
        open_local_ledger(url, **wrong)
    assert not (tmp_path / "chain.db").exists()


def test_chain_ids_are_drawn(tmp_path):
    """Two chains made without an id do not share one, so their transactions cannot be swapped."""
    ids = set()
    for name in "ab":
        with open_local_ledger(f"local://{tmp_path}/{name}") as ledger:
            ids.add(ledger.chain_id)
    assert len(ids) == 2
    assert all(2**47 <= one < 2**48 for one in ids)


def test_nothing_to_open(url, tmp_path):
    """Without a chain, `create=False` and `read_only` are LedgerUnavailable and make nothing."""
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(LedgerUnavailable, match="no chain"):
            open_local_ledger(url, **options)
    assert not (tmp_path / "chain.db").exists()
    with pytest.raises(LedgerUnavailable):
        open_local_ledger(f"local://{tmp_path}/missing/chain.db")


def test_leftovers_of_a_creation_that_was_killed(url, tmp_path):
    """A draft file of a process that died while it made the chain is cleared away."""
    (tmp_path / "chain.db.new").write_bytes(b"half a file")
    for journal in ("journal", "wal"):
        (tmp_path / f"chain.db.new-{journal}").write_bytes(b"half a journal")
    with open_local_ledger(url) as ledger:
        assert ledger.head().block == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain.db", "chain.db.lock"]


@pytest.mark.parametrize("journal", ["chain.db-journal", "chain.db-wal"])
def test_a_journal_without_its_chain_is_not_applied_to_another(url, tmp_path, journal):
    """A new chain is not made beside a journal that SQLite would apply to it."""
    (tmp_path / journal).write_bytes(b"of another chain")
    with pytest.raises(LedgerUnavailable, match=f"{journal} belongs to a chain that is not there"):
        open_local_ledger(url)


def test_one_object_writes(ledger, url):
    """A second writer is refused and told who has the lock; after `close` it may."""
    with pytest.raises(LedgerUnavailable, match=f"process {os.getpid()} "):
        open_local_ledger(url)
    ledger.close()
    ledger.close()
    with open_local_ledger(url):
        pass


def test_one_process_writes(ledger, url):
    """Another process is refused too, reads meanwhile, and may write when the first has died."""
    program = (
        "import sys; from fedledger.ledger_plugins.local import open_local_ledger as o\n"
        "from fedledger.errors import LedgerUnavailable\n"
        "try: o(sys.argv[1])\n"
        "except LedgerUnavailable as e: print(e)\n"
        "print(o(sys.argv[1], read_only=True).head().block)"
    )
    ledger.transact(mint(ledger))
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, check=True
    )
    said, block = done.stdout.splitlines()
    assert f"process {os.getpid()} " in said
    assert block == "1"


def test_reading_while_another_writes(ledger, url):
    """A read-only ledger needs no lock, shows one moment of the chain, and refuses to write."""
    ledger.transact(mint(ledger))
    with open_local_ledger(url, read_only=True) as reader:
        ledger.transact(later := mint(ledger))
        assert reader.head().block == 1
        assert StakeToken(reader).total_supply() == 1
        assert len(reader.events("StakeToken")) == 1
        reader.verify()
        with pytest.raises(KeyError):
            reader.full_block(2)
        with pytest.raises(KeyError):
            reader.transaction(later.hash)
        with pytest.raises(LedgerUnavailable, match="read only"):
            reader.transact(mint(ledger))
        assert ledger.head().block == 2


def test_blocks_are_those_of_fig_2(ledger):
    """Each transaction is in a block that follows the one before by equations (4) and (5)."""
    sent = [mint(ledger, amount, ahead=amount) for amount in range(3)]
    receipts = [ledger.transact(one) for one in sent]
    blocks = list(ledger.full_blocks())
    assert [block.header.index for block in blocks] == [0, 1, 2, 3]
    for parent, block in pairwise(blocks):
        check_link(block, parent.header)
        check_seal(block, ledger.genesis.difficulty)
    assert [block.transactions for block in blocks[1:]] == [(one.raw,) for one in sent]
    assert ["0x" + block.header.hash.hex() for block in blocks[1:]] == [
        receipt.block_hash for receipt in receipts
    ]
    assert ledger.full_block(2) == blocks[2]
    assert ledger.head().hash == receipts[-1].block_hash
    for missing in (-1, 4):
        with pytest.raises(KeyError):
            ledger.full_block(missing)


def test_time_goes_on_when_the_clock_goes_back(url):
    """L5: a clock behind the head gives the head's time and a millisecond."""
    times = iter([1_000.0, 1_002.5, 900.0, 1_002.5, 1_003.7])
    with open_local_ledger(url, admin=ADMIN.address, clock=lambda: next(times)) as ledger:
        seen = [ledger.head().timestamp]
        for _ in range(4):
            ledger.transact(mint(ledger))
            seen.append(ledger.head().timestamp)
        assert seen == [1_000, 1_002, 1_002, 1_002, 1_003]
        stamps = [block.header.timestamp for block in ledger.full_blocks()]
        assert stamps == [1_000_000, 1_002_500, 1_002_501, 1_002_502, 1_003_700]


def test_a_batch_is_one_block(ledger):
    """All calls of a batch that succeed share a block; a batch that fails makes none."""
    stranger = Account.create()
    results = ledger.transact_all(
        [
            mint(ledger),
            mint(ledger, account=stranger),
            mint(ledger, ahead=7),
            mint(ledger, ahead=1),
            mint(ledger, ahead=1),
        ]
    )
    kinds = [type(result) for result in results]
    assert kinds == [Receipt, ContractError, TransactionRefused, Receipt, TransactionRefused]
    assert [(r.block, r.position) for r in results if isinstance(r, Receipt)] == [(1, 0), (1, 1)]
    assert [r.reason for r in results if isinstance(r, TransactionRefused)] == ["nonce", "replay"]
    assert len(ledger.full_block(1).transactions) == 2
    ledger.transact_all([mint(ledger, account=stranger)])
    assert ledger.transact_all([]) == []
    assert ledger.head().block == 1
    assert ledger.nonce(stranger.address) == 0


def test_a_batch_above_the_bound_becomes_several_blocks(ledger, monkeypatch):
    """L9: more calls than a block may hold go into the next ones, in order."""
    monkeypatch.setattr(chain_module, "MAX_BLOCK_TRANSACTIONS", 2)
    results = ledger.transact_all([mint(ledger, ahead=ahead) for ahead in range(5)])
    assert [(one.block, one.position) for one in results] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
        (3, 0),
    ]
    assert StakeToken(ledger).total_supply() == 5


def test_too_large_a_call_is_refused_and_the_batch_goes_on(ledger):
    """L9: an envelope above the bound is refused, and does not keep a batch from its end."""
    signed = mint(ledger)
    results = ledger.transact_all([replace(signed, raw=bytes(5_000_000)), signed])
    assert [type(result) for result in results] == [TransactionRefused, Receipt]


def test_a_bug_in_a_contract_refuses_the_call_and_says_so(ledger, monkeypatch):
    """L2: an unexpected exception is a refusal with its cause; the rest of the batch goes on."""
    batch = [mint(ledger, ahead=ahead) for ahead in range(2)]
    original = StakeTokenTwin.mint

    def breaks(self, to, amount):
        original(self, to, amount)
        if self.state["supply",] > 1:
            raise ZeroDivisionError

    monkeypatch.setattr(StakeTokenTwin, "mint", breaks)
    first, second = ledger.transact_all(batch)
    monkeypatch.undo()
    assert isinstance(first, Receipt)
    assert (second.reason, type(second.__cause__)) == ("contract", ZeroDivisionError)
    assert (ledger.head().block, StakeToken(ledger).total_supply()) == (1, 1)
    ledger.verify()


def test_a_failed_write_is_not_acknowledged(ledger, url, monkeypatch):
    """L6: when the disk refuses, nobody gets a receipt, and the ledger has to be opened again."""
    ledger.transact(mint(ledger))
    signed = mint(ledger)

    def full(*_):
        raise LedgerUnavailable("disk full")

    monkeypatch.setattr(ledger._file, "append", full)
    with pytest.raises(LedgerUnavailable, match="disk full"):
        ledger.transact(signed)
    with pytest.raises(LedgerUnavailable, match="open it again"):
        ledger.head()
    with open_local_ledger(url) as again:
        assert StakeToken(again).total_supply() == 1
        again.transact(signed)


def test_a_closed_ledger_says_so(ledger):
    """After `close` every method is LedgerUnavailable."""
    signed = mint(ledger)
    ledger.close()
    for attempt in (
        ledger.head,
        ledger.verify,
        lambda: ledger.nonce(ADMIN.address),
        lambda: ledger.transact(signed),
        lambda: ledger.call("StakeToken", "totalSupply"),
        lambda: ledger.events("StakeToken"),
        lambda: ledger.full_block(0),
    ):
        with pytest.raises(LedgerUnavailable, match="closed"):
            attempt()


def test_threads_share_a_ledger(ledger):
    """Threads that send, read and verify at once lose nothing and see no half block."""
    accounts = [Account.from_key(bytes([key]) * 32) for key in range(10, 14)]
    token = StakeToken(ledger)
    for account in accounts:
        token.mint(ADMIN, account.address, 20)

    def work(account):
        for _ in range(20):
            token.transfer(account, ADMIN.address, 1)
            assert token.total_supply() == 80
            assert sum(token.balance(one.address) for one in (ADMIN, *accounts)) <= 80
        ledger.verify()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, accounts))
    assert token.balance(ADMIN.address) == 80
    assert len(token.transfers()) == 84


def test_verify_reads_the_disk(ledger, tmp_path):
    """A block changed on the disk under an open ledger is found by `verify` and by `block`."""
    for _ in range(3):
        ledger.transact(mint(ledger))
    ledger.verify()
    connection = apsw.Connection(str(tmp_path / "chain.db"), vfs="cksmvfs")
    data: bytes = connection.execute("SELECT data FROM block WHERE position = 2").get
    connection.execute("UPDATE block SET data = ? WHERE position = 2", (data[:-1] + b"\7",))
    with pytest.raises(ChainCorrupted) as caught:
        ledger.verify()
    assert caught.value.block == 2
    with pytest.raises(ChainCorrupted):
        ledger.full_block(2)
    connection.execute("UPDATE block SET data = ? WHERE position = 2", (data,))
    ledger.verify()
    connection.execute("DELETE FROM block WHERE position = 3")
    with pytest.raises(ChainCorrupted):
        ledger.verify()
    connection.close()


def test_verify_finds_what_somebody_else_wrote(ledger, tmp_path):
    """A valid block that this ledger did not write is reported, and not built upon."""
    with ledger._chain.begin(ledger._chain.head.timestamp + 1) as draft:
        draft.add(mint(ledger))
        foreign = draft.seal()
    connection = apsw.Connection(str(tmp_path / "chain.db"), vfs="cksmvfs")
    connection.execute("INSERT INTO block VALUES (1, ?)", (foreign.encode(),))
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(ChainCorrupted, match="somebody else"):
        ledger.verify()
    with pytest.raises(LedgerUnavailable):
        ledger.transact(mint(ledger))
