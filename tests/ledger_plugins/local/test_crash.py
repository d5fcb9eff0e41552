"""`kill -9`: what was acknowledged is on the disk (clause L6)."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.local import open_local_ledger

ADMIN = Account.from_key(b"\1" * 32)

# Mints one token a transaction, alone and in batches of three; says what was acknowledged.
CHILD = """
import sys
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.local import open_local_ledger

admin = Account.from_key(bytes([1]) * 32)
data = encode_call("StakeToken", "mint", admin.address, 1)
with open_local_ledger(sys.argv[1], admin=admin.address) as ledger:
    terms = ledger.terms("StakeToken", "mint")
    print("ready", flush=True)
    while True:
        nonce = ledger.nonce(admin.address)
        batch = [admin.sign(UnsignedTransaction(terms, nonce + n, data)) for n in range(3)]
        receipts = [ledger.transact(batch[0]), *ledger.transact_all(batch[1:])]
        for receipt in receipts:
            print(receipt.transaction, receipt.block, flush=True)
"""


def start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True, bufsize=1
    )


def killed(child: subprocess.Popen[str]) -> list[tuple[str, int]]:
    """Kill the child as `kill -9` does; return all that it had acknowledged."""
    child.kill()
    said, _ = child.communicate()
    whole = said.rpartition("\n")[0].splitlines()  # the last line may be cut off
    lines = [line.split() for line in whole]
    return [(line[0], int(line[1])) for line in lines if len(line) == 2]


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.soak)])
def test_what_was_acknowledged_survives_kill_9(
    tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    """L6: killed at random moments again and again, a chain loses nothing it acknowledged."""
    url = f"local://{tmp_path}/chain.db"
    generator = random.Random()
    known: dict[str, int] = {}
    minted = 0
    for _ in range(kills):
        child = start(url)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(generator.uniform(0, 0.12))
        acknowledged = killed(child)
        known.update(acknowledged)
        with open_local_ledger(url, create=False) as ledger:
            for transaction, block in acknowledged:
                assert ledger.transaction(transaction).raw in ledger.full_block(block).transactions
            supply = StakeToken(ledger).total_supply()
            assert (
                supply == ledger.nonce(ADMIN.address) == StakeToken(ledger).balance(ADMIN.address)
            )
            # Beyond what was printed: the lines still in the pipe's buffer, and one open call.
            assert minted + len(acknowledged) <= supply <= minted + len(acknowledged) + 5
            minted = supply
    assert len(known) > kills
    with open_local_ledger(url, read_only=True) as ledger:
        ledger.verify()
        on_chain = {event.transaction: event.block for event in ledger.events("StakeToken")}
        assert known.items() <= on_chain.items()
    record_property("kills", kills)
    record_property("acknowledged", len(known))


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_a_chain_is_made_completely_or_not_at_all(
    tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    """Killed while it makes a chain, a process leaves a whole chain or none."""
    generator, whole = random.Random(), 0
    for turn in range(kills):
        url = f"local://{tmp_path}/{turn}.db"
        child = start(url)
        while child.poll() is None and not (tmp_path / f"{turn}.db.lock").exists():
            time.sleep(0.0002)
        time.sleep(generator.uniform(0, 0.004))
        killed(child)
        made = (tmp_path / f"{turn}.db").exists()
        try:
            with open_local_ledger(url, create=False) as ledger:
                ledger.verify()
        except LedgerUnavailable:
            assert not made
        with open_local_ledger(url):
            pass
        whole += made
    record_property("kills", kills)
    record_property("chains made", whole)


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    """A killed writer does not keep others from writing, and a live one does."""
    url = f"local://{tmp_path}/chain.db"
    child = start(url)
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(LedgerUnavailable, match=f"process {child.pid} "):
        open_local_ledger(url)
    killed(child)
    with open_local_ledger(url):
        pass


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.soak)])
def test_a_reader_completes_what_a_crash_left(
    tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    """L6: an audit that opens the chain read-only after a crash sees whole blocks, and all."""
    url = f"local://{tmp_path}/chain.db"
    for _ in range(kills):
        child = start(url)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(random.uniform(0, 0.02))
        acknowledged = killed(child)
        assert (tmp_path / "chain.db-wal").exists()
        with open_local_ledger(url, read_only=True) as ledger:
            for transaction, _block in acknowledged:
                ledger.transaction(transaction)
            ledger.verify()
    record_property("kills", kills)
