"""A chain of valid blocks and the state they lead to, in memory.

Blocks come in two ways: a `Draft` collects transactions and becomes the next block, or somebody
else's block is checked and followed (`extend`), from a disk or from a peer. Both execute the same
code. Nothing here touches a disk.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from fedledger.errors import (
    ChainCorrupted,
    ContractError,
    MalformedBlock,
    MalformedTransaction,
    TransactionRefused,
)

from ...base import Event, OnLedger, SignedTransaction
from ...contracts.twin import ModelInfo
from ...transactions import decode_transaction
from .block import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    Block,
    Header,
    check_link,
    check_seal,
    seal,
)
from .execution import Executed, Execution
from .genesis import Genesis
from .records import Records

__all__ = ["Chain", "Draft", "replay"]


class Chain:
    """All that follows from a sequence of valid blocks.

    Args:
        first: block 0, which holds the chain's parameters.
        undo: how many of the newest blocks `rewind` can take back.

    Attributes:
        genesis: the chain's parameters.
        head: header of the newest block.
        execution: the state after the newest block.
        records: transactions and events of all blocks.

    Raises:
        MalformedBlock: `first` is no valid block 0, with the field.
        ContractMissing: one of its contracts is not installed here, or is another one.
    """

    def __init__(self, first: Block, *, undo: int = 0) -> None:
        self.genesis = Genesis.of(first)
        check_seal(first, self.genesis.difficulty)
        self.head: Header = first.header
        self.execution = Execution(self.genesis)
        self.records = Records()
        self.records.add(0, first.header.hash, ())
        self._draft: Draft | None = None
        self._undo = undo
        self._parents: deque[tuple[Header, int]] = deque()

    @property
    def undoable(self) -> int:
        """How many blocks `rewind` can take back now."""
        return len(self._parents)

    def rewind(self) -> None:
        """Take back the newest block, and any open draft.

        Raises:
            IndexError: `undoable` is 0.
        """
        self.drop()
        self.head, mark = self._parents.pop()
        self.execution.undo(mark)
        self.records.rewind(self.head.index)

    def drop(self) -> None:
        """Drop the open draft, if there is one."""
        if self._draft is not None:
            self._draft.drop()

    def begin(self, timestamp: int) -> "Draft":
        """Start the next block; a draft that was neither kept nor dropped is dropped.

        Args:
            timestamp: milliseconds, above the head's.
        """
        self.drop()
        self._draft = Draft(self, timestamp)
        return self._draft

    def extend(self, block: Block) -> None:
        """Check somebody else's block completely, and follow it.

        Raises:
            MalformedBlock: it is not valid, with the field; the chain stays as it was.
        """
        check_link(block, self.head)
        check_seal(block, self.genesis.difficulty)
        with self.begin(block.header.timestamp) as draft:
            for position, raw in enumerate(block.transactions):
                try:
                    transaction = decode_transaction(raw)
                    if not draft.fits(transaction):
                        raise MalformedBlock("transactions", "more than a block may hold")
                    draft.add(transaction)
                except (ContractError, MalformedTransaction, TransactionRefused) as error:
                    raise MalformedBlock(
                        "transactions", f"transaction {position}: {error}"
                    ) from error
            if draft.model_info != block.model_info:
                raise MalformedBlock("model_info", "not what the transactions give rise to")
            draft.keep(block)

    def contracts(self) -> dict[str, OnLedger]:
        """Return the contracts that the next block has, by name."""
        return self.execution.directory.contracts(self.head.index + 1)

    def index_of(self, block_hash: str) -> int | None:
        """Return the index of the block with this hash; None: the chain has none."""
        try:
            return self.records.blocks.get(bytes.fromhex(block_hash.removeprefix("0x")))
        except ValueError:
            return None

    def contributions(self) -> Iterator[str]:
        """Yield the accounts whose work the contracts accepted so far, once for each time."""
        for name, twin in self.execution.directory.at(self.head.index).twins.items():
            for event, argument in twin.contributions.items():
                for one in self.records.events(name, event, 0, self.head.index):
                    yield from one.arguments[argument]

    def rounds(self, events: Iterable[Event]) -> list[tuple[int, int]]:
        """Return the rounds (task, round) that events publish: what nodes verify."""
        found = []
        for event in events:
            twin = self.execution.directory.at(event.block).twins[event.contract]
            if event.name in twin.rounds:
                task, number = twin.rounds[event.name]
                found.append((event.arguments[task], event.arguments[number]))
        return found

    def state(self) -> tuple[Any, ...]:
        """Return all that a snapshot can claim, to be compared: a copy, as it is now."""
        return (
            self.execution.dump(),
            dict(self.records.places),
            list(self.records.senders),
            list(self.records.all_events()),
            list(self.records.blocks),
        )

    def _close(self) -> None:
        self._draft = None

    def _keep(self, header: Header, executed: Sequence[Executed], start: int) -> None:
        self._close()
        self._parents.append((self.head, start))
        if len(self._parents) > self._undo:
            self._parents.popleft()
        self.execution.keep(self._parents[0][1] if self._parents else None)
        self.records.add(header.index, header.hash, executed)
        self.head = header


class Draft:
    """The next block of a chain while it is being made; a context manager that drops it.

    Until `keep` nothing is final: `drop` takes all of it back.
    """

    def __init__(self, chain: Chain, timestamp: int) -> None:
        self._chain = chain
        self._timestamp = timestamp
        self._start = chain.execution.mark()
        try:
            chain.execution.enter(chain.head.index + 1)
        except BaseException:
            chain.execution.undo(self._start)
            raise
        self._executed: list[Executed] = []
        self._hashes: set[str] = set()
        self._bytes = 0
        self._events = 0
        self._open = True

    @property
    def open(self) -> bool:
        """Whether it was neither kept nor dropped."""
        return self._open

    @property
    def timestamp(self) -> int:
        """The block's time in milliseconds."""
        return self._timestamp

    @property
    def index(self) -> int:
        """The index that the block will have."""
        return self._chain.head.index + 1

    @property
    def executed(self) -> Sequence[Executed]:
        """What was added so far, in order; once kept, the events name the block."""
        return self._executed

    @property
    def model_info(self) -> tuple[ModelInfo, ...]:
        """The model info that the transactions added so far give rise to."""
        return tuple(info for one in self._executed for info in one.model_info)

    def fits(self, transaction: SignedTransaction) -> bool:
        """Tell whether the block has room for one more (clause L9)."""
        return (
            len(self._executed) < MAX_BLOCK_TRANSACTIONS
            and self._bytes + len(transaction.raw) <= MAX_BLOCK_BYTES
        )

    def add(self, transaction: SignedTransaction) -> None:
        """Execute one more transaction; when it fails, the draft stays as it was.

        Args:
            transaction: as `decode_transaction` returns it: the signature is not checked again.

        Raises:
            TransactionRefused: not for this chain, or not now, or it is on the chain.
            ContractError: the contract refused.
            ContractMissing: it adds a contract that is not installed here, or is another one.
        """
        chain = self._chain
        if transaction.hash in chain.records.places or transaction.hash in self._hashes:
            raise TransactionRefused("replay", f"{transaction.hash} is on the chain")
        executed = chain.execution.execute(
            transaction,
            seconds=self._timestamp // 1000,
            block=self.index,
            position=self._events,
        )
        self._executed.append(executed)
        self._hashes.add(transaction.hash)
        self._bytes += len(transaction.raw)
        self._events += len(executed.events)

    def seal(self) -> Block:
        """Return the block with what was added so far; the draft stays open."""
        head = self._chain.head
        return seal(
            index=self.index,
            previous_hash=head.hash,
            timestamp=self._timestamp,
            transactions=tuple(one.transaction.raw for one in self._executed),
            model_info=self.model_info,
            difficulty=self._chain.genesis.difficulty,
        )

    def keep(self, block: Block) -> None:
        """Make the draft the chain's newest block.

        Args:
            block: this draft, sealed by us or by whoever made it.
        """
        self._open = False
        block_hash = "0x" + block.header.hash.hex()
        self._executed = [one.sealed(block_hash) for one in self._executed]
        self._chain._keep(block.header, self._executed, self._start)  # noqa: SLF001 - two halves of one class

    def drop(self) -> None:
        """Take back everything; nothing happens once it was kept or dropped."""
        if self._open:
            self._open = False
            self._chain.execution.undo(self._start)
            self._chain._close()  # noqa: SLF001 - two halves of one class

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()


def replay(encoded: Iterable[bytes], *, onto: Chain | None = None) -> Chain:
    """Return the chain that these blocks make, each checked completely.

    Args:
        encoded: the blocks' encodings, from block 0 on or from the one after `onto`'s head.
        onto: a chain to extend.

    Raises:
        ChainCorrupted: with the first block that is not valid.
        ContractMissing: one of the chain's contracts is not installed here, or is another one.
    """
    chain = onto
    known = onto.head.index if onto else -1
    index = known
    try:
        for index, data in enumerate(encoded, start=known + 1):  # noqa: B007 - read when a block is refused
            block = Block.decode(data)
            if chain is None:
                chain = Chain(block)
            else:
                chain.extend(block)
    except MalformedBlock as error:
        raise ChainCorrupted(index, str(error)) from error
    if chain is None:
        raise ChainCorrupted(0, "there is no block at all")
    return chain
