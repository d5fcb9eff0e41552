"""A ledger of your own: everything in memory, one call a block, the contracts' twins execute.

Installed, its entry point makes `open_ledger("memory://name")` work.
"""

import time
from copy import copy

from eth_hash.auto import keccak

from fedledger.errors import LedgerUnavailable, TransactionRefused, UnknownBlock
from fedledger.ledger_plugins.base import Block, CallTerms, Head, Ledger, Receipt
from fedledger.ledger_plugins.local.chain.execution import Execution
from fedledger.ledger_plugins.local.chain.genesis import DEFAULT_DIFFICULTY, Genesis
from fedledger.ledger_plugins.transactions import checked

KEPT = {}  # ledgers live as long as the process


def open_memory_ledger(url, *, admin=None, read_only=False):
    if read_only and url not in KEPT:
        raise LedgerUnavailable(f"there is no chain at {url}")  # L15: nothing is created
    if url not in KEPT:
        genesis = Genesis.new(777, DEFAULT_DIFFICULTY, admin)
        KEPT[url] = MemoryLedger(url, Execution(genesis))
    ledger = copy(KEPT[url])  # another object on the same chain
    ledger.read_only = read_only
    return ledger


class MemoryLedger(Ledger):
    chain_id = 777

    def __init__(self, url, execution):
        self.url = url
        self._execution = execution
        self._blocks = [Block(0, "0x" + "11" * 32, "0x" + "00" * 32, int(time.time()), ())]
        self._calls = {}  # hash to call, in ledger order
        self._events = []

    def head(self):
        newest = self._blocks[-1]
        return Head(newest.index, newest.hash, newest.timestamp)

    def block(self, index):
        if not 0 <= index < len(self._blocks):
            raise UnknownBlock(index, self.head().block)
        return self._blocks[index]

    def contracts(self):
        return self._execution.directory.contracts(self.head().block + 1)

    def nonce(self, address):
        return self._execution.nonce(address)

    def terms(self, contract, function):
        following = self.head().block + 1
        return CallTerms(self.chain_id, self._execution.address_of(contract, function, following))

    def transact(self, transaction):
        self.check_writable()
        transaction = checked(transaction)  # believe the bytes alone: L1
        if transaction.hash in self._calls:
            raise TransactionRefused("replay", transaction.hash)
        head = self.head()
        index, now = head.block + 1, max(head.timestamp, int(time.time()))
        self._execution.enter(index)
        done = self._execution.execute(transaction, seconds=now, block=index, position=0)
        self._execution.keep()
        block_hash = "0x" + keccak(bytes.fromhex(head.hash[2:]) + transaction.raw).hex()
        events = done.sealed(block_hash).events
        self._blocks.append(Block(index, block_hash, head.hash, now, (transaction.hash,)))
        self._calls[transaction.hash] = transaction
        self._events += events
        return Receipt(transaction.hash, index, block_hash, 0, events)

    def call(self, contract, function, *args):
        now = self.head()
        return self._execution.view(
            contract, function, args, seconds=now.timestamp, block=now.block
        )

    def events(self, contract, event=None, *, since=0, until=None):
        self._execution.check_events(contract, event)  # CallError when there is none: L10
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
