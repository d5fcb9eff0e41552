"""A node's main branch: the chain in memory, and how it moves from one branch to another."""

import logging
from collections.abc import Callable, Sequence

from fedledger.errors import (
    ContentCorrupted,
    ContentNotFound,
    ContractMissing,
    FedledgerError,
    LedgerError,
    LedgerUnavailable,
    MalformedBlock,
    StoreUnavailable,
)

from ....base import Ledger
from ....storage.base import Store
from ....transactions import transaction_hash
from ...chain.block import Block
from ...chain.chain import Chain, Draft
from .envelope import Envelope
from .leader import LeaderRule
from .tree import Node, Tree
from .view import ChainView

__all__ = ["Branch", "Moved", "Verifier", "is_passing"]

UNDO = 1_024
"""Blocks that a reorganisation takes back in place; a deeper one executes the chain anew."""

Verifier = Callable[[Ledger, Store, int, int], None]
"""Checks one published round (task, round) on a ledger that ends with it; raises when it is wrong,
ContentNotFound (itself or as the cause) when something is missing to tell."""

logger = logging.getLogger(__name__)


class Moved:
    """What a move of the head did.

    Attributes:
        removed: blocks that are not on the main branch any more, oldest first.
        added: blocks that are now, oldest first.
        refused: hashes of blocks that were found invalid on the way, with the error; with
            LedgerUnavailable those that this node cannot verify now.
    """

    def __init__(self) -> None:
        self.removed: list[Block] = []
        self.added: list[Block] = []
        self.refused: dict[bytes, LedgerError] = {}


class Branch:
    """The valid branch with most work.

    Args:
        first: block 0.
        tree: all known blocks.
        read: returns a known block's envelope by its hash; None when the disk lost it.
        rule: who may make blocks.
        verifier: checks published rounds, or None to believe them.
        store: where contents are; only what is here already is looked at.
    """

    def __init__(
        self,
        first: Block,
        tree: Tree,
        read: Callable[[bytes], Envelope | None],
        *,
        rule: LeaderRule,
        verifier: Verifier | None,
        store: Store,
    ) -> None:
        self.chain = Chain(first, undo=UNDO)
        self.hashes: list[bytes] = [first.header.hash]
        """Hash of each block of the main branch by its index.

        It follows every block as it is followed, so a verifier reads its own branch. Snapshots
        share it and read up to their index: what they read is replaced, never changed.
        """
        self.bytes = 0
        """Bytes of the main branch but block 0."""
        self._first = first
        self._tree = tree
        self._read = read
        self._rule = rule
        self._verifier = verifier
        self._store = store

    @property
    def head(self) -> Node:
        """The newest block of the main branch."""
        node = self._tree.get(self.chain.head.hash)
        assert node is not None  # noqa: S101 - the main branch is never removed from the tree
        return node

    def choose(self, wanted: Node | None = None) -> Moved:
        """Move to the valid branch with most work, if it is another.

        Args:
            wanted: a block with more work than the head, to move to this one instead.
        """
        moved = Moved()
        old, length = self.hashes, len(self.hashes)
        if wanted is not None:
            self._move(wanted, moved)
        else:
            while (target := self._tree.best(self.head.work)) is not None:
                self._move(target, moved)
        fork = min(length, len(self.hashes)) - 1
        while old[fork] != self.hashes[fork]:
            fork -= 1
        self.bytes += self._size(self.hashes[fork + 1 :]) - self._size(old[fork + 1 : length])
        moved.removed = [self._block(one) for one in old[fork + 1 : length]]
        moved.added = [self._block(one) for one in self.hashes[fork + 1 :]]
        return moved

    def view(self, draft: Draft | None = None) -> ChainView:
        """Return the main branch, or an open draft on it, as a ledger to read."""
        if draft is None:
            self.chain.drop()  # what was executed ahead is not on the branch
        return ChainView(self.chain, self.block_at, draft)

    def block_at(self, index: int) -> Block:
        """Return a block of the main branch.

        Raises:
            LedgerUnavailable: the disk lost it.
        """
        return self._block(self.hashes[index])

    def buried(self, depth: int, news: int) -> set[str]:
        """Return hashes of transactions that the `news` newest blocks put `depth` blocks deep."""
        last = self.chain.head.index - depth
        found: set[str] = set()
        for index in range(max(1, last - news + 1), last + 1):
            found |= {transaction_hash(raw) for raw in self.block_at(index).transactions}
        return found

    def verify(self, published: Sequence[tuple[int, int]], draft: Draft | None = None) -> None:
        """Check published rounds (task, round) of the newest block or of a draft.

        Raises:
            ContentNotFound: what is missing to tell.
            FedledgerError: a round is wrong.
        """
        if self._verifier is None:
            return
        for task, number in published:
            try:
                self._verifier(self.view(draft), self._store, task, number)
            except FedledgerError as error:
                if (cid := _missing(error)) is not None:
                    raise ContentNotFound(cid) from error
                raise

    def _size(self, blocks: Sequence[bytes]) -> int:
        return sum(node.size for node in map(self._tree.get, blocks) if node is not None)

    def _block(self, block: bytes) -> Block:
        envelope = self._read(block)
        if envelope is None:
            raise LedgerUnavailable(f"block {block.hex()} has disappeared from the node's disk")
        return envelope.block

    def _move(self, target: Node, moved: Moved) -> None:
        """Try to make `target` the head; whatever part of the way is valid and better is kept."""
        before = reached = self.head
        way = self._way_to(target)
        fork = way[0].header.index - 1
        old = self.hashes
        removed = [self.block_at(index) for index in range(fork + 1, len(old))]
        self._rewind(fork)
        if removed:
            self.hashes = old[: fork + 1]
        for node in way:
            if not self._follow(node, moved):
                break
            reached = node
        if reached.work <= before.work:
            self._rewind(fork)
            self.hashes = old
            for block in removed:
                self.chain.extend(block)
        elif removed:
            logger.info(
                "reorganisation: %d blocks after block %d give way to %d others",
                len(removed),
                fork,
                reached.header.index - fork,
            )

    def _way_to(self, target: Node) -> list[Node]:
        way = [target]
        while True:
            parent = way[-1].parent
            assert parent is not None  # noqa: S101 - block 0 is on every branch
            index = parent.header.index
            if index < len(self.hashes) and self.hashes[index] == parent.header.hash:
                return way[::-1]
            way.append(parent)

    def _rewind(self, index: int) -> None:
        chain = self.chain
        if chain.head.index - index <= chain.undoable:
            while chain.head.index > index:
                chain.rewind()
            return
        logger.warning("executing %d blocks anew for a deep reorganisation", index)
        again = Chain(self._first, undo=UNDO)
        for one in range(1, index + 1):
            again.extend(self.block_at(one))
        self.chain = again

    def _follow(self, node: Node, moved: Moved) -> bool:
        """Extend the chain by a block of the tree; tell whether it could be followed."""
        envelope = self._read(node.header.hash)
        if envelope is None:
            self._refuse(node, MalformedBlock("block", "the disk lost it"), moved, remember=False)
            return False
        block = envelope.block
        try:
            self._rule.check(self.chain, block.header, envelope.miner)
        except MalformedBlock as error:
            # The block may come again under the signature of somebody who may make it.
            self._refuse(node, error, moved, remember=False)
            return False
        try:
            self.chain.extend(block)
        except MalformedBlock as error:
            self._refuse(node, error, moved, remember=True)
            return False
        except ContractMissing as error:
            # It adds a contract that this node lacks: the block may be right.
            self._refuse(node, error, moved, remember=False)
            return False
        self.hashes.append(node.header.hash)
        node.valid = node.valid or self._is_verified(node, block, moved)
        if not node.valid:
            self.chain.rewind()
            self.hashes.pop()
        return node.valid

    def _is_verified(self, node: Node, block: Block, moved: Moved) -> bool:
        """Verify the rounds that the newest block publishes; note what is to become of it if not.

        Only what the rounds themselves say makes a block invalid for good: a store that fails now
        or a fault of the verifier says nothing about the block, which may come again.
        """
        try:
            self.verify(self._published(block))
        except ContentNotFound as error:
            self._tree.wait_for(node, error.cid)
        except FedledgerError as error:
            if is_passing(error):
                away = LedgerUnavailable(f"block {node.header.index} cannot be verified: {error}")
                self._refuse(node, away, moved, remember=False)
            else:
                wrong = MalformedBlock("model_info", str(error))
                self._refuse(node, wrong, moved, remember=True)
        except Exception as error:
            logger.exception("the verifier fails at block %d", node.header.index)
            wrong = MalformedBlock("model_info", f"the verifier fails: {type(error).__name__}")
            self._refuse(node, wrong, moved, remember=False)
        else:
            return True
        return False

    def _refuse(self, node: Node, error: LedgerError, moved: Moved, *, remember: bool) -> None:
        logger.warning("block %d %s refused: %s", node.header.index, node.header.hash.hex(), error)
        for gone in self._tree.refuse(node, remember=remember):
            moved.refused[gone.header.hash] = error

    def _published(self, block: Block) -> list[tuple[int, int]]:
        if not block.model_info:
            return []
        index = block.header.index
        return self.chain.rounds(self.chain.records.events_in(index))


def is_passing(error: BaseException) -> bool:
    """Tell whether an error comes from the node's own store, and may not come again."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StoreUnavailable | ContentCorrupted):
            return True
        cause = cause.__cause__
    return False


def _missing(error: BaseException) -> str | None:
    """Return the CID of the missing content because of which an error was raised, or None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ContentNotFound):
            return cause.cid
        cause = cause.__cause__
    return None
