"""The ledger of this backend: a node, the contracts on its chain, and the calls under way."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from threading import RLock
from typing import Any

from fedledger.errors import CallError, LedgerUnavailable, MalformedTransaction

from ..addresses import checksum_address
from ..base import (
    Block,
    CallResult,
    CallTerms,
    Event,
    Head,
    Inclusion,
    Ledger,
    OnLedger,
    Receipt,
    SignedTransaction,
    UnsignedTransaction,
    having,
)
from ..contracts.abi import (
    decode_result,
    encode_call,
    event_inputs,
    event_topic,
    event_topics,
    is_view,
)
from .deployment.document import Deployment
from .reading import Times, calls_between, index_of, read_block, read_blocks, read_transaction
from .rpc.codec import as_bytes, as_hex, as_int, block_of, error_of, head_of, transaction_of
from .rpc.node import Node, NodeRefusal
from .sending.developers import DEVELOPMENT_CHAINS
from .sending.fees import call_terms, check_contract, fees_now, gas_limit
from .sending.funding import missing, poverty
from .sending.outbox import Outbox
from .sending.sender import Chain, Sender, as_receipt
from .sending.tracking import Tracker
from .url import Settings
from .verifying.chain import headers_between, logs_between, place_of, verify_chain
from .verifying.headers import check_header

__all__ = ["EthereumLedger"]

_HASH = re.compile(r"0x[0-9a-f]{64}")


class EthereumLedger(Ledger):
    """Contracts on an Ethereum chain, opened by `open_ethereum_ledger`; threads may share it.

    Attributes:
        url: the URL that opens it again.
        read_only: whether it refuses transactions.
        deployment: where the contracts are.
    """

    shared = True
    settled_depth = 12

    def __init__(
        self,
        url: str,
        settings: Settings,
        node: Node,
        deployment: Deployment,
        outbox: Outbox,
        *,
        read_only: bool = False,
    ) -> None:
        self.url = url
        self.read_only = read_only
        self.deployment = deployment
        self._settings = settings
        self._node = node
        self._addresses = deployment.addresses
        self._names = {address: name for name, address in self._addresses.items()}
        self._guard = RLock()
        self._closed = False
        chain = Chain(deployment.chain_id, self._names, settings.confirmations, settings.wait)
        self._times = Times(node, self._names)
        self._outbox = outbox
        self._sender = Sender(node, chain, outbox, self._times)
        self._tracker = Tracker(node, self._sender, outbox)
        self._tracker.check()

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id that every transaction on this ledger signs."""
        return self.deployment.chain_id

    @property
    def places(self) -> dict[str, Any] | None:
        """Where the contracts are: a deployment, without what is under way."""
        if self._settings.kind == "tester":
            return None  # its chain ends with this process
        settled = self.deployment.model_copy(update={"under_way": {}})
        return settled.model_dump(mode="json")

    def contracts(self) -> Mapping[str, OnLedger]:
        """Return the contracts that this ledger has, by name, as it was opened."""
        return self.deployment.on_ledger

    def head(self) -> Head:
        """Return the newest block."""
        with self._open() as node:
            self._tracker.check()
            head = head_of(node.ask("eth_getBlockByNumber", "latest", False))
            self._tracker.settle(head.block)
            return head

    def block(self, index: int) -> Block:
        """Return a block; its transactions are everybody's (clause L11).

        Raises:
            UnknownBlock: there is none with this index.
        """
        with self._open() as node:
            self._tracker.check()
            return read_block(node, index)

    def blocks(self, since: int = 0, until: int | None = None) -> Iterator[Block]:
        """Yield blocks in order (clause L11); the node is asked for a hundred at once."""
        newest = self.head().block
        last = newest if until is None else min(until, newest)
        with self._open() as node:
            blocks = read_blocks(node, max(since, 0), last)
        while True:
            with self._open():
                found = next(blocks, None)
            if found is None:
                return
            yield block_of(found)

    def transactions_of(
        self, account: str, *, since: int = 0, until: int | None = None
    ) -> list[Inclusion]:
        """Return where an account's calls are, in ledger order (clause L12).

        No node has an index for this: every block since the contracts were deployed, or since
        `since`, is read whole. `calls_between` says what that costs; give a range on a long chain.
        """
        sender, newest = checksum_address(account), self.head().block
        last = newest if until is None else min(until, newest)
        with self._open() as node:
            first = max(since, self.deployment.block)
            return calls_between(node, sender, self._names, first, last)

    def index_of(self, block_hash: str) -> int | None:
        """Return the index of the block with this hash; None: the chain has none (clause L17)."""
        if not _HASH.fullmatch(block_hash):
            return None
        with self._open() as node:
            return index_of(node, block_hash)

    def headers(self, since: int, until: int) -> list[bytes]:
        """Return the headers of blocks `since` to `until`, recomputed (clause L17)."""
        with self._open() as node:
            return headers_between(node, since, until)

    @cached_property
    def header_form(self) -> str:
        """How its headers are hashed: "ethereum", or "" where this chain does it in its own way."""
        with self._open() as node:
            newest = node.ask("eth_getBlockByNumber", "latest", False)
        return "" if check_header(as_int(newest["number"]), newest) else "ethereum"

    def nonce(self, address: str) -> int:
        """Return the nonce the next transaction of `address` must carry, after what waits."""
        with self._open() as node:
            checked = checksum_address(address)
            self._tracker.check()
            return as_int(node.ask("eth_getTransactionCount", checked, "pending"))

    def terms(self, contract: str, function: str) -> CallTerms:
        """Return what signing a call of `function` needs, whatever its arguments will be.

        Raises:
            CallError: unknown contract or function.
            LedgerUnavailable: the base fee is above the cap of the URL.
        """
        return self._terms(contract, function, None)

    def shortage(self, account: str, terms: CallTerms) -> str:
        """Say what an account lacks for a call; "": nothing, or the node gives it away.

        Args:
            account: its address.
            terms: the call's.
        """
        needs = {account: terms.gas * terms.max_fee_per_gas}
        with self._open() as node:
            poor = {} if self.chain_id in DEVELOPMENT_CHAINS else missing(node, needs)
        return poverty(account, poor[account], needs[account], self.chain_id) if poor else ""

    def prepare(self, sender: str, contract: str, function: str, *args: Any) -> UnsignedTransaction:
        """Return the transaction to sign; its gas limit follows from the arguments."""
        check_contract(contract, None, self._addresses)
        data = encode_call(contract, function, *args)
        terms = self._terms(contract, function, args)
        return UnsignedTransaction(terms, self.nonce(sender), data)

    def transact(self, transaction: SignedTransaction) -> Receipt:
        """Execute a signed call; when this returns, a block has it, with enough blocks on it.

        A call that would fail is not sent. One that LedgerUnavailable left open may be given again;
        the outbox has it.
        """
        (result,) = self._transact([transaction])
        return as_receipt(result)

    def transact_all(self, transactions: Sequence[SignedTransaction]) -> list[CallResult]:
        """Execute calls in order, many on the way at once.

        One that no block took in time is let go: the outbox forgets it, and it stops nobody else.

        Raises:
            LedgerUnavailable: the node is gone.
            TransactionsLost: a reorganisation took earlier calls away.
        """
        results = self._transact(transactions)
        late = [
            (one.hash, "in no block in time")
            for one, result in zip(transactions, results, strict=True)
            if isinstance(result, LedgerUnavailable)
        ]
        with self._open():
            self._outbox.end(late)
        return results

    def call(self, contract: str, function: str, *args: Any) -> Any:
        """Return a view's result on the newest block."""
        check_contract(contract, None, self._addresses)
        data = encode_call(contract, function, *args)
        if not is_view(contract, function):
            raise CallError(f"{contract}.{function} is no view: send it as a transaction")
        with self._open() as node:
            self._tracker.check()
            question = {"to": self._addresses[contract], "data": as_hex(data)}
            try:
                answer = as_bytes(node.ask("eth_call", question, "latest"))
            except NodeRefusal as error:
                if not error.data:
                    raise
                raise error_of(contract, error.data, self._addresses) from error
        return decode_result(contract, function, answer)

    def events(
        self, contract: str, event: str | None = None, *, since: int = 0, until: int | None = None
    ) -> list[Event]:
        """Return a contract's events in ledger order (clause L4).

        Raises:
            CallError: unknown contract or event.
        """
        check_contract(contract, None, self._addresses)
        topics: list[Any] = []
        if event is not None:
            event_inputs(contract, event)
            topics = [as_hex(event_topic(contract, event))]
        return self._events(contract, topics, since, until)

    def matching(
        self,
        contract: str,
        event: str,
        equal: Mapping[str, Any],
        *,
        since: int = 0,
        until: int | None = None,
    ) -> list[Event]:
        """Return the events whose arguments have given values; the node looks for the indexed ones.

        Raises:
            CallError: unknown contract or event, or values that are not the ABI's.
        """
        check_contract(contract, None, self._addresses)
        topics = [_topic(one) for one in event_topics(contract, event, equal)]
        return having(self._events(contract, topics, since, until), equal)

    def transaction(self, transaction: str) -> SignedTransaction:
        """Return the call with this hash, its bytes put together again; KeyError: there is none."""
        with self._open() as node:
            found = read_transaction(node, transaction, self._times.place_of(transaction))
        try:
            signed = transaction_of(found)
        except MalformedTransaction as error:
            if self._times.place_of(transaction) is None:
                raise KeyError(f"transaction {transaction} is no call of a contract") from error
            raise LedgerUnavailable(
                f"{transaction} logged something, but what {self._node.where} sends as it is no "
                f"call of a contract: {error}"
            ) from error
        if signed.hash != transaction.lower():
            raise LedgerUnavailable(
                f"{self._node.where} sent {signed.hash} when asked for {transaction}"
            )
        return signed

    def receipt(self, transaction: str) -> Receipt:
        """Return where a call that took effect is, and its events; KeyError when there is none."""
        with self._open() as node:
            found = node.ask("eth_getTransactionReceipt", transaction)
            if found is None or not as_int(found["status"]):
                raise KeyError(f"no call {transaction} took effect")
            (receipt,) = self._times.receipts([found])
        if receipt.transaction != transaction.lower():
            raise LedgerUnavailable(
                f"{self._node.where} sent the receipt of {receipt.transaction} when asked for "
                f"that of {transaction}"
            )
        return receipt

    def verify(self) -> str | None:
        """Check headers, logs, receipts and the contracts' code since the deployment.

        Returns:
            None, or which hashes cannot be recomputed because the chain makes them in another way.

        Raises:
            ChainCorrupted: with the first block that does not verify.
        """
        with self._open() as node:
            self._tracker.check()
            return verify_chain(node, self.deployment)

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        with self._guard:
            self._closed = True
            self._node.close()

    def _events(
        self, contract: str, topics: list[Any], since: int, until: int | None
    ) -> list[Event]:
        with self._open() as node:
            self._tracker.check()
            newest = as_int(node.ask("eth_getBlockByNumber", "latest", False)["number"])
            last = newest if until is None else min(until, newest)
            first = max(since, self.deployment.block)
            address = self._addresses[contract]
            logs = logs_between(node, [address], first, last, topics)
            _check_asked(node, logs, address, range(first, last + 1), topics)
            return self._times.events(logs)

    def _transact(self, transactions: Sequence[SignedTransaction]) -> list[CallResult]:
        self.check_writable()
        with self._open():
            self._tracker.check()
            results = self._sender.send_all(transactions)
            self._tracker.settle(max((one.block for one in _receipts(results)), default=0))
            return results

    def _terms(self, contract: str, function: str, args: Sequence[Any] | None) -> CallTerms:
        check_contract(contract, function, self._addresses)
        with self._open() as node:
            block, fees = fees_now(node, self._settings)
        gas = gas_limit(contract, function, args)
        return call_terms(self.chain_id, self._addresses[contract], gas, block, fees)

    @contextmanager
    def _open(self) -> Iterator[Node]:
        with self._guard:
            if self._closed:
                raise LedgerUnavailable("this ledger was closed")
            yield self._node


def _check_asked(
    node: Node,
    logs: Sequence[Mapping[str, Any]],
    address: str,
    blocks: range,
    topics: Sequence[Any],
) -> None:
    """Refuse logs of another contract, block or event than asked for, and one that is there twice.

    What else a node can lie about in a log, `verify` finds.
    """
    for log in logs:
        found = log["topics"]
        if (
            log["address"].lower() != address.lower()
            or as_int(log["blockNumber"]) not in blocks
            or (topics and (not found or found[0].lower() != topics[0]))
        ):
            raise LedgerUnavailable(
                f"{node.where} sent a log of {log['address']} in block "
                f"{as_int(log['blockNumber'])} that nobody asked for"
            )
    for before, log in pairwise(logs):
        if place_of(before) == place_of(log):
            raise LedgerUnavailable(
                f"{node.where} sent the log {place_of(log)[1]} of block {place_of(log)[0]} twice"
            )


def _topic(wanted: bytes | list[bytes] | None) -> Any:
    """Return a topic as a node is asked for it: one of a list, or any where there is None."""
    if isinstance(wanted, list):
        return [as_hex(one) for one in wanted]
    return None if wanted is None else as_hex(wanted)


def _receipts(results: Sequence[CallResult]) -> list[Receipt]:
    return [one for one in results if isinstance(one, Receipt)]
