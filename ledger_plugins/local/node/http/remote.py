"""A node as a ledger: `local+http://HOST:PORT`.

The client keeps a chain of its own in memory. It fetches the node's blocks, checks and executes
every one of them, and answers reads itself; so a node can hide blocks from its client and follow a
branch that others do not, but it cannot make it believe a signature, a balance or an event.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import RLock
from typing import Any

from pydantic import ValidationError

from fedledger.effects import Effects
from fedledger.errors import (
    ChainCorrupted,
    ConfigError,
    ContractError,
    LedgerError,
    LedgerUnavailable,
    MalformedBlock,
    TransactionRefused,
    UnknownBlock,
)
from fedledger.formats import parse_json

from ....addresses import checksum_address
from ....base import Block as PlainBlock
from ....base import (
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
from ....following import Cursor, Followed
from ....transactions import checked
from ...chain.block import Block
from ...chain.chain import Chain, replay
from ...chain.genesis import Genesis
from ..chain.envelope import MAX_ENVELOPE_BYTES, Envelope
from ..chain.moments import MAX_DRIFT
from ..chain.view import SETTLED, ChainView
from .asking import Asking, Unreachable
from .client import Status, peer_url
from .wire import MAX_ANSWER, MAX_LIST, error_from_json, unpack

__all__ = ["NodeLedger", "open_node_ledger"]

UNDO = 256
_WAIT = 5.0
APART = 8
"""Blocks after the last call of a batch that a block took in which no other one is waited for."""


def open_node_ledger(
    url: str,
    *,
    admin: str | None = None,
    chain_id: int | None = None,
    patience: float = 120.0,
    read_only: bool = False,
) -> "NodeLedger":
    """Open the ledger that a node serves; its whole chain is fetched and verified first.

    Here a node that does not answer is an error at once, later only after `patience` seconds.

    Args:
        url: "local+http://HOST:PORT".
        admin: refuse a chain that was made with another admin.
        chain_id: refuse a chain with another id.
        patience: seconds for which a node that does not answer is asked again, and that
            `transact` waits until a transaction is in a block.
        read_only: refuse transactions (clause L15).

    Raises:
        ConfigError: the URL is wrong, or the chain is another one.
        LedgerUnavailable: no node answers.
        ChainCorrupted: what it serves is not a valid chain.
    """
    if not url.startswith("local+http://"):
        raise ConfigError(f"{url!r} names no node: local+http://HOST:PORT wanted")
    ledger = NodeLedger(
        peer_url(url.removeprefix("local+")), patience, Effects.real(), read_only=read_only
    )
    genesis = ledger.genesis
    wanted = {"admin": admin and checksum_address(admin), "chain_id": chain_id}
    for name, value in wanted.items():
        if value is not None and value != getattr(genesis, name):
            ledger.close()
            raise ConfigError(f"{name} {value}: the chain was made with {getattr(genesis, name)}")
    return ledger


class NodeLedger(Ledger):
    """A verified copy of a node's main branch; threads may share it.

    A reorganisation of the node's branch is followed: `head`, views and events then speak of the
    new branch, and a receipt of the old one names a block hash that is not there any more. The node
    puts what was taken back into a block again by itself.

    Others write a network's chain too, so it is shared: `holds` looks for a block on the whole
    branch, and an audit of a run takes the tasks of the run's own account.

    Args:
        url: the node's, "http://HOST:PORT".
        patience: seconds for which it is asked again, and that `transact` waits.
        effects: reach the node, count the seconds, wait.
        read_only: refuse transactions.
    """

    shared = True
    settled_depth = SETTLED
    header_form = "fedledger"

    def __init__(
        self,
        url: str,
        patience: float,
        effects: Effects,
        *,
        read_only: bool = False,
    ) -> None:
        self.url = "local+" + url
        self.read_only = read_only
        self._patience = patience
        self._guard = RLock()
        self._sought: object = None  # contents that the node looked for when it was last asked
        self._clock = effects.clock
        self._asking = Asking(url, transport=effects.transport, clock=effects.clock)
        self._encoded: list[bytes] = []
        self._hashes: list[str] = []
        self._chain: Chain | None = None
        try:
            self._synced(self._clock.monotonic())
        except BaseException:
            self.close()
            raise

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id that every transaction on this ledger signs."""
        return self.genesis.chain_id

    @property
    def genesis(self) -> Genesis:
        """The parameters the chain was made with."""
        assert self._chain is not None  # noqa: S101 - it was opened
        return self._chain.genesis

    def head(self) -> Head:
        """Return the newest block."""
        with self._guard:
            return self._synced().head()

    def index_of(self, block_hash: str) -> int | None:
        """Return the index of the block with this hash; None: the chain has none (clause L17)."""
        with self._guard:
            return self._synced().index_of(block_hash)

    def headers(self, since: int, until: int) -> list[bytes]:
        """Return the headers of blocks `since` to `until` (clause L17)."""
        with self._guard:
            return self._view().headers(since, until)

    def contracts(self) -> Mapping[str, OnLedger]:
        """Return the contracts that the next block has (clause L16)."""
        with self._guard:
            return self._synced().contracts()

    def interface(self, contract: str) -> str:
        """Return how the ABI of the version that the next block executes is asked for."""
        with self._guard:
            return self._synced().interface(contract)

    def nonce(self, address: str) -> int:
        """Return the nonce the next transaction of `address` must carry."""
        with self._guard:
            return self._synced().nonce(address)

    def terms(self, contract: str, function: str) -> CallTerms:
        """Return what signing a call of `function` needs; gas and fees are 0."""
        with self._guard:
            return self._view().terms(contract, function)

    def call(self, contract: str, function: str, *args: Any) -> Any:
        """Return a view's result, judged by the newest block's time."""
        with self._guard:
            return self._synced().call(contract, function, *args)

    def events(
        self, contract: str, event: str | None = None, *, since: int = 0, until: int | None = None
    ) -> list[Event]:
        """Return a contract's events in ledger order (clause L4).

        Raises:
            CallError: unknown contract or event.
        """
        with self._guard:
            return self._synced().events(contract, event, since=since, until=until)

    def transaction(self, transaction: str) -> SignedTransaction:
        """Return the transaction with this hash; KeyError when there is none."""
        with self._guard:
            return self._synced().transaction(transaction)

    def transactions_of(
        self, account: str, *, since: int = 0, until: int | None = None
    ) -> list[Inclusion]:
        """Return where an account's calls are, in ledger order (clause L12), from an index."""
        with self._guard:
            return self._synced().transactions_of(account, since=since, until=until)

    def follow(
        self,
        contract: str,
        event: str | None = None,
        *,
        after: Cursor | str | None = None,
        limit: int | None = None,
    ) -> Followed:
        """Return a contract's events after a cursor (clause L14); the node is asked once."""
        with self._guard:
            return self._synced().follow(contract, event, after=after, limit=limit)

    def block(self, index: int) -> PlainBlock:
        """Return a block as every ledger has them (clause L11).

        Raises:
            UnknownBlock: there is none with this index.
        """
        return self.full_block(index).plain()

    def full_block(self, index: int) -> Block:
        """Return a block with all that it holds.

        Raises:
            UnknownBlock: there is none with this index.
        """
        with self._guard:
            self._synced()
            if not 0 <= index < len(self._encoded):
                raise UnknownBlock(index, len(self._encoded) - 1)
            return self._block(index)

    def holds(self, block_hash: str) -> bool:
        """Tell whether the node's branch has a block, by its hash."""
        with self._guard:
            self._synced()
            return block_hash in self._hashes

    def transact(self, transaction: SignedTransaction) -> Receipt:
        """Hand a signed call to the node and wait until it is in a block.

        What the node has acknowledged it keeps on its disk and includes again after a
        reorganisation, also when this returns early with LedgerUnavailable.
        """
        (result,) = self.transact_all([transaction])
        if isinstance(result, LedgerError):
            raise result
        return result

    def transact_all(self, transactions: Sequence[SignedTransaction]) -> list[CallResult]:
        """Hand calls to the node in order, then wait until all that it took are in blocks.

        Once blocks have taken some of them, the others are waited for through `APART` more blocks
        or half of the patience, whatever comes first: what is missing then is missing alone.
        """
        self.check_writable()
        end = self._deadline()
        results: dict[int, CallResult] = {}
        taken: dict[int, str] = {}
        for place, transaction in enumerate(transactions):
            try:
                known = checked(transaction)
                self._hand_over(known, end)
                taken[place] = known.hash
            except (ContractError, TransactionRefused) as error:
                results[place] = error
        try:
            found = self._included(list(dict.fromkeys(taken.values())), end)
        except Unreachable as error:
            raise LedgerUnavailable(
                self._missing(next(iter(taken.values())), f"{error}.")
            ) from error
        results |= {place: found[one] for place, one in taken.items()}
        return [results[place] for place in range(len(transactions))]

    def verify(self) -> None:
        """Check every block again, from the bytes on.

        Raises:
            ChainCorrupted: with the first block that does not verify.
        """
        with self._guard:
            self._synced()
            replay(self._encoded)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._asking.close()

    # Inside ---------------------------------------------------------------------------------

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._patience

    def _hand_over(self, transaction: SignedTransaction, end: float) -> None:
        """Give a call to the node until it says that it has it."""
        lost: list[Unreachable] = []
        try:
            self._asking.send("POST", "/transactions", transaction.raw, end=end, lost=lost.append)
        except TransactionRefused as error:
            if not lost or error.reason != "replay":
                raise
            # A block has it already: the node had taken it, and its answer was lost.

    def _included(self, transactions: Sequence[str], end: float) -> dict[str, CallResult]:
        """Return what became of calls that the node has; one that no block has is an error alone.

        Raises:
            Unreachable: the node does not answer.
        """
        results: dict[str, CallResult] = {}
        waiting, until, last = list(transactions), end, None
        while waiting:
            with self._guard:
                head = self._synced(end).head().block
                found = {one: self._receipt(one) for one in waiting}
            landed = {one: receipt for one, receipt in found.items() if receipt is not None}
            results |= landed
            waiting = [one for one in waiting if one not in results]
            left = until - self._clock.monotonic()
            if landed:
                last, until = head, min(end, self._clock.monotonic() + self._patience / 2)
            elif left <= 0 or (last is not None and head - last >= APART):
                break
            if waiting and (error := self._failure(waiting[0], min(left, _WAIT), end)) is not None:
                results[waiting.pop(0)] = error
            waiting = waiting[1:] + waiting[:1]
        why = _waits_for(self._sought)
        return results | {one: LedgerUnavailable(self._missing(one, why)) for one in waiting}

    def _failure(self, transaction: str, wait: float, end: float) -> CallResult | None:
        """Return why the node gave a call up; None after `wait` seconds, or when a block has it."""
        path = f"/transactions/{transaction}?wait={max(wait, 0):.2f}"
        place = self._json("GET", path, end)
        self._sought = place.get("sought")
        if place.get("state") == "failed":
            error = error_from_json(place.get("error"))
            known = ContractError | TransactionRefused | LedgerUnavailable
            return error if isinstance(error, known) else LedgerUnavailable(str(error))
        if place.get("state") == "unknown":
            return LedgerUnavailable(f"the node does not know {transaction} any more")
        return None

    def _missing(self, transaction: str, why: str) -> str:
        return (
            f"{transaction} is in no block after up to {self._patience:.0f} s: {why} "
            "The node keeps it; look for it again before you send another with its nonce"
        )

    def _receipt(self, transaction: str) -> Receipt | None:
        chain = self._chain
        assert chain is not None  # noqa: S101 - it was opened
        place = chain.records.places.get(transaction)
        if place is None:
            return None
        index, position = place
        events = tuple(
            event for event in chain.records.events_in(index) if event.transaction == transaction
        )
        ordered = tuple(sorted(events, key=lambda event: event.position))
        return Receipt(transaction, index, self._hashes[index], position, ordered)

    def _view(self) -> ChainView:
        self._asking.check()
        assert self._chain is not None  # noqa: S101 - it was opened
        return ChainView(self._chain, self._block, url=self.url)

    def _block(self, index: int) -> Block:
        return Block.decode(self._encoded[index])

    def _synced(self, end: float | None = None) -> ChainView:
        """Follow the node's main branch to its head, asking again until `end`."""
        self._asking.check()
        end = self._deadline() if end is None else end
        status = self._status(end)
        if self._chain is None:
            self._start(status.first, end)
        chain, first = self._chain, self._block(0).header
        assert chain is not None  # noqa: S101 - just made
        if first.hash.hex() != status.first:
            raise LedgerUnavailable("the node serves another chain now")
        now = self._clock.wall()
        if status.index > now * 1000 + MAX_DRIFT - first.timestamp:
            raise LedgerUnavailable(
                f"the node says to have {status.index} blocks, one a millisecond at most since its "
                f"first one: it lies, or this machine's clock is wrong, which says "
                f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC"
            )
        if chain.head.hash.hex() == status.head:
            return self._view()
        # A whole chain, and what was made meanwhile: a node that flips between branches or never
        # ends must not hold its client.
        left = status.index + MAX_LIST
        while left > 0:
            page = self._page(end)
            for block in page:
                self._follow(block)
            left -= len(page)
            view = self._view()
            if not page or view.head().block >= status.index:
                return view
        raise LedgerUnavailable("the node sends more blocks than it said to have: try again")

    def _start(self, first: str, end: float) -> None:
        data = self._asking.send("GET", f"/block/{first}", most=MAX_ENVELOPE_BYTES, end=end)
        try:
            block = Envelope.decode(data).block
            chain = Chain(block, undo=UNDO)
        except MalformedBlock as error:
            raise ChainCorrupted(0, f"the node's block 0: {error}") from error
        if block.header.hash.hex() != first:
            raise ChainCorrupted(0, f"the node's block 0 is not {first}, as it said")
        self._chain = chain
        self._encoded = [block.encode()]
        self._hashes = ["0x" + first]

    def _page(self, end: float) -> list[Block]:
        last = len(self._encoded) - 1
        steps = [last - back for back in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 8192)]
        known = [self._hashes[index][2:] for index in [*(one for one in steps if one > 0), 0]]
        path = "/blocks?after=" + ",".join(known)
        most = MAX_ANSWER + 2 * MAX_ENVELOPE_BYTES
        data = self._asking.send("GET", path, most=most, end=end)
        try:
            listed = unpack(data, at_most=MAX_LIST, each=MAX_ENVELOPE_BYTES)
            return [Envelope.decode(one).block for one in listed]
        except MalformedBlock as error:
            raise LedgerUnavailable(f"the node's blocks: {error}") from error

    def _follow(self, block: Block) -> None:
        """Extend the chain; blocks that are not on the node's branch any more are taken back."""
        chain = self._chain
        assert chain is not None  # noqa: S101 - it was opened
        index = block.header.index
        if index > chain.head.index + 1 or index < 1:
            raise LedgerUnavailable("the node's blocks do not follow what was asked")
        if chain.head.index - index + 1 > chain.undoable:
            chain = self._chain = Chain(self._block(0), undo=UNDO)
            for one in range(1, index):
                chain.extend(self._block(one))
        while chain.head.index >= index:
            chain.rewind()
        del self._encoded[index:], self._hashes[index:]
        try:
            chain.extend(block)
        except MalformedBlock as error:
            raise ChainCorrupted(index, f"the node follows an invalid block: {error}") from error
        self._encoded.append(block.encode())
        self._hashes.append("0x" + block.header.hash.hex())

    def _status(self, end: float) -> Status:
        try:
            return Status.model_validate_json(self._asking.send("GET", "/status", end=end))
        except ValidationError as error:
            raise LedgerUnavailable("the node's status is none") from error

    def _json(self, method: str, path: str, end: float) -> dict[str, Any]:
        try:
            found = parse_json(self._asking.send(method, path, end=end))
        except ValueError as error:
            raise LedgerUnavailable("the node's answer is no JSON") from error
        if not isinstance(found, dict):
            raise LedgerUnavailable("the node's answer is no object")
        return found


def _waits_for(sought: object) -> str:
    """Return what to look at when no block comes, by what the node says it looks for."""
    cids = [one[:80] for one in sought if isinstance(one, str)] if isinstance(sought, list) else []
    if not cids:
        return "is a miner running?"
    return (
        f"the node looks for contents that no node has, {', '.join(cids[:3])}: what a round is "
        "made of has to be in the store of a node, file:///…/NODE/store, where miners can fetch it."
    )
