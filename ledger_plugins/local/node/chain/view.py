"""A chain as a ledger one can read: of a node's main branch, or of a block while it is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fedledger.errors import OpenedReadOnly, UnknownBlock

from ....addresses import checksum_address
from ....base import Block as PlainBlock
from ....base import CallTerms, Event, Head, Inclusion, Ledger, OnLedger, Receipt, SignedTransaction
from ....following import Cursor, Followed, follow
from ....transactions import decode_transaction
from ...chain.block import Block
from ...chain.chain import Chain, Draft
from ...chain.execution import Executed
from ...chain.genesis import Genesis
from ...chain.records import placed

__all__ = ["SETTLED", "ChainView"]

SETTLED = 6
"""Blocks on top of one that a network's ordinary reorganisations do not touch."""


class ChainView(Ledger):
    """Reads a chain in memory; what a draft has executed counts, too, when there is one.

    The draft is no block yet: `block`, `transactions_of` and `follow` end in the block before it,
    and its events have "0x" for the block's hash, as `head` has.

    Args:
        chain: the chain; whoever reads holds its lock.
        block_at: returns the block with an index.
        draft: the chain's open draft, or None.
        url: what to say about where it is.
    """

    shared = True
    settled_depth = SETTLED
    header_form = "fedledger"
    read_only = True

    def __init__(
        self,
        chain: Chain,
        block_at: Callable[[int], Block],
        draft: Draft | None = None,
        url: str = "local+memory://",
    ) -> None:
        self.url = url
        self._chain = chain
        self._block_at = block_at
        self._draft = draft

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id that every transaction on this ledger signs."""
        return self._chain.genesis.chain_id

    @property
    def genesis(self) -> Genesis:
        """The parameters the chain was made with."""
        return self._chain.genesis

    def full_block(self, index: int) -> Block:
        """Return a block with all that it holds.

        Raises:
            UnknownBlock: there is none with this index.
        """
        newest = self._chain.head.index
        if not 0 <= index <= newest:
            raise UnknownBlock(index, newest)
        return self._block_at(index)

    def head(self) -> Head:
        """Return the newest block; of a draft only index and time are known."""
        if self._draft is not None:
            return Head(self._draft.index, "0x", self._draft.timestamp // 1000)
        header = self._chain.head
        return Head(header.index, "0x" + header.hash.hex(), header.timestamp // 1000)

    def block(self, index: int) -> PlainBlock:
        """Return a block; a draft is none yet.

        Raises:
            UnknownBlock: there is none with this index.
        """
        return self.full_block(index).plain()

    def transactions_of(
        self, account: str, *, since: int = 0, until: int | None = None
    ) -> list[Inclusion]:
        """Return where an account's calls are, in ledger order (clause L12), from an index."""
        last = self._chain.head.index if until is None else until
        calls = self._chain.records.calls(checksum_address(account), since, last)
        return placed(calls, lambda index: self.block(index).hash)

    def blocks(self, since: int = 0, until: int | None = None) -> Iterator[PlainBlock]:
        """Yield blocks in order (clause L11)."""
        newest = self._chain.head.index
        return super().blocks(since, newest if until is None else min(until, newest))

    def follow(
        self,
        contract: str,
        event: str | None = None,
        *,
        after: Cursor | str | None = None,
        limit: int | None = None,
    ) -> Followed:
        """Return a contract's events after a cursor, and the cursor behind them (clause L14)."""
        made = self if self._draft is None else ChainView(self._chain, self._block_at, url=self.url)
        return follow(made, contract, event, after=after, limit=limit)

    def index_of(self, block_hash: str) -> int | None:
        """Return the index of the block with this hash; None: the chain has none (clause L17)."""
        return self._chain.index_of(block_hash)

    def headers(self, since: int, until: int) -> list[bytes]:
        """Return the headers of blocks `since` to `until` (clause L17)."""
        return [self._block_at(index).preimage() for index in range(since, until + 1)]

    def contracts(self) -> Mapping[str, OnLedger]:
        """Return the contracts that the next block has (clause L16)."""
        return self._chain.contracts()

    def interface(self, contract: str) -> str:
        """Return how the ABI of the version that the next block executes is asked for."""
        return self._chain.execution.named(contract, self._chain.head.index + 1)

    def nonce(self, address: str) -> int:
        """Return the nonce the next transaction of `address` must carry."""
        return self._chain.execution.nonce(checksum_address(address))

    def terms(self, contract: str, function: str) -> CallTerms:
        """Return what signing a call of `function` needs; gas and fees are 0."""
        following = self._chain.head.index + 1
        place = self._chain.execution.address_of(contract, function, following)
        return CallTerms(self.chain_id, place)

    def transact(self, transaction: SignedTransaction) -> Receipt:  # noqa: ARG002 - none is taken
        """Refuse: blocks are made elsewhere."""
        raise OpenedReadOnly(self.url)

    def call(self, contract: str, function: str, *args: Any) -> Any:
        """Return a view's result, judged by the newest block's time."""
        head = self.head()
        return self._chain.execution.view(
            contract, function, args, seconds=head.timestamp, block=head.block
        )

    def events(
        self, contract: str, event: str | None = None, *, since: int = 0, until: int | None = None
    ) -> list[Event]:
        """Return a contract's events in ledger order (clause L4).

        Raises:
            CallError: unknown contract or event.
        """
        self._chain.execution.check_events(contract, event)
        last = self.head().block if until is None else until
        found = self._chain.records.events(contract, event, since, last)
        fresh = [
            one
            for executed in self._executed()
            for one in executed.events
            if one.contract == contract and event in (None, one.name) and since <= one.block <= last
        ]
        return found + fresh

    def transaction(self, transaction: str) -> SignedTransaction:
        """Return the transaction with this hash; KeyError when there is none."""
        for executed in self._executed():
            if executed.transaction.hash == transaction:
                return executed.transaction
        index, position = self._chain.records.places[transaction]
        return decode_transaction(self._block_at(index).transactions[position])

    def verify(self) -> None:
        """Do nothing: every block was checked before it became part of the chain."""

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _executed(self) -> Sequence[Executed]:
        return self._draft.executed if self._draft is not None else ()
