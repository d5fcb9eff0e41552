"""Reading a chain whose node is a moment behind itself, or changes its mind meanwhile."""

import secrets

import pytest

from fedledger.errors import ChainCorrupted, ContractError, LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.ethereum.rpc.node import Node
from fedledger.ledger_plugins.ethereum.rpc.tester import local_node
from fedledger.ledger_plugins.ethereum.sending.sender import Sender


@pytest.fixture
def ledger():
    with open_ledger(f"ethereum+tester://{secrets.token_hex(8)}") as opened:
        yield opened


@pytest.mark.parametrize("has_receipt", [True, False])
def test_a_transaction_that_still_seems_to_wait(ledger, monkeypatch, has_receipt):
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
    receipt = StakeToken(ledger).transfer(account, account.address, 0)
    signed = ledger.transaction(receipt.transaction)
    monkeypatch.setattr(Node, "ask", behind)
    if has_receipt:
        assert ledger.transaction(receipt.transaction) == signed
    else:
        with pytest.raises(KeyError, match="no transaction"):
            ledger.transaction(receipt.transaction)


def altered(monkeypatch, method, change):
    """Let `change` alter the results of a method when many are asked for at once."""
    results = Node.results

    def changed(self, requests):
        answers = results(self, requests)
        return [
            change(answer) if name == method else answer
            for (name, _), answer in zip(requests, answers, strict=True)
        ]

    monkeypatch.setattr(Node, "results", changed)


def test_events_are_read_once_a_block(ledger, monkeypatch):
    """A block's header is asked for once and then known; a node that says times is not asked."""
    account, token = Account.create(), StakeToken(ledger)
    token.transfer(account, account.address, 0)
    asked = []
    results = Node.results

    def counted(self, requests):
        asked.append(requests)
        return results(self, requests)

    monkeypatch.setattr(Node, "results", counted)
    ledger._times._known.clear()
    first = ledger.events("StakeToken")
    assert ledger.events("StakeToken") == first
    assert [len(one) for one in asked] == [len({event.block for event in first}), 0]
    logs = local_node(ledger._settings.address)._eth_getLogs
    monkeypatch.setattr(
        local_node(ledger._settings.address),
        "_eth_getLogs",
        lambda wanted: [{**log, "blockTimestamp": "0x7"} for log in logs(wanted)],
    )
    assert {event.time for event in ledger.events("StakeToken")} == {7}
    with pytest.raises(ChainCorrupted, match="another time than its header"):
        ledger.verify()


def test_a_block_that_is_replaced_while_it_is_read_gives_no_event(ledger, monkeypatch):
    """A header, receipt or next block of another branch: nothing is mixed, LedgerUnavailable."""
    account, token = Account.create(), StakeToken(ledger)
    token.transfer(account, account.address, 0)
    other = {"hash": "0x" + "11" * 32, "parentHash": "0x" + "22" * 32}
    with monkeypatch.context() as patched:
        altered(patched, "eth_getBlockByNumber", lambda block: {**block, **other})
        ledger._times._known.clear()
        with pytest.raises(LedgerUnavailable, match="replaced block"):
            ledger.events("StakeToken")
        with pytest.raises(LedgerUnavailable, match="replaced blocks before 1"):
            list(ledger.blocks())
    altered(monkeypatch, "eth_getTransactionReceipt", lambda _: None)
    with pytest.raises(LedgerUnavailable, match="replaced block"):
        ledger.transactions_of(account.address)


def test_a_call_that_failed_in_its_block_is_none(ledger, monkeypatch):
    """A block may hold a call that reverted; it changed nothing and is not listed (clause L12)."""
    account, token = Account.create(), StakeToken(ledger)
    receipt = token.transfer(account, account.address, 0)
    with monkeypatch.context() as patched:  # as if the state had changed after the question
        patched.setattr(Sender, "_sort_out", lambda _, calls, __: (calls, []))
        with pytest.raises(ContractError):
            token.transfer(account, account.address, 1)
    assert ledger.nonce(account.address) == 2
    assert len(ledger.block(ledger.head().block).transactions) == 1
    found = ledger.transactions_of(account.address)
    assert [one.transaction for one in found] == [receipt.transaction]
