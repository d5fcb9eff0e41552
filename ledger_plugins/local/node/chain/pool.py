"""Transactions that wait for a block, in the order in which they came."""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedledger.errors import LedgerUnavailable, TransactionRefused

from ....base import SignedTransaction

__all__ = ["MAX_AHEAD", "MAX_TRANSACTIONS", "Pending", "Pool"]

MAX_TRANSACTIONS = 10_000
MAX_BYTES = 32 * 1024 * 1024
MAX_OF_SENDER = 1_000
MAX_AHEAD = 256
"""How far ahead of its sender's next nonce a peer's transaction may be and still wait."""


@dataclass
class Pending:
    """A transaction that waits.

    Attributes:
        transaction: the transaction.
        kept: whether somebody was promised that it will not get lost.
        failing: since when it cannot be executed (seconds of the monotonic clock), or None.
        error: why, or None.
        source: the network that handed it over, or "" for one that came from a peer.
    """

    transaction: SignedTransaction
    kept: bool
    failing: float | None = None
    error: Exception | None = None
    source: str = ""


class Pool:
    """A bounded, ordered set of transactions; whoever uses it holds the node's lock."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, Pending] = OrderedDict()
        self._senders: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()
        self._bytes = 0
        self.version = 0
        """Grows with every transaction that comes."""

    def check_room(self, transaction: SignedTransaction, source: str = "") -> None:
        """Check that there is room for one more.

        A source may have as many, and as many bytes, as there is room left. So however many sources
        take all they can, each has an equal share, and as much is left for who comes next.

        Raises:
            LedgerUnavailable: the pool is full, or has too many of this source.
            TransactionRefused: "sender": it has too many of this one's.
        """
        size = len(transaction.raw)
        if len(self._pending) >= MAX_TRANSACTIONS or self._bytes + size > MAX_BYTES:
            raise LedgerUnavailable("too many transactions wait for a block: try again later")
        if source and (
            self._sources[source] >= MAX_TRANSACTIONS - len(self._pending)
            or self._bytes_of[source] + size > MAX_BYTES - self._bytes
        ):
            raise LedgerUnavailable("too many transactions from here wait: try again later")
        if self._senders[transaction.sender] >= MAX_OF_SENDER:
            raise TransactionRefused(
                "sender",
                f"{MAX_OF_SENDER} transactions of {transaction.sender} wait for a block already",
            )

    def add(self, pending: Pending) -> None:
        """Add one at the end, for which there is room."""
        self._put(pending)

    def put_back(self, transactions: Sequence[SignedTransaction]) -> None:
        """Put what a reorganisation took from the chain before everything else, in its order.

        There is always room for these: somebody was told that they happened.
        """
        for transaction in reversed(transactions):
            self.remove(transaction.hash)
            self._put(Pending(transaction, kept=True))
            self._pending.move_to_end(transaction.hash, last=False)

    def remove(self, transaction: str) -> None:
        """Remove the transaction with this hash, if it is here."""
        pending = self._pending.pop(transaction, None)
        if pending is None:
            return
        sender = pending.transaction.sender
        self._senders[sender] -= 1
        if not self._senders[sender]:
            del self._senders[sender]
        self._bytes -= len(pending.transaction.raw)
        self._sources[pending.source] -= 1
        self._bytes_of[pending.source] -= len(pending.transaction.raw)
        if not self._sources[pending.source]:
            del self._sources[pending.source], self._bytes_of[pending.source]

    def get(self, transaction: str) -> Pending | None:
        """Return the pending transaction with this hash, or None."""
        return self._pending.get(transaction)

    def in_turn(self, most: int, size: int) -> list[Pending]:
        """Return what waits, oldest first; when a block holds less, each source in its turn.

        What peers have sent takes turns by its sender.

        Args:
            most: transactions that a block holds.
            size: bytes of them.
        """
        if len(self._pending) <= most and self._bytes <= size:
            return list(self)
        turns: Counter[str] = Counter()
        ordered = []
        for place, pending in enumerate(self._pending.values()):
            source = pending.source or pending.transaction.sender
            ordered.append((turns[source], place, pending))
            turns[source] += 1
        ordered.sort(key=lambda one: one[:2])
        return [pending for _, _, pending in ordered]

    def hashes(self) -> list[str]:
        """Return all hashes, oldest first."""
        return list(self._pending)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._pending.values()))

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, transaction: object) -> bool:
        return transaction in self._pending

    def _put(self, pending: Pending) -> None:
        transaction = pending.transaction
        self._pending[transaction.hash] = pending
        self._senders[transaction.sender] += 1
        self._sources[pending.source] += 1
        self._bytes_of[pending.source] += len(transaction.raw)
        self._bytes += len(transaction.raw)
        self.version += 1
