"""Reading a chain whose node is a moment behind itself."""

import secrets

import pytest

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.ethereum.node import Node


@pytest.mark.parametrize("has_receipt", [True, False])
def test_a_transaction_that_still_seems_to_wait(monkeypatch, has_receipt):
    """A receipt decides whether a call is in a block, as anvil's pool lags behind its blocks."""
    ask = Node.ask

    def behind(self, method, *params, **options):
        if method == "eth_getTransactionReceipt" and not has_receipt:
            return None
        answer = ask(self, method, *params, **options)
        if method == "eth_getTransactionByHash":
            answer = {**answer, "blockNumber": None, "blockHash": None}
        return answer

    account = Account.create()
    with open_ledger(f"ethereum+tester://{secrets.token_hex(8)}") as ledger:
        receipt = StakeToken(ledger).transfer(account, account.address, 0)
        signed = ledger.transaction(receipt.transaction)
        monkeypatch.setattr(Node, "ask", behind)
        if has_receipt:
            assert ledger.transaction(receipt.transaction) == signed
        else:
            with pytest.raises(KeyError, match="no transaction"):
                ledger.transaction(receipt.transaction)
