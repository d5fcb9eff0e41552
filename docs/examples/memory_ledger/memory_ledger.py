"""A ledger of your own: everything in memory, one call a block, the contracts' twins execute.

Installed, its entry point makes `open_ledger("memory://name")` work.
"""

import time

from eth_hash.auto import keccak

from fedledger.errors import CallError, TransactionRefused
from fedledger.ledger_plugins.base import CallTerms, Head, Ledger, Receipt
from fedledger.ledger_plugins.contracts.abi import event_inputs
from fedledger.ledger_plugins.contracts.twins import TWINS
from fedledger.ledger_plugins.local.execution import Execution
from fedledger.ledger_plugins.local.genesis import DEFAULT_DIFFICULTY, Genesis
from fedledger.ledger_plugins.transactions import checked

KEPT = {}  # ledgers live as long as the process


def open_memory_ledger(url, *, admin=None):
    if url not in KEPT:
        genesis = Genesis(777, DEFAULT_DIFFICULTY, admin, tuple(sorted(TWINS)))
        KEPT[url] = MemoryLedger(url, Execution(genesis))
    return KEPT[url]


class MemoryLedger(Ledger):
    chain_id = 777

    def __init__(self, url, execution):
        self.url = url
        self._execution = execution
        self._blocks = [Head(0, "0x" + "00" * 32, int(time.time()))]
        self._calls = {}  # hash to call, in ledger order
        self._events = []

    def head(self):
        return self._blocks[-1]

    def nonce(self, address):
        return self._execution.nonce(address)

    def terms(self, contract, function):
        return CallTerms(self.chain_id, self._execution.address_of(contract, function))

    def transact(self, transaction):
        transaction = checked(transaction)  # believe the bytes alone: L1
        if transaction.hash in self._calls:
            raise TransactionRefused("replay", transaction.hash)
        index, now = self.head().block + 1, max(self.head().timestamp, int(time.time()))
        done = self._execution.execute(transaction, seconds=now, block=index, position=0)
        self._execution.keep()
        chained = bytes.fromhex(self.head().hash[2:]) + transaction.raw
        block_hash = "0x" + keccak(chained).hex()
        self._blocks.append(Head(index, block_hash, now))
        self._calls[transaction.hash] = transaction
        self._events += done.events
        return Receipt(transaction.hash, index, block_hash, 0, done.events)

    def call(self, contract, function, *args):
        now = self.head()
        return self._execution.view(
            contract, function, args, seconds=now.timestamp, block=now.block
        )

    def events(self, contract, event=None, *, since=0, until=None):
        if contract not in TWINS:
            raise CallError(f"unknown contract {contract!r}")
        if event is not None:
            event_inputs(contract, event)  # CallError when the contract has no such event: L10
        last = self.head().block if until is None else until
        return [
            one
            for one in self._events
            if one.contract == contract and event in (None, one.name) and since <= one.block <= last
        ]

    def transaction(self, transaction):
        return self._calls[transaction]

    def verify(self):
        """Nothing to check: the objects in memory are the ledger."""

    def close(self):
        """Nothing to close."""
