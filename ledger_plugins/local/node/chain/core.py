"""What a node knows: blocks of all branches, the main branch, and what waits for a block.

Nothing here speaks HTTP and nothing waits: peers, clients and the miner come with bytes, and each
step is on the disk before it is answered. Threads may share a core.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock

from fedledger.effects import Clock, Disk
from fedledger.errors import (
    ContractError,
    ContractMissing,
    LedgerUnavailable,
    MalformedBlock,
    MalformedTransaction,
    StoreError,
    TransactionRefused,
)
from fedledger.guards import Failures, spared

from ....storage.base import Store
from ....transactions import decode_transaction, transaction_hash
from ...chain.block import check_link, check_seal
from ...chain.genesis import Genesis
from .branch import Branch, Moved, Verifier
from .envelope import Envelope
from .file import NodeFile, Step
from .first import first_block
from .leader import LeaderRule
from .moments import MAX_DRIFT, Outcome, Place, Snapshot, Source, Template
from .pool import Pending
from .publications import Publications
from .tree import Node, Tree
from .waiting import Waiting
from .wanted import Wanted

__all__ = ["BURIED", "Core"]

BURIED = 6
"""Blocks after which a transaction is not kept any more: its block has this many on top."""

MAX_SIDE_BLOCKS = 20_000
MAX_SIDE_BYTES = 1024**3
logger = logging.getLogger(__name__)


class Core:
    """A node without its network.

    Args:
        path: the node's file; the caller holds the lock for writing it.
        first: block 0's envelope, for a new file; checked against the one in an old file.
        store: the node's own store.
        rule: who may make blocks.
        verifier: checks published rounds, or None to believe them.
        clock: dates blocks, and counts how long something waits.
        disk: where the file is.

    Raises:
        ChainCorrupted, LedgerUnavailable: the file cannot be used.
        MalformedBlock: `first` is no block 0, or not this chain's.
    """

    born: int
    """Block 0's time in milliseconds; no chain has more blocks than milliseconds have passed."""

    def __init__(
        self,
        path: Path,
        first: bytes | None,
        store: Store,
        *,
        rule: LeaderRule,
        verifier: Verifier | None,
        clock: Clock,
        disk: Disk,
    ) -> None:
        self.store = store
        self.rule = rule
        self._clock = clock
        self._defended = verifier is not None
        self._guard = RLock()
        self._listeners: list[Callable[[], object]] = []
        self._staged: OrderedDict[bytes, Envelope] = OrderedDict()
        self._wanted = Wanted(clock)
        self._refusals = 0
        self._reorganisations = 0
        self._broken: str | None = None
        self._failures = Failures()
        self._file = NodeFile(path, disk)
        try:
            block = first_block(self._file, first)
            self.genesis = Genesis.of(block)
            self.born = block.header.timestamp
            self._tree = Tree(block.header, 2**256 // self.genesis.difficulty)
            self._branch = Branch(
                block, self._tree, self._read, rule=rule, verifier=verifier, store=store
            )
            self._waiting = Waiting(self._branch, self.now, clock)
            self._publications = Publications(
                self._branch,
                self._waiting.pool,
                has=self._has,
                want=self._want,
                drop=self._drop,
                failures=self._failures,
            )
            self._load()
        except BaseException:
            self._file.close()
            raise
        self._publish()

    # What others see ------------------------------------------------------------------------

    snapshot: Snapshot
    """The newest moment; replaced as a whole."""

    def subscribe(self, listener: Callable[[], object]) -> None:
        """Call `listener`, from any thread, whenever head or pool may have changed."""
        self._listeners.append(listener)

    def now(self) -> int:
        """Return the node's time in milliseconds since 1970 UTC."""
        return int(self._clock.wall() * 1000)

    def envelope(self, block: bytes) -> bytes | None:
        """Return a known block's envelope by its hash, or None."""
        return self._file.block(block)

    def knows(self, block: bytes) -> bool:
        """Tell whether a block with this hash is known, on whatever branch."""
        return self._tree.get(block) is not None

    def index_of(self, block: bytes) -> int | None:
        """Return the index of a block of the main branch by its hash; None for others."""
        node, now = self._tree.get(block), self.snapshot
        index = node.header.index if node is not None else now.index + 1
        return index if index <= now.index and now.hashes[index] == block else None

    def pending(self) -> list[str]:
        """Return the hashes of what waits for a block, oldest first."""
        with self._guard:
            return self._waiting.pool.hashes()

    def raw(self, transactions: Sequence[str]) -> list[bytes]:
        """Return the envelopes of those of `transactions` that wait for a block."""
        with self._guard:
            found = [self._waiting.pool.get(one) for one in transactions]
        return [pending.transaction.raw for pending in found if pending is not None]

    def place(self, transaction: str) -> Place:
        """Return where the transaction with this hash is."""
        with self._guard:
            chain = self._branch.chain
            where = chain.records.places.get(transaction)
            if where is not None:
                return Place("included", where[0], chain.head.index - where[0])
            if transaction in self._waiting.pool:
                return Place("pending")
            if (error := self._waiting.failure(transaction)) is not None:
                return Place("failed", error=error)
        return Place("unknown")

    # What comes in --------------------------------------------------------------------------

    def submit(self, raw: bytes, source: str = "") -> str:
        """Take a client's transaction; when this returns its hash, it will not get lost.

        Args:
            raw: its envelope.
            source: the network it comes from, which has its share of the pool; "": all of it.

        Raises:
            MalformedTransaction: bytes that are no transaction.
            TransactionRefused, ContractError: it cannot be executed after what is waiting.
            LedgerUnavailable: too many wait.
        """
        transaction = decode_transaction(raw)
        step = Step()
        with self._guard:
            self._check()
            self._waiting.submit(transaction, step, source)
            self._commit(step)
        self._tell()
        return transaction.hash

    def is_news(self, transaction: str) -> bool:
        """Tell whether a peer's transaction with this hash is worth fetching."""
        with self._guard:
            return self._waiting.is_news(transaction)

    def offer(self, raw: bytes) -> bool:
        """Take a peer's transaction if it can be executed now or soon; tell whether it was taken.

        Raises:
            MalformedTransaction: bytes that are no transaction.
        """
        transaction = decode_transaction(raw)
        with self._guard:
            self._check()
            taken = self._waiting.offer(transaction)
            self._publish()
        if taken:
            self._tell()
        return taken

    def accept(self, data: bytes) -> Outcome:
        """Take a block's envelope from a peer or from the miner.

        Raises:
            MalformedBlock: it is not valid, with the field.
            LedgerUnavailable: this node cannot verify it now.
        """
        envelope = Envelope.decode(data)
        block, header = envelope.block, envelope.block.header
        with self._guard:
            self._check()
            if self._tree.is_refused(header.hash):
                raise MalformedBlock("block", f"{header.hash.hex()} was refused before")
            if self._tree.get(header.hash) is not None:
                return Outcome.KNOWN
            parent = self._tree.get(header.previous_hash)
        if parent is None:
            return Outcome.ORPHAN
        if header.timestamp > self.now() + MAX_DRIFT:
            return Outcome.EARLY
        check_link(block, parent.header)
        check_seal(block, self.genesis.difficulty)
        with self._guard:
            if self._tree.get(header.hash) is not None:
                return Outcome.KNOWN
            if self._tree.get(header.previous_hash) is None:
                return Outcome.ORPHAN
            step = Step()
            step.blocks[header.hash] = data
            self._staged[header.hash] = envelope
            self._tree.add(header, envelope.miner, size=len(data), empty=not block.transactions)
            moved = self._settle(step)
        self._tell()
        if (error := moved.refused.get(header.hash)) is not None:
            raise error
        return Outcome.ADDED

    def template(self, miner: str | None, source: "Source | None" = None) -> Template | None:
        """Return the content of the next block; None when `miner` may not make it yet.

        Args:
            miner: who will sign it.
            source: makes calls of the miner itself, which come after what is waiting.
        """
        with self._guard:
            self._check()
            chain = self._branch.chain
            now = max(self.now(), chain.head.timestamp + 1)
            if self.rule.earliest(chain, miner) > now:
                return None
            skip = self._publications.held()
            while True:
                draft = chain.begin(now)
                self._waiting.fill(draft, bounded=True, skip=frozenset(skip))
                if not (wrong := self._publications.wrong(draft)):
                    break
                skip |= wrong
            with spared("the miner's source", logger, failures=self._failures):
                for own in source(self._branch.view(draft), self._want) if source else ():
                    try:
                        draft.add(own)
                    except (TransactionRefused, ContractError) as error:
                        logger.info("the miner's own call does not fit now: %s", error)
                        break
            template = Template(
                index=draft.index,
                previous_hash=chain.head.hash,
                timestamp=draft.timestamp,
                transactions=tuple(one.transaction.raw for one in draft.executed),
                model_info=draft.model_info,
            )
            draft.drop()
        return template

    def restless(self) -> bool:
        """Tell whether blocks are of use although nothing waits.

        While another branch has as much work, and until the newest transaction is buried, they are.
        """
        with self._guard:
            return self._tree.restless(self._branch.head, BURIED)

    def _drop(self, pending: Pending, error: Exception) -> None:
        step = Step()
        self._waiting.drop(pending, error, step)
        self._commit(step)

    def tend(self) -> None:
        """Do what time brings: verify what waited for contents, give up what cannot be executed."""
        with self._guard:
            self._check()
            before = self.snapshot
            self._wanted.tend(self._has)
            missing = self._tree.missing()
            found = [cid for cid in missing if self._has(cid)]
            for cid in found:
                for node in missing[cid]:
                    self._tree.release(node)
            step = Step()
            if found:
                self._settle(step)
            else:
                self._waiting.give_up(step)
                self._commit(step)
            changed = self.snapshot != before
        if changed:
            self._tell()

    def close(self) -> None:
        """Close the file; a second time nothing happens."""
        with self._guard:
            self._broken = self._broken or "it was closed"
            self._file.close()

    # Inside ---------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read what the disk has, and stand where the node stood."""
        step = Step()
        for block_hash, data in self._file.blocks():
            if block_hash != self._tree.root.header.hash and not self._load_block(block_hash, data):
                step.gone.add(block_hash)
        step.gone |= self._stand()
        chain = self._branch.chain
        waiting = []
        for transaction, raw, error in self._file.kept():
            place = chain.records.places.get(transaction)
            if place is not None:
                if chain.head.index - place[0] >= BURIED:
                    step.settled.add(transaction)
            elif error is not None:
                self._waiting.note_failure(transaction, TransactionRefused("dropped", error))
            else:
                try:
                    waiting.append(decode_transaction(raw))
                except MalformedTransaction as damage:
                    logger.warning("kept transaction %s is damaged: %s", transaction, damage)
                    step.settled.add(transaction)
        self._waiting.take_back(waiting, step)
        self._settle(step)

    def _stand(self) -> set[bytes]:
        """Move to the head of the last time; return the blocks that were refused on the way.

        Raises:
            ContractMissing: this node cannot follow its own blocks, which may be right.
        """
        stood = self._file.head()
        node = self._tree.get(stood[0]) if stood else None
        if stood is None or node is None or node is self._tree.root:
            return set()
        way: Node | None = node
        while way is not None and (stood[1] or not self._defended):
            way.valid = True
            way = way.parent
        refused = self._branch.choose(node).refused
        for error in refused.values():
            if isinstance(error, ContractMissing):
                raise error
        return set(refused)

    def _load_block(self, block: bytes, data: bytes) -> bool:
        """Put a stored block into the tree, unless it is damaged or does not link to it."""
        try:
            envelope = Envelope.decode(data)
        except MalformedBlock as error:
            logger.warning("stored block %s dropped: %s", block.hex(), error)
            return False
        header = envelope.block.header
        if header.hash != block or self._tree.get(header.previous_hash) is None:
            logger.warning("stored block %s dropped: it follows no other", block.hex())
            return False
        empty = not envelope.block.transactions
        self._tree.add(header, envelope.miner, size=len(data), empty=empty)
        return True

    def _settle(self, step: Step) -> Moved:
        """Choose the head after the tree has changed, and make all of it durable."""
        try:
            return self._settled(step)
        except BaseException as error:
            # Memory is ahead of the disk, or half moved; only starting again mends that.
            self._broken = self._broken or f"moving to another head failed: {error}"
            raise

    def _settled(self, step: Step) -> Moved:
        moved = self._branch.choose()
        step.gone |= set(moved.refused)
        self._refusals += len(moved.refused)
        self._prune(step)
        for block in step.gone:
            step.blocks.pop(block, None)
        if moved.removed:
            self._reorganisations += 1
            raws = [raw for block in moved.removed for raw in block.transactions]
            self._waiting.take_back([decode_transaction(raw) for raw in raws], step)
        if moved.added or moved.removed:
            step.head = (self._branch.chain.head.hash, self._defended)
            raws = [raw for block in moved.added for raw in block.transactions]
            self._waiting.moved([transaction_hash(raw) for raw in raws])
            step.settled |= self._branch.buried(BURIED, len(moved.added))
        self._waiting.give_up(step)
        self._commit(step)
        self._staged.clear()
        return moved

    def _want(self, cid: str) -> None:
        """Ask peers for a content."""
        if self._wanted.ask(cid):
            self._publish()
            self._tell()

    def _prune(self, step: Step) -> None:
        """Forget the weakest branches when there is too much beside the main branch."""
        while (
            len(self._tree) - len(self._branch.hashes) > MAX_SIDE_BLOCKS
            or self._tree.bytes - self._branch.bytes > MAX_SIDE_BYTES
        ):
            leaf = self._tree.weakest(self._branch.head)
            if leaf is None:
                return
            for node in self._tree.refuse(leaf, remember=False):
                step.gone.add(node.header.hash)

    def _has(self, cid: str) -> bool:
        try:
            return self.store.has(cid)
        except StoreError as error:
            logger.warning("the store cannot say whether it has %s: %s", cid, error)
            return False

    def _read(self, block: bytes) -> Envelope | None:
        staged = self._staged.get(block)
        if staged is not None:
            return staged
        data = self._file.block(block)
        if data is None:
            return None
        try:
            return Envelope.decode(data)
        except MalformedBlock as error:
            logger.warning("stored block %s is damaged: %s", block.hex(), error)
            return None

    def _commit(self, step: Step) -> None:
        try:
            self._file.commit(step)
        except BaseException as error:
            # Memory is ahead of the disk now; only starting again brings them together.
            self._broken = f"writing to the disk failed: {error}"
            raise
        self._publish()

    def _publish(self) -> None:
        chain = self._branch.chain
        self.snapshot = Snapshot(
            genesis=self.genesis,
            hashes=self._branch.hashes,
            index=chain.head.index,
            work=self._branch.head.work,
            timestamp=chain.head.timestamp,
            pool=self._waiting.pool.version,
            pending=len(self._waiting.pool),
            blocks=len(self._tree),
            refused=self._refusals,
            waiting=tuple(dict.fromkeys((*self._tree.missing(), *self._wanted))),
            reorganisations=self._reorganisations,
        )

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _check(self) -> None:
        if self._broken is not None:
            raise LedgerUnavailable(f"the node cannot be used: {self._broken}")
