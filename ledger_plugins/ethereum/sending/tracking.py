"""Reorganisations: what disappeared is submitted again or reported, never assumed (clause L8)."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from fedledger.errors import LedgerUnavailable, TransactionsLost

from ...base import Receipt
from ..rpc.codec import as_int
from ..rpc.node import Node
from .outbox import Outbox
from .sender import Sender

__all__ = ["Tracker"]

_log = logging.getLogger(__name__)

FINAL = 64
"""So many blocks on a block make it final: two epochs of Ethereum."""


@dataclass(slots=True)
class Tracker:
    """Watches the calls of an outbox until they are final.

    Attributes:
        node: the node.
        sender: submits again.
        outbox: the calls.
        busy: whether it is at work: what it sends is not looked for on the way.
    """

    node: Node
    sender: Sender
    outbox: Outbox
    busy: bool = False
    _late: set[str] = field(default_factory=set)
    _again: float = 0.0

    def check(self) -> None:
        """Notice a reorganisation and repair it.

        One question: whether the block of the newest call is still the one it was; its hash covers
        all before it.

        Raises:
            TransactionsLost: calls that were acknowledged are gone for good.
            LedgerUnavailable: no answer.
        """
        if self.busy or not self.outbox.entries:
            return
        self._late &= self.outbox.entries.keys()
        if self._late and self.node.clock.monotonic() >= self._again:
            self._look_again()
        watched = [one for key, one in self.outbox.entries.items() if key not in self._late]
        placed = [entry for entry in watched if entry.block is not None]
        if len(placed) == len(watched):
            if not placed:
                return
            newest = max(placed, key=lambda entry: entry.block or 0)
            block = self.node.ask("eth_getBlockByNumber", hex(newest.block or 0), False)
            if block is not None and block["hash"] == newest.block_hash:
                return
        self.busy = True
        try:
            self._repair()
        finally:
            self.busy = False

    def settle(self, newest: int) -> None:
        """Forget what is final, given the newest block's index."""
        ends = [
            (transaction, "final")
            for transaction, entry in self.outbox.entries.items()
            if entry.block is not None and entry.block + FINAL <= newest
        ]
        self.outbox.end(ends)

    def _repair(self) -> None:
        entries = self.outbox.entries
        hashes = [one for one in entries if one not in self._late]
        receipts = self.node.results([("eth_getTransactionReceipt", (one,)) for one in hashes])
        places, gone, lost = [], [], {}
        for one, receipt in zip(hashes, receipts, strict=True):
            if receipt is None or receipt.get("blockNumber") is None:
                gone.append(one)
            elif as_int(receipt["status"]):
                places.append((one, as_int(receipt["blockNumber"]), receipt["blockHash"]))
            elif entries[one].block is not None:
                lost[one] = str(self.sender.why_reverted(entries[one].transaction, receipt))
            else:
                self.outbox.end([(one, "reverted")])
        self.outbox.place(places)
        if gone:
            _log.warning("%d calls are in no block: submitting them again", len(gone))
        known = {one: entries[one].block is not None for one in gone}
        results = self.sender.send_all([entries[one].transaction for one in gone])
        failed = {
            one: str(result)
            for one, result in zip(gone, results, strict=True)
            if not isinstance(result, Receipt | LedgerUnavailable)
        }
        self.outbox.end([(one, f"lost: {why}") for one, why in (lost | failed).items()])
        for one, why in failed.items():
            _log.warning("call %s cannot be submitted again: %s", one, why)
        lost |= {one: why for one, why in failed.items() if known[one]}
        if lost:
            raise TransactionsLost(lost, [one for one in gone if one not in failed])
        late = {
            one: result
            for one, result in zip(gone, results, strict=True)
            if isinstance(result, LedgerUnavailable)
        }
        for one, error in late.items():
            if known[one]:
                raise error  # somebody was told that a block has it
            _log.warning("call under way: %s", error)
        self._wait_for_later(late)

    def _look_again(self) -> None:
        """Look for calls that no block took in time, without waiting for them."""
        hashes = sorted(self._late)
        receipts = self.node.results([("eth_getTransactionReceipt", (one,)) for one in hashes])
        there = {one for one, receipt in zip(hashes, receipts, strict=True) if receipt is not None}
        self._late -= there  # the repair reads them
        if self._late:
            used = "another transaction used its nonce"
            self.outbox.end([(one, used) for one in self.sender.nudge(sorted(self._late))])
        self._wait_for_later(())

    def _wait_for_later(self, late: Iterable[str]) -> None:
        self._late.update(late)
        self._again = self.node.clock.monotonic() + self.sender.chain.wait
