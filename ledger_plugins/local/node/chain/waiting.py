"""What waits for a block: checked when it comes, executed ahead of the block, given up in time."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from fedledger.effects import Clock
from fedledger.errors import (
    ContractError,
    ContractMissing,
    LedgerUnavailable,
    TransactionRefused,
)
from fedledger.guards import encodable

from ....base import SignedTransaction
from ...chain.block import MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS
from ...chain.chain import Chain, Draft
from .branch import Branch
from .file import Step
from .pool import MAX_AHEAD, Pending, Pool

__all__ = ["PATIENCE", "Waiting"]

PATIENCE = 5.0
"""Seconds after which a transaction is given up whose nonce another one has used.

What fails for another reason may still become possible: a contract's refusal is given up after 12
times as long when the transaction was promised to be kept, and what waits for a smaller nonce after
12 times, or 120 times when it is kept.
"""

_STALE = 1.0
_FEW = 500
_REST = 0.001
"""Seconds without executing anew, for each transaction that was tried the last time.

Executing a full pool takes seconds under the node's lock. A slow machine rests as long as a fast
one: what a node decides hangs on what it has, not on its processor.
"""

_REMEMBERED = 10_000
_MAX_ERROR = 2_000
logger = logging.getLogger(__name__)


class Waiting:
    """The pool of a node on its main branch; whoever uses it holds the node's lock.

    Args:
        branch: the main branch.
        now: milliseconds since 1970 UTC.
        clock: its monotonic seconds say how long something waits.
    """

    def __init__(self, branch: Branch, now: Callable[[], int], clock: Clock) -> None:
        self.pool = Pool()
        self._branch = branch
        self._now = now
        self._clock = clock
        self._failed: OrderedDict[str, Exception] = OrderedDict()
        self._rejected: OrderedDict[str, None] = OrderedDict()
        self._draft: Draft | None = None
        self._on: Chain | None = None
        self._drafted = 0.0
        self._tried = 0

    def failure(self, transaction: str) -> Exception | None:
        """Return why a transaction was given up, or None."""
        return self._failed.get(transaction)

    def is_news(self, transaction: str) -> bool:
        """Tell whether a peer's transaction with this hash is worth fetching."""
        return (
            transaction not in self.pool
            and transaction not in self._rejected
            and transaction not in self._branch.chain.records.places
        )

    def submit(self, transaction: SignedTransaction, step: Step, source: str = "") -> None:
        """Take a client's transaction, to be kept from `step` on; `source` handed it over.

        Raises:
            TransactionRefused, ContractError: it cannot be executed after what is waiting.
            LedgerUnavailable: too many wait.
        """
        known = self.pool.get(transaction.hash)
        if known is None:
            self.pool.check_room(transaction, source)
            self._executed().add(transaction)
            known = Pending(transaction, kept=True, source=source)
            self.pool.add(known)
        known.kept = True
        self._failed.pop(transaction.hash, None)
        step.keep[transaction.hash] = transaction.raw

    def offer(self, transaction: SignedTransaction) -> bool:
        """Take a peer's transaction if it can be executed now or soon; tell whether it was."""
        if not self.is_news(transaction.hash):
            return False
        try:
            self.pool.check_room(transaction)
            if not self._is_ahead(transaction):
                self._executed().add(transaction)
            self.pool.add(Pending(transaction, kept=False))
        except (TransactionRefused, ContractError, LedgerUnavailable) as error:
            logger.debug("transaction %s of a peer not taken: %s", transaction.hash, error)
            _remember(self._rejected, transaction.hash, None)
            return False
        return True

    def take_back(self, transactions: Sequence[SignedTransaction], step: Step) -> None:
        """Let what is not on the main branch any more wait again, before everything else."""
        places = self._branch.chain.records.places
        back = [one for one in transactions if one.hash not in places]
        self.pool.put_back(back)
        step.keep |= {one.hash: one.raw for one in back}
        if back:
            logger.info("%d transactions wait for a block again", len(back))

    def moved(self, included: Sequence[str]) -> None:
        """Note that the head has changed, and what is in its new blocks."""
        self._draft = None  # it may belong to a chain that a deep reorganisation has replaced
        self._rejected.clear()
        for transaction in included:
            self.pool.remove(transaction)

    def give_up(self, step: Step) -> None:
        """Drop what could not be executed for long; what was promised is reported."""
        if not self.pool:
            return
        now = self._clock.monotonic()
        if self._tried <= _FEW or now - self._drafted >= _REST * self._tried:
            self._executed()
        for pending in self.pool:
            if pending.failing is None or pending.error is None:
                continue
            if now - pending.failing >= PATIENCE * self._patience(pending):
                self.drop(pending, pending.error, step)

    def drop(self, pending: Pending, error: Exception, step: Step) -> None:
        """Drop one."""
        transaction = pending.transaction
        self.pool.remove(transaction.hash)
        _remember(self._rejected, transaction.hash, None)
        self.note_failure(transaction.hash, error)
        if pending.kept:
            step.failed[transaction.hash] = encodable(str(error))[:_MAX_ERROR]
            logger.warning("transaction %s will not happen: %s", transaction.hash, error)

    def note_failure(self, transaction: str, error: Exception) -> None:
        """Remember why a transaction was given up."""
        _remember(self._failed, transaction, error)

    def fill(
        self, draft: Draft, *, bounded: bool = False, skip: frozenset[str] = frozenset()
    ) -> int:
        """Execute in `draft` what waits and can be executed; return how often one was tried.

        Args:
            draft: an open draft on the head.
            bounded: only as much as fits into a block.
            skip: hashes of what to leave out.
        """
        waiting = self.pool.in_turn(MAX_BLOCK_TRANSACTIONS, MAX_BLOCK_BYTES)
        todo = [one for one in waiting if one.transaction.hash not in skip]
        progress, tried = True, 0
        while todo and progress:
            progress, later = False, []
            for pending in todo:
                try:
                    if bounded and not draft.fits(pending.transaction):
                        return tried
                    tried += 1
                    draft.add(pending.transaction)
                    pending.failing, pending.error = None, None
                    progress = True
                except (TransactionRefused, ContractError, ContractMissing) as error:
                    if pending.failing is None:
                        pending.failing = self._clock.monotonic()
                    pending.error = error
                    later.append(pending)
            todo = later
        return tried

    def _patience(self, pending: Pending) -> int:
        if isinstance(pending.error, ContractError):
            return 12 if pending.kept else 1
        unsigned, sender = pending.transaction.unsigned, pending.transaction.sender
        if unsigned.nonce > self._branch.chain.execution.nonce(sender):
            return 120 if pending.kept else 12
        return 1

    def _executed(self) -> Draft:
        """Return a draft on the head in which everything executable was executed."""
        age = self._clock.monotonic() - self._drafted
        chain = self._branch.chain
        draft = self._draft
        fresh = age < max(_STALE, _REST * self._tried)
        if fresh and draft is not None and draft.open and self._on is chain:
            return draft
        draft = chain.begin(max(self._now(), chain.head.timestamp + 1))
        self._tried = self.fill(draft)
        self._draft, self._on, self._drafted = draft, chain, self._clock.monotonic()
        return draft

    def _is_ahead(self, transaction: SignedTransaction) -> bool:
        """Tell whether a transaction's nonce is a little above the sender's next one."""
        self._executed()
        following = self._branch.chain.execution.nonce(transaction.sender)
        return following < transaction.unsigned.nonce <= following + MAX_AHEAD


def _remember(memory: "OrderedDict[str, Any]", key: str, value: object) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)
