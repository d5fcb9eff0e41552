"""What waits for a block and publishes a round: it is verified before it comes into one.

Anybody may publish rounds of a task of its own, as many as the pool holds, so what cannot be
verified costs a miner one look, and no more until the content that is missing is there.
"""

import logging
from collections.abc import Callable, Sequence

from fedledger.errors import ContentNotFound, FedledgerError, TransactionRefused
from fedledger.guards import Failures, spared

from ...chain.chain import Draft
from .branch import Branch, is_passing
from .pool import Pending, Pool

__all__ = ["Publications"]

logger = logging.getLogger(__name__)


class Publications:
    """Verifies the rounds that waiting transactions publish; whoever uses it holds the node's lock.

    Args:
        branch: the main branch.
        pool: what waits.
        has: tells whether a content is here.
        want: takes the CID of a content that peers should be asked for.
        drop: takes a transaction whose round is wrong, and why.
        failures: those of its units that were said already.
    """

    def __init__(
        self,
        branch: Branch,
        pool: Pool,
        *,
        has: Callable[[str], bool],
        want: Callable[[str], None],
        drop: Callable[[Pending, Exception], None],
        failures: Failures,
    ) -> None:
        self._branch = branch
        self._pool = pool
        self._has = has
        self._want = want
        self._drop = drop
        self._failures = failures
        self._missing: dict[str, str] = {}

    def held(self) -> set[str]:
        """Return the transactions that still wait for a content: they are not even executed."""
        self._missing = {
            one: cid
            for one, cid in self._missing.items()
            if one in self._pool and not self._has(cid)
        }
        for cid in dict.fromkeys(self._missing.values()):
            self._want(cid)
        return set(self._missing)

    def wrong(self, draft: Draft) -> set[str]:
        """Return the transactions of a draft that publish what cannot be verified.

        What follows a wrong round of the same task is left out with it: alone it may be right.
        """
        wrong: set[str] = set()
        tasks: set[int] = set()
        for one in draft.executed:
            rounds = self._branch.chain.rounds(one.events)
            named = {task for task, _ in rounds}
            if not named & tasks:
                with spared(f"verifying {one.transaction.hash}", logger, failures=self._failures):
                    if self._is_right(one.transaction.hash, rounds, draft):
                        continue
            wrong.add(one.transaction.hash)
            tasks |= named
        return wrong

    def _is_right(self, transaction: str, rounds: Sequence[tuple[int, int]], draft: Draft) -> bool:
        try:
            self._branch.verify(rounds, draft)
        except ContentNotFound as error:
            self._missing[transaction] = error.cid
            self._want(error.cid)
        except FedledgerError as error:
            if is_passing(error):
                raise
            if (pending := self._pool.get(transaction)) is not None:
                self._drop(pending, TransactionRefused("aggregate", str(error)))
        else:
            return True
        return False
