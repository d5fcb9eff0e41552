"""What can be checked about a chain that others keep: headers, logs, and the contracts' code."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eth_hash.auto import keccak

from fedledger.errors import ChainCorrupted, LedgerUnavailable

from ..deployment.checking import check_code
from ..deployment.document import Deployment
from ..rpc.codec import as_bytes, as_int
from ..rpc.node import Node, NodeRefusal, TooMuch
from .headers import check_header, check_receipts, header_bytes

__all__ = ["headers_between", "logs_between", "place_of", "verify_chain"]

_BLOCKS = 100
_MOST = 10**9  # blocks that a chain has made since its contracts: more is a lie
_RANGE = 10_000  # blocks that public nodes look through for logs in one request


def logs_between(
    node: Node, addresses: Sequence[str], first: int, last: int, topics: Sequence[Any] = ()
) -> list[Mapping[str, Any]]:
    """Return the logs of contracts in order; a node that finds a range too long gets halves.

    Args:
        node: the node.
        addresses: the contracts.
        first: first block.
        last: last block.
        topics: only logs of this event and with these indexed arguments, or all.
    """
    if last - first > _MOST:
        raise LedgerUnavailable(f"{node.where} says that its newest block is {last}: it is not")
    logs: list[Mapping[str, Any]] = []
    at, ranges = first, list[tuple[int, int]]()
    while ranges or at <= last:
        if not ranges:
            ranges, at = [(at, min(last, at + _RANGE - 1))], at + _RANGE
        start, end = ranges.pop()
        wanted: dict[str, Any] = {"fromBlock": hex(start), "toBlock": hex(end)}
        wanted["address"] = list(addresses)
        if topics:
            wanted["topics"] = list(topics)
        try:
            logs += node.ask("eth_getLogs", wanted)
        except (NodeRefusal, TooMuch):
            if start == end:
                raise
            middle = (start + end) // 2
            ranges += [(middle + 1, end), (start, middle)]
    return sorted(logs, key=place_of)


def place_of(log: Mapping[str, Any]) -> tuple[int, int]:
    """Return where a log is: its block, and its index there."""
    return as_int(log["blockNumber"]), as_int(log["logIndex"])


def headers_between(node: Node, first: int, last: int) -> list[bytes]:
    """Return the headers of blocks, each with the hash that the node says (clause L17).

    Raises:
        UnknownBlock: the chain ends before the last one.
        LedgerUnavailable: this chain's hashes cannot be recomputed.
    """
    found = []
    for index in range(first, last + 1, _BLOCKS):
        for number, block in _blocks(node, index, min(last, index + _BLOCKS - 1)):
            why = check_header(number, block)
            if why is not None:
                raise LedgerUnavailable(f"header {number} cannot be recomputed: {why}")
            found.append(header_bytes(block))
    return found


def verify_chain(node: Node, deployment: Deployment) -> str | None:
    """Check headers, logs, receipts and code since the deployment.

    Each header has the hash of its fields and names its parent's, and times never go back. The logs
    that the node hands out are those of its receipts, in blocks whose bloom filter admits them, and
    the receipts are those of the header's root; where a filter admits logs of our contracts without
    any being there, the receipts have none. So all that was logged since the deployment hangs on
    the newest block's hash. A chain whose hashes are made in another way is checked without them.

    Returns:
        None, or which hashes could not be recomputed, and why.

    Raises:
        ChainCorrupted: with the first block that does not verify.
        LedgerUnavailable: no answer, or a contract's code is another.
    """
    check_code(node, deployment)
    addresses = sorted(deployment.addresses.values())
    newest = as_int(node.ask("eth_getBlockByNumber", "latest", False)["number"])
    marks = [_bloom_bits(as_bytes(address)) for address in addresses]
    before: Mapping[str, Any] | None = None
    unproved: dict[str, list[int]] = {}
    for first in range(deployment.block, newest + 1, _BLOCKS):
        last = min(newest, first + _BLOCKS - 1)
        logs: dict[int, list[Mapping[str, Any]]] = {}
        for log in logs_between(node, addresses, first, last):
            logs.setdefault(as_int(log["blockNumber"]), []).append(log)
        for index, block in _blocks(node, first, last):
            _check_link(index, block, before)
            before = block
            odd = check_header(index, block)
            if odd is not None:
                unproved.setdefault(f"the hash of its header ({odd})", []).append(index)
            bloom = int.from_bytes(as_bytes(block["logsBloom"]), "big")
            possible = any(bloom & mark == mark for mark in marks)
            if index in logs and not possible:
                raise ChainCorrupted(index, "its header's bloom filter admits no log of ours")
            if possible:
                receipts = _receipts(node, index, block)
                _check_logs(index, block, logs.get(index, []), receipts, addresses)
                if odd is None:
                    odd = check_receipts(index, block, receipts)
                    if odd is not None:
                        unproved.setdefault(f"the root of its receipts ({odd})", []).append(index)
    if not unproved:
        return None
    said = "; ".join(
        f"{what} in {len(blocks)} blocks since {blocks[0]}" for what, blocks in unproved.items()
    )
    return f"cannot be recomputed, only links were checked: {said}"


def _blocks(node: Node, first: int, last: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    numbers = range(first, last + 1)
    blocks = node.results([("eth_getBlockByNumber", (hex(one), False)) for one in numbers])
    for number, block in zip(numbers, blocks, strict=True):
        if block is None:
            raise LedgerUnavailable(f"the chain became shorter than {number} blocks meanwhile")
        yield number, block


def _check_link(index: int, block: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    if as_int(block["number"]) != index:
        raise ChainCorrupted(index, f"the node sent block {as_int(block['number'])}")
    if before is None:
        return
    if block["parentHash"] != before["hash"]:
        raise ChainCorrupted(
            index, f"its parent is {block['parentHash']}, but block {index - 1} is {before['hash']}"
        )
    if as_int(block["timestamp"]) < as_int(before["timestamp"]):
        raise ChainCorrupted(index, "its time is before its parent's")


def _receipts(node: Node, index: int, block: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    try:
        receipts = node.ask("eth_getBlockReceipts", block["hash"])
    except NodeRefusal:
        receipts = node.results(
            [("eth_getTransactionReceipt", (one,)) for one in block["transactions"]]
        )
    if not isinstance(receipts, list) or None in receipts:
        raise ChainCorrupted(index, "the node has no receipts of its transactions")
    return receipts


def _check_logs(
    index: int,
    block: Mapping[str, Any],
    logs: Sequence[Mapping[str, Any]],
    receipts: Sequence[Mapping[str, Any]],
    addresses: Sequence[str],
) -> None:
    if [receipt["transactionHash"] for receipt in receipts] != list(block["transactions"]):
        raise ChainCorrupted(index, "its receipts are not those of its transactions")
    ours = {address.lower() for address in addresses}
    said = [
        _essence(log)
        for receipt in receipts
        for log in receipt["logs"]
        if log["address"].lower() in ours
    ]
    if said != [_essence(log) for log in logs]:
        raise ChainCorrupted(index, "its logs are not those of its receipts")
    positions = [as_int(log["logIndex"]) for receipt in receipts for log in receipt["logs"]]
    if positions != list(range(len(positions))):
        raise ChainCorrupted(index, "its logs are not numbered in the order of its receipts")
    if any(log["blockHash"] != block["hash"] for log in logs):
        raise ChainCorrupted(index, "its logs are of another block of this number")
    times = {as_int(log.get("blockTimestamp") or block["timestamp"]) for log in logs}
    if times - {as_int(block["timestamp"])}:
        raise ChainCorrupted(index, "its logs have another time than its header")


def _essence(log: Mapping[str, Any]) -> tuple[Any, ...]:
    topics = tuple(log["topics"])
    place = as_int(log["logIndex"]), log["transactionHash"]
    return (*place, log["address"].lower(), topics, log["data"])


def _bloom_bits(value: bytes) -> int:
    """Return the three bits that a value sets in a block's filter (yellow paper, section 4.3.1)."""
    digest = keccak(value)
    bits = 0
    for place in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") & 2047)
    return bits
