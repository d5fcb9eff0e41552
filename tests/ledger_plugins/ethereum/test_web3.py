"""web3 as a second reader: over our transport it says what the ledger says."""

import pytest
from web3 import Web3
from web3.exceptions import TransactionNotFound

from fedledger.effects import Effects
from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.abi import load_abi
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.ethereum.rpc.http import HttpProvider


@pytest.fixture
def web3(anvil):
    provider = HttpProvider(anvil.url, "the node", 5.0, Effects.real().clock)
    yield Web3(provider)
    provider.close()


def test_web3_reads_the_same_chain(node_url, web3):
    """Blocks, receipts, events and views: two libraries, one node, one answer."""
    admin, friend = Account.create(), Account.create()
    deploy(node_url, admin=admin.address)
    with open_ledger(node_url) as ledger:
        receipt = StakeToken(ledger).mint(admin, friend.address, 7)
        address = ledger.terms("StakeToken", "mint").to
        block = ledger.block(receipt.block)
        theirs = web3.eth.get_block(receipt.block)
        assert web3.eth.chain_id == ledger.chain_id
        assert (theirs["hash"].to_0x_hex(), theirs["timestamp"]) == (block.hash, block.timestamp)
        token = web3.eth.contract(address, abi=load_abi("StakeToken"))
        assert token.functions.balanceOf(friend.address).call() == 7
        done = web3.eth.get_transaction_receipt(receipt.transaction)
        [event] = token.events.Transfer().process_receipt(done)
        assert (event["args"]["to"], event["args"]["value"]) == (friend.address, 7)
        with pytest.raises(TransactionNotFound):
            web3.eth.get_transaction("0x" + "12" * 32)


def test_web3_over_this_transport_has_its_limits(web3, anvil):
    """A node that is not there is this library's error, whoever asks."""
    nobody = HttpProvider("http://127.0.0.1:9", "the node", 1.0, Effects.real().clock)
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        _ = Web3(nobody).eth.chain_id
