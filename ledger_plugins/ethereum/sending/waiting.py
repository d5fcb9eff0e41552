"""Waiting for transactions to be in blocks, without waiting longer than that."""

from collections.abc import Callable, Sequence
from typing import Any

from ..rpc.codec import as_int
from ..rpc.node import Node, Request

__all__ = ["await_receipts"]

_FIRST, _LONGEST, _GROWTH = 0.001, 0.5, 1.6

BLOCKS_APART = 8
"""Blocks after the last call of a batch that a block took in which no other one of it is waited for
any more: all offer the same fees, so what is still missing waits for its sender's own reasons."""

_SHARE_APART = 0.5
"""The same as a share of the time to wait, for chains that make few blocks."""


def await_receipts(
    node: Node,
    hashes: Sequence[str],
    wait: float,
    *,
    confirmations: int = 1,
    together: bool = False,
    idle: Callable[[Sequence[str]], Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Wait until transactions are in blocks with enough blocks on them.

    The first look comes at once and the pauses grow from 1 ms to half a second: a node that mines
    at once is not waited for, and one that takes seconds is not bothered.

    Args:
        node: the node.
        hashes: hashes of the transactions.
        wait: seconds until it gives up.
        confirmations: blocks wanted, the transaction's own included.
        together: whether the last ones are given up soon after the others: see `BLOCKS_APART`.
        idle: called with the hashes still waited for at every longer pause; returns those that
            need not be waited for any more.

    Returns:
        The receipts by hash, of those that made it.
    """
    found: dict[str, Any] = {}
    open_ = list(hashes)
    end, pause = node.clock.monotonic() + wait, _FIRST
    deadline, last_block = end, 0
    while open_:
        requests: list[Request] = [("eth_getTransactionReceipt", (one,)) for one in open_]
        counted = confirmations > 1 or (together and bool(found))
        if counted:
            requests.append(("eth_getBlockByNumber", ("latest", False)))
        answers = node.results(requests)
        newest = as_int(answers.pop()["number"]) if counted else None
        progress = _deep_enough(open_, answers, newest, confirmations)
        found |= progress
        open_ = [one for one in open_ if one not in progress]
        now = node.clock.monotonic()
        if together and progress:
            last_block, deadline = newest or 0, min(end, now + wait * _SHARE_APART)
        elif together and found and newest is not None:
            last_block = last_block or newest
            if newest - last_block >= BLOCKS_APART:
                break
        if not open_ or now > deadline:
            break
        pause = _FIRST if progress else min(_LONGEST, pause * _GROWTH)
        if pause == _LONGEST and idle is not None:
            gone = set(idle(open_))
            open_ = [one for one in open_ if one not in gone]
        node.clock.sleep(pause)
    return found


def _deep_enough(
    hashes: Sequence[str], receipts: Sequence[Any], newest: int | None, confirmations: int
) -> dict[str, Any]:
    there = {
        one: receipt
        for one, receipt in zip(hashes, receipts, strict=True)
        if receipt is not None and receipt.get("blockNumber") is not None
    }
    if confirmations == 1 or newest is None:
        return there
    last = newest + 1 - confirmations
    return {one: found for one, found in there.items() if as_int(found["blockNumber"]) <= last}
