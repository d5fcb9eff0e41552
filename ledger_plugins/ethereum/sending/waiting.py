"""Waiting for transactions to be in blocks, without waiting longer than that."""

from collections.abc import Callable, Sequence
from typing import Any

from ..rpc.codec import as_int
from ..rpc.node import Node, Request

__all__ = ["await_receipts"]

_FIRST, _LONGEST, _GROWTH = 0.001, 0.5, 1.6


def await_receipts(
    node: Node,
    hashes: Sequence[str],
    wait: float,
    *,
    confirmations: int = 1,
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
        idle: called with the hashes still waited for at every longer pause; returns those that
            need not be waited for any more.

    Returns:
        The receipts by hash, of those that made it.
    """
    found: dict[str, Any] = {}
    open_ = list(hashes)
    deadline, pause = node.clock.monotonic() + wait, _FIRST
    while open_:
        progress = False
        requests: list[Request] = [("eth_getTransactionReceipt", (one,)) for one in open_]
        if confirmations > 1:
            requests.append(("eth_getBlockByNumber", ("latest", False)))
        answers = node.results(requests)
        newest = as_int(answers.pop()["number"]) if confirmations > 1 else None
        for one, receipt in zip(list(open_), answers, strict=True):
            if receipt is None or receipt.get("blockNumber") is None:
                continue
            if newest is None or newest - as_int(receipt["blockNumber"]) + 1 >= confirmations:
                found[one] = receipt
                open_.remove(one)
                progress = True
        if not open_ or node.clock.monotonic() > deadline:
            break
        pause = _FIRST if progress else min(_LONGEST, pause * _GROWTH)
        if pause == _LONGEST and idle is not None:
            gone = set(idle(open_))
            open_ = [one for one in open_ if one not in gone]
        node.clock.sleep(pause)
    return found
