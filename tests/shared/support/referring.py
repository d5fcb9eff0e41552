"""Clients whose models travel by the store, and what goes wrong with those models, for tests."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fedledger.effects import Effects
from fedledger.errors import ContentNotFound
from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import cid_text
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.ledger_plugins.storage.cid import cid_to_bytes
from fedledger.ledger_plugins.storage.local import FileStore
from fedledger.records import LEDGER, Signatures, SigningRequest

__all__ = ["Flawed", "Traffic", "named_in", "naming", "told"]


class Flawed(FileStore):
    """The aggregator's store, which does not have every content at once.

    Attributes:
        absent: CID to how many times it is still not there.
        stuck: CIDs whose reading does not end before `release`.
        looks: how often each was looked for.
    """

    def __init__(self, folder: Any) -> None:
        super().__init__(folder, Effects.real())
        self.absent: dict[str, int] = {}
        self.stuck: set[str] = set()
        self.looks: Counter[str] = Counter()
        self.release = threading.Event()

    def _size(self, cid: str, profile: str) -> int:
        self.looks[cid] += 1
        if self.looks[cid] <= self.absent.get(cid, 0):
            raise ContentNotFound(cid)
        return super()._size(cid, profile)

    def _read(self, cid: str, profile: str) -> Iterator[bytes]:
        if cid in self.stuck:
            self.release.wait(60)
        return super()._read(cid, profile)


class Traffic:
    """A mod outside of all others: it counts the arrays that pass it, by phase and direction."""

    def __init__(self) -> None:
        self.arrays: Counter[tuple[str, str]] = Counter()
        self.records: Counter[tuple[str, str]] = Counter()

    def __call__(self, message: Any, context: Any, call_next: Any) -> Any:
        kind = message.metadata.message_type
        self._count((kind, "down"), message)
        reply = call_next(message, context)
        if reply.has_content():
            self._count((kind, "up"), reply)
        return reply

    def _count(self, key: tuple[str, str], message: Any) -> None:
        for record in message.content.array_records.values():
            self.records[key] += 1
            self.arrays[key] += len(record)


def told(federation: Any) -> dict[str, str]:
    """Return what tells a simulation's clients which store is theirs."""
    return {"simulation-store": f"file://{federation.path}/store"}


def named_in(reply: Any) -> str:
    """Return the CID that a reply signs."""
    [raw] = Signatures.from_record(reply.content[LEDGER]).transactions
    return cid_text(SUBMIT_UPDATE.decode(decode_transaction(raw).unsigned.data)["cid"])


def naming(federation: Any, partition: int, cid: str | bytes) -> Any:
    """Return what makes a client sign another content than the one it has put into the store."""
    raw_cid = cid if isinstance(cid, bytes) else cid_to_bytes(cid)

    def change(reply: Any, message: Any, _context: Any) -> Any:
        if SigningRequest.of(message.content).phase not in {"update", "weights"}:
            return reply
        record = Signatures.from_record(reply.content[LEDGER])
        unsigned = decode_transaction(record.transactions[0]).unsigned
        values = SUBMIT_UPDATE.decode(unsigned.data) | {"cid": raw_cid}
        other = UnsignedTransaction(unsigned.terms, unsigned.nonce, SUBMIT_UPDATE.encode(values))
        signed = federation.keys.account(partition).sign(other)
        reply.content[LEDGER] = Signatures(record.phase, [signed.raw]).to_record()
        return reply

    return change
