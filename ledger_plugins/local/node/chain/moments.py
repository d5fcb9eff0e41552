"""One moment of a node, and what becomes of what comes to it: plain values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ....base import Ledger, SignedTransaction
from ...chain.block import ModelInfo
from ...chain.genesis import Genesis

__all__ = ["MAX_DRIFT", "Outcome", "Place", "Snapshot", "Source", "Template"]

MAX_DRIFT = 2_000
"""Milliseconds that a block's timestamp may be ahead of this node's clock."""

Source = Callable[[Ledger, Callable[[str], None]], Iterable[SignedTransaction]]
"""What a miner adds to its block itself, given the ledger with the block so far; the callable takes
CIDs of contents that it needs for that."""


class Outcome(Enum):
    """What became of a block that came."""

    ADDED = auto()
    KNOWN = auto()
    ORPHAN = auto()
    EARLY = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction is.

    Attributes:
        state: "included", "pending", "failed" or "unknown".
        block: index of its block, when included.
        depth: blocks on top of it, when included.
        error: why it failed.
    """

    state: str
    block: int | None = None
    depth: int | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A block's content before its nonce is found: what `block.seal` takes, in its names."""

    index: int
    previous_hash: bytes
    timestamp: int
    transactions: tuple[bytes, ...]
    model_info: tuple[ModelInfo, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a node; read without its lock.

    Attributes:
        genesis: the chain's parameters.
        hashes: hash of each block of the main branch by its index.
        index: index of the head; `hashes` may already be longer.
        work: hashes that the main branch took on average.
        timestamp: the head's time in milliseconds.
        pool: version of the pool.
        pending: number of transactions that wait.
        blocks: number of known blocks, on all branches.
        refused: number of blocks refused since the start.
        waiting: CIDs without which a block or a waiting transaction cannot be verified.
        reorganisations: number since the start.
    """

    genesis: Genesis
    hashes: Sequence[bytes]
    index: int
    work: int
    timestamp: int
    pool: int
    pending: int
    blocks: int
    refused: int
    waiting: tuple[str, ...]
    reorganisations: int

    @property
    def head(self) -> bytes:
        """Hash of the newest block of the main branch."""
        return self.hashes[self.index]
