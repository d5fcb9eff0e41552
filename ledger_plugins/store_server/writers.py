"""Who may write: accounts that the operator names, and the members of tasks as they are now."""

import asyncio
import logging
from collections.abc import Callable, Collection

from fedledger.effects import Effects
from fedledger.guards import in_words

from ..http.answers import Refusal
from ..storage.base import Store

__all__ = ["Members", "Writers"]

Members = Callable[[Store], Collection[str]]
"""Asks the ledger, and the store for specifications, which accounts belong to tasks now."""

_FRESH = 10.0  # seconds for which an answer of the ledger is taken for what is so now,
_NEW = 1.0  # for an account that is not among them,
_OLD = 120.0  # and while the ledger cannot be asked
_PATIENCE = 5.0  # seconds for which a writer waits for its answer

logger = logging.getLogger(__name__)


class Writers:
    """Says who may write.

    Args:
        allowed: accounts that always may.
        members: asks for those of tasks; None: there are no others.
        store: the store that is served.
        effects: ask, and say how old an answer is.
    """

    def __init__(
        self, allowed: Collection[str], members: Members | None, store: Store, effects: Effects
    ) -> None:
        self._allowed = frozenset(allowed)
        self._members = members
        self._store = store
        self._work, self._clock = effects.work, effects.clock
        self._found: frozenset[str] = frozenset()
        self._asked = self._answered = self._clock.monotonic() - 2 * _OLD
        self._why = "it does not answer"
        self._asking: asyncio.Task[None] | None = None

    async def check(self, account: str) -> None:
        """Return if an account may write.

        Raises:
            Refusal: 403 when it may not, 502 when the ledger cannot be asked.
        """
        if account in self._allowed:
            return
        if self._members is None:
            raise Refusal(403, f"account {account} may not write here: its operator names who may")
        known = account in self._found and self._asked == self._answered
        if self._age(self._asked) > (_FRESH if known else _NEW):
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(self._members))
            await asyncio.wait([self._asking], timeout=_PATIENCE)
        if self._age(self._answered) > _OLD:
            raise Refusal(502, f"who may write cannot be read from the ledger now: {self._why}")
        if account not in self._found:
            raise Refusal(
                403,
                f"account {account} may not write here: it is no client, owner or aggregator of a "
                "task that is served, and the operator does not name it",
            )

    async def _ask(self, members: Members) -> None:
        try:
            found = frozenset(await self._work.wait(members, self._store))
        except Exception as error:  # noqa: BLE001 - a ledger is somebody else's program
            self._why = in_words(error)
            logger.warning("who may write cannot be read: %s", self._why)
            self._asked = self._clock.monotonic()
        else:
            self._found = found
            self._asked = self._answered = self._clock.monotonic()

    def _age(self, since: float) -> float:
        return self._clock.monotonic() - since
