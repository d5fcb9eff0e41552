"""The embedded ledger: a chain in memory, its file, and the lock that keeps writers apart."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import quote

from fedledger.effects import Disk
from fedledger.errors import (
    ChainCorrupted,
    ContractError,
    LedgerError,
    LedgerUnavailable,
    MalformedBlock,
    TransactionRefused,
    UnknownBlock,
)

from ..addresses import checksum_address
from ..base import Block as PlainBlock
from ..base import (
    CallResult,
    CallTerms,
    Event,
    Head,
    Inclusion,
    Ledger,
    OnLedger,
    Receipt,
    SignedTransaction,
)
from ..following import Cursor, Followed
from ..transactions import checked, decode_transaction
from .chain.block import Block
from .chain.chain import Chain, Draft, replay
from .chain.genesis import Genesis
from .chain.records import placed
from .disk.database import BlockFile
from .disk.lock import WriteLock
from .disk.snapshot import SNAPSHOT_AFTER, save_snapshot, snapshot_path

__all__ = ["LocalLedger"]

_log = logging.getLogger(__name__)


class LocalLedger(Ledger):
    """An embedded chain, opened by `opening.open_local_ledger`; threads may share it.

    Attributes:
        url: the URL that opens it again.
        read_only: whether it refuses transactions; it then shows the chain as it was when opened or
            when `refresh` or `follow` was last called.
    """

    header_form = "fedledger"

    def __init__(
        self,
        path: Path,
        file: BlockFile,
        chain: Chain,
        lock: WriteLock | None,
        *,
        clock: Callable[[], float],
        disk: Disk,
        saved: int = 0,
    ) -> None:
        self.url = "local://" + quote(str(path))
        self.read_only = lock is None
        self._path = path
        self._file = file
        self._chain = chain
        self._lock = lock
        self._clock = clock
        self._disk = disk
        self._guard = RLock()
        self._closed: str | None = None
        self._saved = saved  # transactions that the snapshot has
        self._restored = saved > 0

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id that every transaction on this ledger signs."""
        return self._chain.genesis.chain_id

    @property
    def genesis(self) -> Genesis:
        """The parameters the chain was made with."""
        return self._chain.genesis

    def head(self) -> Head:
        """Return the newest block."""
        with self._open() as chain:
            header = chain.head
        return Head(header.index, _hex(header.hash), header.timestamp // 1000)

    def index_of(self, block_hash: str) -> int | None:
        """Return the index of the block with this hash; None: the chain has none (clause L17)."""
        with self._open() as chain:
            return chain.index_of(block_hash)

    def headers(self, since: int, until: int) -> list[bytes]:
        """Return the headers of blocks `since` to `until` (clause L17)."""
        return [self.full_block(index).preimage() for index in range(since, until + 1)]

    def contracts(self) -> Mapping[str, OnLedger]:
        """Return the contracts that the next block has (clause L16)."""
        with self._open() as chain:
            return chain.contracts()

    def interface(self, contract: str) -> str:
        """Return how the ABI of the version that the next block executes is asked for."""
        with self._open() as chain:
            return chain.execution.named(contract, chain.head.index + 1)

    def nonce(self, address: str) -> int:
        """Return the nonce the next transaction of `address` must carry."""
        with self._open() as chain:
            return chain.execution.nonce(checksum_address(address))

    def terms(self, contract: str, function: str) -> CallTerms:
        """Return what signing a call of `function` needs; gas and fees are 0."""
        with self._open() as chain:
            place = chain.execution.address_of(contract, function, chain.head.index + 1)
            return CallTerms(self.chain_id, place)

    def transact(self, transaction: SignedTransaction) -> Receipt:
        """Execute a signed call in a block of its own; when this returns, it is on the disk."""
        (result,) = self.transact_all([transaction])
        if isinstance(result, LedgerError):
            raise result
        return result

    def transact_all(self, transactions: Sequence[SignedTransaction]) -> list[CallResult]:
        """Execute calls in order, in one block: on the disk all of them are, or none is.

        More than a block may hold (1,000 transactions, 4 MiB; clause L9) become several blocks.
        """
        self.check_writable()
        results: list[CallResult] = []
        with self._open() as chain:
            while len(results) < len(transactions):
                results += self._one_block(chain, transactions[len(results) :])
        return results

    def call(self, contract: str, function: str, *args: Any) -> Any:
        """Return a view's result, judged by the newest block's time."""
        with self._open() as chain:
            head = chain.head
            return chain.execution.view(
                contract, function, args, seconds=head.timestamp // 1000, block=head.index
            )

    def events(
        self, contract: str, event: str | None = None, *, since: int = 0, until: int | None = None
    ) -> list[Event]:
        """Return a contract's events in ledger order (clause L4).

        Raises:
            CallError: unknown contract or event.
        """
        with self._open() as chain:
            chain.execution.check_events(contract, event)
            last = chain.head.index if until is None else until
            return chain.records.events(contract, event, since, last)

    def transaction(self, transaction: str) -> SignedTransaction:
        """Return the transaction with this hash; KeyError when there is none."""
        with self._open() as chain:
            index, position = chain.records.places[transaction]
            return decode_transaction(self.full_block(index).transactions[position])

    def transactions_of(
        self, account: str, *, since: int = 0, until: int | None = None
    ) -> list[Inclusion]:
        """Return where an account's calls are, in ledger order (clause L12), from an index."""
        with self._open() as chain:
            last = chain.head.index if until is None else until
            calls = chain.records.calls(checksum_address(account), since, last)
            return placed(calls, lambda index: _hex(self.full_block(index).header.hash))

    def follow(
        self,
        contract: str,
        event: str | None = None,
        *,
        after: Cursor | str | None = None,
        limit: int | None = None,
    ) -> Followed:
        """Return a contract's events after a cursor, and the cursor behind them (clause L14).

        Opened to read only, it takes in first what a writer has added (`refresh`).
        """
        with self._open():
            self.refresh()
            return super().follow(contract, event, after=after, limit=limit)

    def refresh(self) -> Head:
        """Take in, checked completely, what a writer has added since this was opened to read.

        Raises:
            ChainCorrupted: a new block does not verify; what was there before is still shown.
        """
        with self._open() as chain:
            if self.read_only:
                replay(self._file.read_all(chain.head.index + 1), onto=chain)
            return self.head()

    def block(self, index: int) -> PlainBlock:
        """Return a block as every ledger has them (clause L11).

        Raises:
            UnknownBlock: there is none with this index.
            ChainCorrupted: what is on the disk is no block any more.
        """
        return self.full_block(index).plain()

    def full_block(self, index: int) -> Block:
        """Return a block with all that it holds, read from the disk.

        Raises:
            UnknownBlock: there is none with this index.
            ChainCorrupted: what is on the disk is no block any more.
        """
        with self._open() as chain:
            if not 0 <= index <= chain.head.index:
                raise UnknownBlock(index, chain.head.index)
            try:
                return Block.decode(self._file.read(index))
            except MalformedBlock as error:
                raise ChainCorrupted(index, str(error)) from error

    def full_blocks(self) -> Iterator[Block]:
        """Yield all blocks from block 0 to the newest, each with all that it holds."""
        index = 0
        while index <= self.head().block:
            yield self.full_block(index)
            index += 1

    def verify(self) -> None:
        """Read the file anew and check every block of it as when it was opened.

        Raises:
            ChainCorrupted: with the first block that does not verify.
        """
        with self._open() as chain:
            head = chain.head
            claimed = chain.state() if self._restored else None
            file = BlockFile(self._path, write=False)
            try:
                encoded = file.read_all()
            finally:
                file.close()
        again = replay(encoded[: head.index + 1])
        if again.head != head:
            raise ChainCorrupted(
                again.head.index, f"the file ends in {_hex(again.head.hash)}, not {_hex(head.hash)}"
            )
        if claimed is not None and again.state() != claimed:
            raise ChainCorrupted(head.index, "its blocks do not lead to the state in the snapshot")
        if not self.read_only and len(encoded) > head.index + 1:
            raise ChainCorrupted(head.index + 1, "somebody else wrote this block")

    def close(self) -> None:
        """Write a snapshot if it is worth it, close the file and give the lock back, once."""
        with self._guard:
            if self._closed is None:
                self.save_snapshot()
            self._give_up("it was closed")

    def save_snapshot(self) -> None:
        """Write a snapshot when much happened since the last one; nothing depends on it."""
        if self.read_only or len(self._chain.records.places) - self._saved < SNAPSHOT_AFTER:
            return
        try:
            save_snapshot(snapshot_path(self._path), self._chain, self._disk)
        except OSError as error:
            _log.warning("no snapshot of %s could be written: %s", self._path, error)
        else:
            self._saved = len(self._chain.records.places)

    def _one_block(
        self, chain: Chain, transactions: Sequence[SignedTransaction]
    ) -> list[CallResult]:
        """Execute and commit as many as fit; return what became of these."""
        refused: dict[int, ContractError | TransactionRefused] = {}
        taken = 0
        now = max(int(self._clock() * 1000), chain.head.timestamp + 1)
        with chain.begin(now) as draft:
            for place, transaction in enumerate(transactions):
                try:
                    known = checked(transaction)
                    if not draft.fits(known):
                        break
                    draft.add(known)
                except (ContractError, TransactionRefused) as error:
                    refused[place] = error
                taken += 1
            receipts = iter(self._commit(draft) if draft.executed else ())
        return [refused.get(place) or next(receipts) for place in range(taken)]

    def _commit(self, draft: Draft) -> list[Receipt]:
        block = draft.seal()
        header = block.header
        try:
            self._file.append(header.index, block.encode())
            if self._lock:
                self._lock.acknowledge(header.index + 1)
            draft.keep(block)
        except BaseException:
            # Whether the block is on the disk is known only after reading it again.
            self._give_up(f"writing block {header.index} failed, open it again")
            raise
        return [
            Receipt(one.transaction.hash, header.index, _hex(header.hash), position, one.events)
            for position, one in enumerate(draft.executed)
        ]

    def _give_up(self, why: str) -> None:
        self._closed = self._closed or why
        whole = self._file.close()
        if self._lock:
            if whole:
                self._lock.acknowledge(0)
            self._lock.release()

    @contextmanager
    def _open(self) -> Iterator[Chain]:
        with self._guard:
            if self._closed is not None:
                raise LedgerUnavailable(f"{self.url} cannot be used: {self._closed}")
            yield self._chain


def _hex(digest: bytes) -> str:
    return "0x" + digest.hex()
