"""Reading blocks, events with their times, and an account's calls from a node."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedledger.errors import LedgerUnavailable, UnknownBlock

from ..addresses import address_from_bytes
from ..base import Block, Event, Inclusion, Receipt
from .rpc.codec import as_bytes, as_hex, as_int, block_of, event_of, receipt_of
from .rpc.node import Node, NodeRefusal

__all__ = ["Times", "calls_between", "index_of", "read_block", "read_blocks", "read_transaction"]

_log = logging.getLogger(__name__)
_HEADERS = 100
_FULL = 10  # blocks with whole transactions in one request: megabytes on a busy chain
_KEPT = 16_384


class Times:
    """When blocks were made, by their hashes; what was asked once is kept, for a hash fixes a time.

    Args:
        node: the node.
        names: address to contract name.
    """

    def __init__(self, node: Node, names: Mapping[str, str]) -> None:
        self._node = node
        self._names = names
        self._known: dict[str, int] = {}
        self._places: dict[str, tuple[str, Any]] = {}

    def events(self, logs: Sequence[Mapping[str, Any]]) -> list[Event]:
        """Return the events that logs hold, with their blocks' times.

        Raises:
            LedgerUnavailable: a log's block was replaced meanwhile.
        """
        self._learn(logs)
        found = (event_of(log, self._names, self._known) for log in logs)
        return [event for event in found if event is not None]

    def receipts(self, receipts: Sequence[Mapping[str, Any]]) -> list[Receipt]:
        """Return receipts of transactions that were executed, with their events.

        Raises:
            LedgerUnavailable: a receipt's block was replaced meanwhile.
        """
        self._learn([log for receipt in receipts for log in receipt["logs"]])
        return [receipt_of(receipt, self._names, self._known) for receipt in receipts]

    def place_of(self, transaction: str) -> tuple[str, Any] | None:
        """Return where a log said that a transaction is: the block's hash, and its index there."""
        return self._places.get(transaction)

    def _learn(self, logs: Sequence[Mapping[str, Any]]) -> None:
        """Find the times of these logs' blocks: nodes of today say them with a log."""
        if len(self._known) > _KEPT:
            self._known.clear()
        if len(self._places) > _KEPT:
            self._places.clear()
        wanted: dict[str, str] = {}
        for log in logs:
            block = as_hex(as_bytes(log["blockHash"]))
            self._places[log["transactionHash"].lower()] = block, log.get("transactionIndex")
            if log.get("blockTimestamp") is not None:
                self._known[block] = as_int(log["blockTimestamp"])
            elif block not in self._known:
                wanted[block] = log["blockNumber"]
        blocks = self._node.results(
            [("eth_getBlockByNumber", (number, False)) for number in wanted.values()]
        )
        for block_hash, block in zip(wanted, blocks, strict=True):
            if block is None or as_hex(as_bytes(block["hash"])) != block_hash:
                raise LedgerUnavailable(
                    f"{self._node.where} replaced block {block_hash} while it was read: try again"
                )
            self._known[block_hash] = as_int(block["timestamp"])


def read_block(node: Node, index: int) -> Block:
    """Return a block.

    Raises:
        UnknownBlock: there is none with this index.
    """
    found = node.ask("eth_getBlockByNumber", hex(index), False) if index >= 0 else None
    if found is None:
        newest = node.ask("eth_getBlockByNumber", "latest", False)
        if 0 <= index <= as_int(newest["number"]):
            raise LedgerUnavailable(f"{node.where} has no block {index} any more, or not yet")
        raise UnknownBlock(index, as_int(newest["number"]))
    _check_number(node, index, found)
    return block_of(found)


def read_transaction(node: Node, transaction: str, place: tuple[str, Any] | None) -> Any:
    """Return what the node says about a transaction in a block.

    A node may have no index of old transactions and still have their blocks: where a log said in
    which block it is, it is asked for by its place there.

    Args:
        node: the node.
        transaction: its hash.
        place: the block's hash and the index in it, where a log said so, the index perhaps None.

    Raises:
        KeyError: there is none.
        LedgerUnavailable: there is one, and the node does not have it.
    """
    found = node.ask("eth_getTransactionByHash", transaction)
    if found is not None and found.get("blockNumber") is not None:
        return found
    # A node may show it among what waits for a moment after it was put into a block.
    receipt = node.ask("eth_getTransactionReceipt", transaction)
    if found is not None and receipt is not None:
        return found
    if receipt is not None:
        place = receipt["blockHash"], receipt["transactionIndex"]
    if found is not None or place is None or index_of(node, place[0]) is None:
        raise KeyError(f"no transaction {transaction}")
    if place[1] is not None:
        try:
            found = node.ask("eth_getTransactionByBlockHashAndIndex", *place)
        except NodeRefusal as error:
            _log.info("%s", error)
    if found is None:
        raise LedgerUnavailable(
            f"{node.where} says that {transaction} is in block {place[0]}, and does not have it: "
            "ask a node that keeps old transactions"
        )
    return found


def index_of(node: Node, block_hash: str) -> int | None:
    """Return the index of the block with this hash on the node's chain; None: it has none."""
    found = node.ask("eth_getBlockByHash", block_hash, False)
    if found is None:
        return None
    block = node.ask("eth_getBlockByNumber", found["number"], False)
    if block is None or block["hash"] != block_hash:
        return None  # on another branch
    return as_int(block["number"])


def read_blocks(node: Node, first: int, last: int, *, full: bool = False) -> Iterator[Any]:
    """Yield what the node says about blocks, many in one request, each linked to the one before.

    Args:
        node: the node.
        first: first block.
        last: last block.
        full: with whole transactions instead of their hashes.

    Raises:
        LedgerUnavailable: the chain was reorganised meanwhile.
    """
    before: Any = None
    step = _FULL if full else _HEADERS
    for start in range(first, last + 1, step):
        numbers = range(start, min(last, start + step - 1) + 1)
        blocks = node.results([("eth_getBlockByNumber", (hex(one), full)) for one in numbers])
        for index, block in zip(numbers, blocks, strict=True):
            if block is None or (before is not None and block["parentHash"] != before["hash"]):
                raise LedgerUnavailable(
                    f"{node.where} replaced blocks before {index} while they were read: begin again"
                )
            _check_number(node, index, block)
            yield block
            before = block


def calls_between(
    node: Node, sender: str, contracts: Mapping[str, str], first: int, last: int
) -> list[Inclusion]:
    """Return where an account's calls of contracts are that took effect, in order.

    A node has no index of accounts, and logs do not say who called; so every block of the range is
    read with all its transactions. Each costs the node what `eth_getBlockByNumber` costs: a
    hundred kilobytes and more on a busy chain, ten blocks in a request. Calls that failed in their
    block changed nothing and are left out, by their receipts. Calls that another contract made for
    the account are not its own.

    Args:
        node: the node.
        sender: the account, checksummed.
        contracts: address to contract name.
        first: first block.
        last: last block.
    """
    found = []
    for block in read_blocks(node, first, last, full=True):
        index, block_hash = as_int(block["number"]), as_hex(as_bytes(block["hash"]))
        for position, one in enumerate(block["transactions"]):
            if not one.get("to") or _address(one["to"]) not in contracts:
                continue
            if _address(one["from"]) == sender:
                hash_ = as_hex(as_bytes(one["hash"]))
                found.append(Inclusion(hash_, index, block_hash, position))
    receipts = node.results([("eth_getTransactionReceipt", (one.transaction,)) for one in found])
    for one, receipt in zip(found, receipts, strict=True):
        if receipt is None or as_hex(as_bytes(receipt["blockHash"])) != one.block_hash:
            raise LedgerUnavailable(
                f"{node.where} replaced block {one.block} while it was read: try again"
            )
    return [one for one, receipt in zip(found, receipts, strict=True) if as_int(receipt["status"])]


def _check_number(node: Node, index: int, block: Mapping[str, Any]) -> None:
    if as_int(block["number"]) != index:
        raise LedgerUnavailable(
            f"{node.where} sent block {as_int(block['number'])} when asked for {index}"
        )


def _address(text: Any) -> str:
    return address_from_bytes(as_bytes(text))
