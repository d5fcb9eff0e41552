"""Calls that a real Ethereum node takes and no block has: each is its own failure."""

import threading
import time
from dataclasses import replace
from urllib.parse import quote

import pytest
from support.anvil import Anvil

from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins import Receipt, open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.ethereum import deploy

PEOPLE = [Account.create() for _ in range(4)]


@pytest.fixture
def admin():
    return Account.create()


@pytest.fixture
def node(tmp_path):
    """A node that makes a block every two seconds."""
    with Anvil(tmp_path, "--block-time", "2") as node:
        yield node


@pytest.fixture
def url(node, tmp_path, admin):
    """The ledger's URL; PEOPLE have made a call each, so that they have ether."""
    url = f"ethereum+{node.url}?deployment={quote(str(tmp_path / 'deployment.json'))}"
    deploy(url, admin=admin.address)
    with open_ledger(url) as ledger:
        for one in PEOPLE:
            node.rpc("anvil_setBalance", one.address, hex(10**18))
        mint = [
            signed(ledger, admin, "mint", one.address, 9, ahead=n) for n, one in enumerate(PEOPLE)
        ]
        assert all(isinstance(one, Receipt) for one in ledger.transact_all(mint))
    return url


def signed(ledger, account, function, *args, ahead=0, **terms):
    unsigned = UnsignedTransaction(
        replace(ledger.terms("StakeToken", function), **terms),
        ledger.nonce(account.address) + ahead,
        encode_call("StakeToken", function, *args),
    )
    return account.sign(unsigned)


def base_fee(node):
    return int(node.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)


def make_dear(node, fee, calls):
    """Right after a block, let the next one's base fee rise once so many calls wait for it."""

    def run():
        while int(node.rpc("txpool_status")["pending"], 16) < calls:
            time.sleep(0.01)
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))

    newest = node.rpc("eth_blockNumber")
    while node.rpc("eth_blockNumber") == newest:
        time.sleep(0.01)
    threading.Thread(target=run, daemon=True).start()


def test_one_call_of_many_that_no_block_takes(node, url, admin, tmp_path):
    """The others have their receipts; it is given up soon after them, and nobody waits for it."""
    stuck, *others = PEOPLE
    with open_ledger(url + "&wait=90") as ledger:
        fee = base_fee(node)
        calls = [
            signed(
                ledger,
                stuck,
                "transfer",
                admin.address,
                1,
                max_fee_per_gas=fee,
                max_priority_fee_per_gas=0,
            )
        ]
        calls += [
            signed(ledger, one, "transfer", admin.address, 1, max_fee_per_gas=10**4 * fee)
            for one in others
        ]
        make_dear(node, 10**3 * fee, 4)
        began = time.monotonic()
        results = ledger.transact_all(calls)
        assert time.monotonic() - began < 40  # eight blocks, not a minute and a half
        assert [type(one) for one in results] == [LedgerUnavailable, Receipt, Receipt, Receipt]
        assert f"{calls[0].hash} is in no block" in str(results[0])
        began = time.monotonic()
        assert StakeToken(ledger).balance(admin.address) == 3
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
        StakeToken(ledger).mint(admin, admin.address, 1)
        assert time.monotonic() - began < 20
    assert "in no block in time" in (tmp_path / "deployment.outbox").read_text()


def test_an_own_call_that_no_block_takes_holds_up_no_other(node, url, admin):
    """It is an error where it was made, stays in the outbox, and is found once a block has it."""
    with open_ledger(url + "&wait=2") as ledger:
        call = signed(ledger, PEOPLE[0], "transfer", admin.address, 1)
        node.rpc("evm_setIntervalMining", 0)
        with pytest.raises(LedgerUnavailable, match="may still be executed"):
            ledger.transact(call)
        ledger.head()  # looks for it once more, as long as it would wait for a call
        began = time.monotonic()
        for _ in range(20):
            ledger.head()
        assert time.monotonic() - began < 1.5
        node.rpc("evm_setIntervalMining", 1)
        time.sleep(2.5)
        assert StakeToken(ledger).balance(admin.address) == 1
        assert ledger.transaction(call.hash) == call
