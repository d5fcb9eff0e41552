"""A node as a ledger: `local+http://HOST:PORT`.

The client keeps a chain of its own in memory. It fetches the node's blocks, checks and executes
every one of them, and answers reads itself; so a node can hide blocks from its client and follow a
branch that others do not, but it cannot make it believe a signature, a balance or an event.
"""

import json
import time
from collections.abc import Sequence
from threading import RLock
from typing import Any

import httpx
from pydantic import ValidationError

from fedledger.errors import (
    ChainCorrupted,
    ConfigError,
    ContractError,
    LedgerError,
    LedgerUnavailable,
    MalformedBlock,
    TransactionRefused,
)

from ...addresses import checksum_address
from ...base import CallTerms, Event, Head, Ledger, Receipt, SignedTransaction
from ...transactions import checked
from ..block import Block
from ..chain import Chain, replay
from ..genesis import Genesis
from .answers import PIECE
from .client import Status, peer_url
from .core import MAX_DRIFT
from .envelope import MAX_ENVELOPE_BYTES, Envelope
from .server import MAX_ANSWER, MAX_LIST
from .view import ChainView
from .wire import error_from_json, unpack

__all__ = ["NodeLedger", "open_node_ledger"]

UNDO = 256
_SECONDS = 15.0
_WAIT = 5.0
_Result = Receipt | ContractError | TransactionRefused


def open_node_ledger(
    url: str,
    *,
    admin: str | None = None,
    chain_id: int | None = None,
    patience: float = 120.0,
) -> "NodeLedger":
    """Open the ledger that a node serves; its whole chain is fetched and verified first.

    Args:
        url: "local+http://HOST:PORT".
        admin: refuse a chain that was made with another admin.
        chain_id: refuse a chain with another id.
        patience: seconds that `transact` waits until a transaction is in a block.

    Raises:
        ConfigError: the URL is wrong, or the chain is another one.
        LedgerUnavailable: no node answers.
        ChainCorrupted: what it serves is not a valid chain.
    """
    if not url.startswith("local+http://"):
        raise ConfigError(f"{url!r} names no node: local+http://HOST:PORT wanted")
    ledger = NodeLedger(peer_url(url.removeprefix("local+")), patience)
    genesis = ledger.genesis
    wanted = {"admin": admin and checksum_address(admin), "chain_id": chain_id}
    for name, value in wanted.items():
        if value is not None and value != getattr(genesis, name):
            ledger.close()
            raise ConfigError(f"{name} {value}: the chain was made with {getattr(genesis, name)}")
    return ledger


class NodeLedger(Ledger):
    """A verified copy of a node's main branch; threads may share it.

    A reorganisation of the node's branch is followed: `head`, views and events then speak of the
    new branch, and a receipt of the old one names a block hash that is not there any more. The node
    puts what was taken back into a block again by itself.

    Args:
        url: the node's, "http://HOST:PORT".
        patience: seconds that `transact` waits.
    """

    def __init__(self, url: str, patience: float) -> None:
        self.url = "local+" + url
        self._patience = patience
        self._guard = RLock()
        self._closed = False
        self._http = httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False)
        self._encoded: list[bytes] = []
        self._chain: Chain | None = None
        try:
            self._synced()
        except BaseException:
            self.close()
            raise

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id that every transaction on this ledger signs."""
        return self.genesis.chain_id

    @property
    def genesis(self) -> Genesis:
        """The parameters the chain was made with."""
        assert self._chain is not None  # noqa: S101 - it was opened
        return self._chain.genesis

    def head(self) -> Head:
        """Return the newest block."""
        with self._guard:
            return self._synced().head()

    def nonce(self, address: str) -> int:
        """Return the nonce the next transaction of `address` must carry."""
        with self._guard:
            return self._synced().nonce(address)

    def terms(self, contract: str, function: str) -> CallTerms:
        """Return what signing a call of `function` needs; gas and fees are 0."""
        with self._guard:
            return self._view().terms(contract, function)

    def call(self, contract: str, function: str, *args: Any) -> Any:
        """Return a view's result, judged by the newest block's time."""
        with self._guard:
            return self._synced().call(contract, function, *args)

    def events(
        self, contract: str, event: str | None = None, *, since: int = 0, until: int | None = None
    ) -> list[Event]:
        """Return a contract's events in ledger order (clause L4).

        Raises:
            CallError: unknown contract or event.
        """
        with self._guard:
            return self._synced().events(contract, event, since=since, until=until)

    def transaction(self, transaction: str) -> SignedTransaction:
        """Return the transaction with this hash; KeyError when there is none."""
        with self._guard:
            return self._synced().transaction(transaction)

    def block(self, index: int) -> Block:
        """Return a block; KeyError when there is none."""
        with self._guard:
            self._synced()
            if not 0 <= index < len(self._encoded):
                raise KeyError(f"no block {index}: the newest is {len(self._encoded) - 1}")
            return self._block(index)

    def transact(self, transaction: SignedTransaction) -> Receipt:
        """Hand a signed call to the node and wait until it is in a block.

        What the node has acknowledged it keeps on its disk and includes again after a
        reorganisation, also when this returns early with LedgerUnavailable.
        """
        (result,) = self.transact_all([transaction])
        if isinstance(result, LedgerError):
            raise result
        return result

    def transact_all(self, transactions: Sequence[SignedTransaction]) -> list[_Result]:
        """Hand calls to the node in order, then wait until all that it took are in blocks."""
        end = time.monotonic() + self._patience
        results: list[_Result | None] = []
        for transaction in transactions:
            try:
                self._send("POST", "/transactions", checked(transaction).raw)
                results.append(None)
            except (ContractError, TransactionRefused) as error:
                results.append(error)
        return [
            self._included(transaction, end) if result is None else result
            for transaction, result in zip(transactions, results, strict=True)
        ]

    def verify(self) -> None:
        """Check every block again, from the bytes on.

        Raises:
            ChainCorrupted: with the first block that does not verify.
        """
        with self._guard:
            self._synced()
            replay(self._encoded)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._closed = True
        self._http.close()

    # Inside ---------------------------------------------------------------------------------

    def _included(self, transaction: SignedTransaction, end: float) -> _Result:
        while (left := end - time.monotonic()) > 0:
            wait = min(left, _WAIT)
            place = self._json("GET", f"/transactions/{transaction.hash}?wait={wait:.2f}")
            if place.get("state") == "failed":
                error = error_from_json(place.get("error"))
                if isinstance(error, ContractError | TransactionRefused):
                    return error
                raise error
            if place.get("state") == "unknown":
                raise LedgerUnavailable(f"the node does not know {transaction.hash} any more")
            with self._guard:
                self._synced()
                receipt = self._receipt(transaction.hash)
            if receipt is not None:
                return receipt
        raise LedgerUnavailable(
            f"{transaction.hash} is in no block after {self._patience:.0f} s: is a miner running? "
            "The node keeps it; look for it again before you send another with its nonce"
        )

    def _receipt(self, transaction: str) -> Receipt | None:
        chain = self._chain
        assert chain is not None  # noqa: S101 - it was opened
        place = chain.records.places.get(transaction)
        if place is None:
            return None
        index, position = place
        events = tuple(
            event
            for contract in chain.genesis.contracts
            for event in chain.records.events(contract, None, index, index)
            if event.transaction == transaction
        )
        header = self._block(index).header
        ordered = tuple(sorted(events, key=lambda event: event.position))
        return Receipt(transaction, index, "0x" + header.hash.hex(), position, ordered)

    def _view(self) -> ChainView:
        if self._closed or self._chain is None:
            raise LedgerUnavailable(f"{self.url} cannot be used: it was closed")
        return ChainView(self._chain, self._block, url=self.url)

    def _block(self, index: int) -> Block:
        return Block.decode(self._encoded[index])

    def _synced(self) -> ChainView:
        """Follow the node's main branch to its head."""
        if self._closed:
            raise LedgerUnavailable(f"{self.url} cannot be used: it was closed")
        status = self._status()
        if self._chain is None:
            self._start(status.first)
        chain, first = self._chain, self._block(0).header
        assert chain is not None  # noqa: S101 - just made
        if first.hash.hex() != status.first:
            raise LedgerUnavailable("the node serves another chain now")
        if status.index > time.time() * 1000 + MAX_DRIFT - first.timestamp:
            raise LedgerUnavailable(f"the node says to have {status.index} blocks: impossible")
        if chain.head.hash.hex() == status.head:
            return self._view()
        # A whole chain, and what was made meanwhile: a node that flips between branches or never
        # ends must not hold its client.
        left = status.index + MAX_LIST
        while left > 0:
            page = self._page()
            for block in page:
                self._follow(block)
            left -= len(page)
            view = self._view()
            if not page or view.head().block >= status.index:
                return view
        raise LedgerUnavailable("the node sends more blocks than it said to have: try again")

    def _start(self, first: str) -> None:
        data = self._send("GET", f"/block/{first}", most=MAX_ENVELOPE_BYTES)
        try:
            block = Envelope.decode(data).block
            chain = Chain(block, undo=UNDO)
        except MalformedBlock as error:
            raise ChainCorrupted(0, f"the node's block 0: {error}") from error
        if block.header.hash.hex() != first:
            raise ChainCorrupted(0, f"the node's block 0 is not {first}, as it said")
        self._chain = chain
        self._encoded = [block.encode()]

    def _page(self) -> list[Block]:
        last = len(self._encoded) - 1
        steps = [last - back for back in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 8192)]
        known = [self._block(index).header.hash.hex() for index in steps if index > 0]
        known.append(self._block(0).header.hash.hex())
        data = self._send(
            "GET", "/blocks?after=" + ",".join(known), most=MAX_ANSWER + 2 * MAX_ENVELOPE_BYTES
        )
        try:
            listed = unpack(data, at_most=MAX_LIST, each=MAX_ENVELOPE_BYTES)
            return [Envelope.decode(one).block for one in listed]
        except MalformedBlock as error:
            raise LedgerUnavailable(f"the node's blocks: {error}") from error

    def _follow(self, block: Block) -> None:
        """Extend the chain; blocks that are not on the node's branch any more are taken back."""
        chain = self._chain
        assert chain is not None  # noqa: S101 - it was opened
        index = block.header.index
        if index > chain.head.index + 1 or index < 1:
            raise LedgerUnavailable("the node's blocks do not follow what was asked")
        if chain.head.index - index + 1 > chain.undoable:
            chain = self._chain = Chain(self._block(0), undo=UNDO)
            for one in range(1, index):
                chain.extend(self._block(one))
        while chain.head.index >= index:
            chain.rewind()
        del self._encoded[index:]
        try:
            chain.extend(block)
        except MalformedBlock as error:
            raise ChainCorrupted(index, f"the node follows an invalid block: {error}") from error
        self._encoded.append(block.encode())

    def _status(self) -> Status:
        try:
            return Status.model_validate_json(self._send("GET", "/status"))
        except ValidationError as error:
            raise LedgerUnavailable("the node's status is none") from error

    def _json(self, method: str, path: str) -> dict[str, Any]:
        try:
            found = json.loads(self._send(method, path))
        except (ValueError, RecursionError) as error:
            raise LedgerUnavailable("the node's answer is no JSON") from error
        if not isinstance(found, dict):
            raise LedgerUnavailable("the node's answer is no object")
        return found

    def _send(self, method: str, path: str, body: bytes = b"", *, most: int = 64 * 1024) -> bytes:
        if self._closed:
            raise LedgerUnavailable(f"{self.url} cannot be used: it was closed")
        try:
            with self._http.stream(method, path, content=body) as answer:
                data, enough, end = bytearray(), PIECE, time.monotonic() + _SECONDS
                for chunk in answer.iter_raw():
                    data += chunk
                    if len(data) > most:
                        raise LedgerUnavailable(f"the node answers more than {most} bytes")
                    if len(data) >= enough:
                        enough, end = len(data) + PIECE, time.monotonic() + _SECONDS
                    elif time.monotonic() > end:
                        raise LedgerUnavailable("the node answers too slowly")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LedgerUnavailable(f"no node answers at {self.url}: {error}") from error
        if answer.status_code in (200, 202, 204):
            return bytes(data)
        raise _refusal(answer.status_code, bytes(data))


def _refusal(code: int, data: bytes) -> LedgerError:
    try:
        plain = json.loads(data)
        if isinstance(plain, dict) and "error" in plain:
            return error_from_json(plain)
        return LedgerUnavailable(f"the node answers {code}: {str(plain)[:200]}")
    except (ValueError, RecursionError):
        return LedgerUnavailable(f"the node answers {code}")
