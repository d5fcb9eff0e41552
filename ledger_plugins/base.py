"""The interface every ledger implements, and the value objects that cross it.

A ledger executes signed calls of contracts in one order and remembers them. Backends keep the
clauses L1 to L17 (docs/architecture.md); `fedledger.ledger_plugins.testing` proves them.

Conventions: an address is an EIP-55 checksummed "0x…" string, a hash a lower-case "0x…" string of
32 bytes, time is in whole seconds of the ledger's own clock, and a contract is named by its name in
the registry of contracts ("TrainingTask"), never by its address.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fedledger.errors import (
    ContractError,
    LedgerUnavailable,
    OpenedReadOnly,
    TransactionRefused,
    UnknownBlock,
)

from .addresses import checksum_address
from .calls import CallTerms, SignedTransaction, UnsignedTransaction

if TYPE_CHECKING:
    from .following import Cursor, Followed

__all__ = [
    "Block",
    "CallResult",
    "CallTerms",
    "Event",
    "Head",
    "Inclusion",
    "Ledger",
    "OnLedger",
    "Placed",
    "Receipt",
    "SignedTransaction",
    "UnsignedTransaction",
    "having",
]


class Placed:
    """What has a place on a ledger: compared by `place`, earlier things are smaller."""

    __slots__ = ()
    block: int
    position: int

    @property
    def place(self) -> tuple[int, int]:
        """Index of the block, and position in it among things of the same kind."""
        return self.block, self.position


@dataclass(frozen=True, slots=True)
class Event(Placed):
    """Something a contract said while it executed a transaction.

    Attributes:
        contract: the contract's name.
        name: the event's name in the ABI.
        arguments: by name; addresses checksummed, `bytes` as bytes, integers as int.
        block: index of the block.
        transaction: hash of the transaction.
        position: position among all events of the block, from 0.
        time: the block's time in whole seconds (clause L13).
        block_hash: the block's hash; "" or "0x" while the block is being made.
    """

    contract: str
    name: str
    arguments: Mapping[str, Any]
    block: int
    transaction: str
    position: int
    time: int = 0
    block_hash: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of inclusion: the call was executed, and where (clause L3).

    Attributes:
        transaction: hash of the transaction.
        block: index of the block that holds it.
        block_hash: that block's hash.
        position: position of the transaction in the block, from 0.
        events: what the contracts said, in order.
    """

    transaction: str
    block: int
    block_hash: str
    position: int
    events: tuple[Event, ...] = field(default=())

    def event(self, name: str) -> Event:
        """Return the only event called `name`; KeyError when there is none or more than one."""
        found = [event for event in self.events if event.name == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} events {name!r} in transaction {self.transaction}")
        return found[0]


CallResult = Receipt | ContractError | TransactionRefused | LedgerUnavailable
"""What became of one call of many: its receipt, or the error that it would have raised alone."""


@dataclass(frozen=True, slots=True)
class Inclusion(Placed):
    """Where a call is that took effect (clause L12).

    Attributes:
        transaction: hash of the transaction.
        block: index of the block that holds it.
        block_hash: that block's hash.
        position: position of the transaction in the block, from 0.
    """

    transaction: str
    block: int
    block_hash: str
    position: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block, as every ledger has them (clause L11).

    Attributes:
        index: its index; the first block is 0.
        hash: its hash, which covers the previous one's.
        previous_hash: hash of the block before; of block 0 32 zero bytes.
        timestamp: its time in whole seconds.
        transactions: hashes of its transactions in order, of everybody's: on a ledger that others
            write too, some need be no calls of our contracts.
    """

    index: int
    hash: str
    previous_hash: str
    timestamp: int
    transactions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block a ledger stands on.

    Attributes:
        block: its index.
        hash: its hash.
        timestamp: its time in whole seconds; never goes back (clause L5).
    """

    block: int
    hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class OnLedger:
    """A contract as a ledger has it (clause L16).

    Attributes:
        name: its name.
        version: the version that the next call meets, from 1.
        address: where calls are sent.
        abi: digest of that version's ABI, 32 bytes (`contracts.registry.abi_digest`).
        since: index of the first block with this version.
    """

    name: str
    version: int
    address: str
    abi: bytes
    since: int


def having(events: Iterable[Event], equal: Mapping[str, Any]) -> list[Event]:
    """Return the events whose arguments have given values; see `Ledger.matching`."""
    among = {name: one if isinstance(one, list) else [one] for name, one in equal.items()}
    return [
        one
        for one in events
        if all(one.arguments.get(name) in values for name, values in among.items())
    ]


class Ledger(ABC):
    """One ledger, opened by `open_ledger(url)`; a context manager that closes it."""

    url: str
    """The URL that opens this ledger again."""

    shared: ClassVar[bool] = False
    """Whether others write it too: it may have tasks and newer blocks that are not ours."""

    settled_depth: ClassVar[int] = 0
    """Blocks on top of one that an ordinary reorganisation does not touch; 0: it has one writer."""

    read_only: bool = False
    """Whether it was opened to read: it refuses transactions, and changes nothing (clause L15)."""

    @property
    @abstractmethod
    def chain_id(self) -> int:
        """EIP-155 chain id that every transaction on this ledger signs."""

    @abstractmethod
    def head(self) -> Head:
        """Return the newest block's place, hash and time."""

    @abstractmethod
    def block(self, index: int) -> Block:
        """Return a block of the chain.

        Raises:
            UnknownBlock: there is none with this index.
        """

    def blocks(self, since: int = 0, until: int | None = None) -> Iterator[Block]:
        """Yield blocks in order, each after the one whose hash it names; none is kept in memory.

        Args:
            since: first block.
            until: last block (default: the head at the first step; never beyond it).

        Raises:
            LedgerUnavailable: blocks were replaced meanwhile: begin again.
        """
        newest = self.head().block
        last = newest if until is None else min(until, newest)
        before: Block | None = None
        for index in range(max(since, 0), last + 1):
            try:
                block = self.block(index)
            except UnknownBlock as error:
                raise LedgerUnavailable(f"the chain became shorter than {newest} blocks") from error
            if before is not None and block.previous_hash != before.hash:
                raise LedgerUnavailable(f"block {before.index} was replaced meanwhile: begin again")
            yield block
            before = block

    def settled(self) -> Block:
        """Return the block that signers name: an ordinary reorganisation does not touch it.

        On a ledger with one writer it is the newest one (clause L17).
        """
        return self.block(max(0, self.head().block - self.settled_depth))

    def index_of(self, block_hash: str) -> int | None:
        """Return the index of the block with this hash; None: the chain has none (clause L17).

        A backend that keeps no index looks at every block, as this default does.
        """
        indices = range(self.head().block, -1, -1)
        return next((one for one in indices if self.block(one).hash == block_hash), None)

    @property
    def header_form(self) -> str:
        """How its headers are hashed (`ancestry.FORMS`); "": nobody can check that from outside."""
        return ""

    def headers(self, since: int, until: int) -> list[bytes]:  # noqa: ARG002 - see subclasses
        """Return the headers of blocks `since` to `until`, as `header_form` hashes them.

        Raises:
            UnknownBlock: one of them is not there.
            LedgerUnavailable: this ledger's hashes cannot be recomputed.
        """
        raise LedgerUnavailable(f"{self.url} has no headers that can be checked")

    @property
    def places(self) -> dict[str, Any] | None:
        """What a reader elsewhere needs besides the URL (`open_ledger(…, places=…)`): JSON."""
        return None

    @abstractmethod
    def contracts(self) -> Mapping[str, OnLedger]:
        """Return the contracts that the next block has, by name (clause L16)."""

    @abstractmethod
    def nonce(self, address: str) -> int:
        """Return the nonce the next transaction of `address` must carry."""

    @abstractmethod
    def terms(self, contract: str, function: str) -> CallTerms:
        """Return what a client needs to sign a call of `function` offline.

        Raises:
            CallError: unknown contract or function.
        """

    @abstractmethod
    def transact(self, transaction: SignedTransaction) -> Receipt:
        """Execute a signed call; when this returns, it is durable (clause L6).

        Raises:
            ContractError: the contract refused; nothing changed.
            TransactionRefused: wrong chain, nonce or contract, or a replay.
            LedgerUnavailable: the ledger cannot be reached; see the message for what happens next.
        """

    def transact_all(self, transactions: Sequence[SignedTransaction]) -> list[CallResult]:
        """Execute calls in order, each on its own: one that fails does not stop the others.

        Backends override this when they can put several calls into one block. The result has one
        entry for each transaction, its receipt or the error it raised: LedgerUnavailable for one
        that no block took in time, while the ledger itself went on.

        Raises:
            LedgerUnavailable: the ledger cannot be reached.
        """
        results: list[CallResult] = []
        for transaction in transactions:
            try:
                results.append(self.transact(transaction))
            except (ContractError, TransactionRefused) as error:
                results.append(error)
        return results

    @abstractmethod
    def call(self, contract: str, function: str, *args: Any) -> Any:
        """Return a view's result: one value, or a tuple where the ABI names several.

        Raises:
            CallError: unknown contract or function, or arguments that do not fit (clause L10).
            ContractError: the view itself refused.
        """

    @abstractmethod
    def events(
        self, contract: str, event: str | None = None, *, since: int = 0, until: int | None = None
    ) -> list[Event]:
        """Return a contract's events in ledger order (clause L4).

        Args:
            contract: the contract's name.
            event: only events of this name, or all.
            since: first block to look at.
            until: last block to look at (default: the head).
        """

    def matching(
        self,
        contract: str,
        event: str,
        equal: Mapping[str, Any],
        *,
        since: int = 0,
        until: int | None = None,
    ) -> list[Event]:
        """Return the events whose arguments have given values, in ledger order.

        A backend that can look for them overrides this, so that nobody else's events cost time.

        Args:
            contract: the contract's name.
            event: the event's name.
            equal: values by the argument's name, or lists of which one has to be there.
            since: first block to look at.
            until: last block to look at (default: the head).
        """
        return having(self.events(contract, event, since=since, until=until), equal)

    @abstractmethod
    def transaction(self, transaction: str) -> SignedTransaction:
        """Return the transaction with this hash, signature and all; KeyError when there is none."""

    def receipt(self, transaction: str) -> Receipt:
        """Return where a call that took effect is, and its events; KeyError when there is none."""
        from .following import find_receipt  # noqa: PLC0415 - it builds on this interface

        return find_receipt(self, transaction)

    def transactions_of(
        self, account: str, *, since: int = 0, until: int | None = None
    ) -> list[Inclusion]:
        """Return where an account's calls of this ledger's contracts are, in ledger order.

        Complete (clause L12): what the account signed and a block executed, and nothing else. A
        backend that keeps no index reads every transaction of the blocks, as this default does.

        Args:
            account: the address.
            since: first block to look at.
            until: last block to look at (default: the head).

        Raises:
            CallError: `account` is no address.
        """
        sender = checksum_address(account)
        found = []
        for block in self.blocks(since, until):
            for position, one in enumerate(block.transactions):
                try:
                    if self.transaction(one).sender != sender:
                        continue
                except KeyError:
                    continue  # no call of a contract
                found.append(Inclusion(one, block.index, block.hash, position))
        return found

    def follow(
        self,
        contract: str,
        event: str | None = None,
        *,
        after: "Cursor | str | None" = None,
        limit: int | None = None,
    ) -> "Followed":
        """Return a contract's events after a cursor, and the cursor behind them (clause L14).

        Called with the cursor of the call before, again and again, it returns every event once and
        in ledger order, however often nothing is new. Nothing waits or runs in the background: the
        caller asks when it likes, and may keep `str(cursor)` to go on after a restart, or with
        another object that opens the same ledger.

        Args:
            contract: the contract's name.
            event: only events of this name, or all.
            after: the cursor of an earlier call, or its text; None: from the first block on. A
                cursor is a place on the ledger, whatever was followed up to it.
            limit: at most so many events; None: all there are.

        Raises:
            CallError: unknown contract or event, a limit below 1, or a text that is no cursor.
            Reorganised: the cursor's block is not on the chain any more; the error has a cursor
                behind the newest block in common.
            LedgerUnavailable: the ledger ends before the cursor's block (it is behind, or another
                one), or its blocks change too fast.
        """
        from .following import follow  # noqa: PLC0415 - it builds on this interface

        return follow(self, contract, event, after=after, limit=limit)

    @abstractmethod
    def verify(self) -> str | None:
        """Check everything that can be checked about the ledger itself, from its first block.

        Returns:
            None, or what could not be checked on this ledger and why, for people.

        Raises:
            ChainCorrupted: with the first block that does not verify.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and connections; closing twice is fine."""

    def holds(self, block_hash: str) -> bool:
        """Tell whether a block noted earlier is still the newest one; where shared, still there."""
        if self.shared:
            return self.index_of(block_hash) is not None
        return self.head().hash == block_hash

    def interface(self, contract: str) -> str:
        """Return how the ABI that a call has to fit is asked for: "Counter@2"."""
        return contract

    def check_writable(self) -> None:
        """Do nothing, or refuse a transaction: the first line of every `transact` and its kin.

        Raises:
            OpenedReadOnly: the ledger was opened to read only.
        """
        if self.read_only:
            raise OpenedReadOnly(self.url)

    def prepare(self, sender: str, contract: str, function: str, *args: Any) -> UnsignedTransaction:
        """Return the transaction that `sender` has to sign to call `function`.

        Raises:
            CallError: unknown contract or function, or arguments that do not fit (clause L10).
        """
        from .contracts.abi import encode_call  # noqa: PLC0415

        data = encode_call(self.interface(contract), function, *args)
        return UnsignedTransaction(self.terms(contract, function), self.nonce(sender), data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
