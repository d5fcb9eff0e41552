"""The blocks that signed calls name, and which history a ledger has.

A call with an argument `seen` names a block that its signer knew. Whoever rewrites a ledger from
before that block needs every such signer again: on another history its call names a block that is
not there. So a call counts only when the block it names is on the ledger, and older than the call.
Where one party writes the ledger alone, it must not be older than the round either: who has clients
name an old block, again and again, would be free to rewrite all that came after it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fedledger.errors import LedgerUnavailable, UnknownBlock, UpdateRejected
from fedledger.records import SEEN

from ....ledger_plugins.ancestry import MAX_HEADERS
from ....ledger_plugins.base import Block, Event, Ledger
from ....ledger_plugins.contracts.training_task.calls import (
    CONFIRM_HISTORY,
    SUBMIT_UPDATE,
    SUBMIT_VOTES,
)

__all__ = ["REASON", "History", "Pins", "names_block", "others"]

REASON = "history"
"""Why a call is dropped that names a block of another history."""

_HASH = 32


def names_block(values: Mapping[str, Any]) -> bool:
    """Tell whether a call's arguments name a block (`Call.pins`)."""
    seen = values.get(SEEN)
    return isinstance(seen, bytes) and len(seen) == _HASH


class History:
    """Which blocks a ledger has; each is asked for once.

    Args:
        ledger: the ledger.
        opened: the block in which the round opened. On a ledger with one writer calls name it or a
            newer one; on others, where no party alone writes, an older one does no harm.
    """

    def __init__(self, ledger: Ledger, opened: int = 0) -> None:
        self._ledger = ledger
        self._oldest = 0 if ledger.settled_depth else opened
        self._known: dict[bytes, int] = {}

    def check(self, values: Mapping[str, Any], before: int | None = None) -> None:
        """Check the block that a call names; a call that names none passes.

        Args:
            values: the call's arguments.
            before: index of the block that holds the call; None: it is in none yet.

        Raises:
            UpdateRejected: "history": the ledger has no such block, or only after the call, or long
                before it.
        """
        if not names_block(values):
            return
        seen: bytes = values[SEEN]
        index = self._known.get(seen)
        if index is None:
            index = self._ledger.index_of("0x" + seen.hex())
            if index is None:
                raise UpdateRejected(
                    REASON, f"it names block 0x{seen.hex()}, which this ledger does not have"
                )
            self._known[seen] = index
        if index < self._oldest:
            raise UpdateRejected(
                REASON,
                f"it names block {index}, older than the round, which block {self._oldest} opened",
            )
        if before is not None and index >= before:
            raise UpdateRejected(
                REASON, f"it is in block {before} and names block {index}, which is not older"
            )


def others(history: History, events: Iterable[Event], party: str, of: Collection[str]) -> set[str]:
    """Return the accounts whose newest call names another history.

    Args:
        history: the ledger's.
        events: events that repeat calls, in ledger order.
        party: name of the argument that says who signed.
        of: the accounts that matter.
    """
    newest = {event.arguments[party]: event for event in events if event.arguments[party] in of}
    found = set()
    for account, event in newest.items():
        try:
            history.check(event.arguments, event.block)
        except UpdateRejected:
            found.add(account)
    return found


class Pins:
    """What is told to clients that have no ledger of their own: a block, and how they get there.

    Args:
        ledger: the ledger.
        clients: the accounts that will be asked.
    """

    def __init__(self, ledger: Ledger, clients: Collection[str]) -> None:
        self._ledger = ledger
        self._since: dict[str, int] = {}
        self._last: tuple[int, str, list[bytes]] = (0, "", [])
        for call in (SUBMIT_UPDATE, SUBMIT_VOTES, CONFIRM_HISTORY):
            events = ledger.matching(call.contract, call.event, {call.party: list(clients)})
            newest = {str(event.arguments[call.party]): event.arguments for event in events}
            for account in clients:
                if names_block(values := newest.get(account, {})):
                    index = ledger.index_of("0x" + values[SEEN].hex())
                    if index is not None:
                        self.note(account, index)

    def note(self, account: str, index: int) -> None:
        """Remember that a client knows a block: it has named it, or was asked to."""
        self._since[account] = max(index, self._since.get(account, 0))

    def headers(
        self, until: Block, accounts: Collection[str], first: int
    ) -> tuple[str, list[bytes]]:
        """Return the form of the ledger's headers, and those that lead to block `until`.

        They begin after the oldest block that one of the accounts named last. An account that named
        none on this ledger may have signed in vain before: then they begin after block `first`.
        More than a client takes are not sent, whatever block somebody named.

        Args:
            until: the block that is going to be named.
            accounts: the accounts that one message may reach.
            first: a block before anything was signed for this task.
        """
        form = self._ledger.header_form
        since = min(self._since.get(account, first) for account in accounts)
        since = max(since, until.index - MAX_HEADERS)
        if not form or since >= until.index:
            return form, []
        if self._last[:2] != (since, until.hash):  # most messages of a round need the same
            try:
                self._last = since, until.hash, self._ledger.headers(since + 1, until.index)
            except UnknownBlock as error:
                raise LedgerUnavailable(f"the ledger ends before block {until.index}") from error
        return form, self._last[2]
