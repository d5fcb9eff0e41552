"""Which content an answer on the ledger names: itself, or by an opening where they are sealed."""

from collections.abc import Collection, Mapping
from typing import Any

from fedledger.errors import (
    AuditError,
    CallError,
    ContentNotFound,
    ContentTooLarge,
    InvalidCid,
    UpdateRejected,
)

from ....ledger_plugins.contracts import cid_text
from ....ledger_plugins.openings import MAX_OPENING_BYTES, Opening
from ....ledger_plugins.signing import Domain
from ....ledger_plugins.storage.base import Store
from ....ledger_plugins.storage.cid import cid_to_bytes

__all__ = ["OPENING", "SUBMISSIONS", "Openings", "is_sealed", "opened", "opening_of"]

SUBMISSIONS = ("plain", "sealed")
"""What the `cid` of a submission is: the content's, or that of an opening."""

OPENING = "opening"
"""Why an answer is dropped whose opening is not its own."""


def is_sealed(clock: Mapping[str, Any], window: int) -> bool:
    """Tell whether submissions are sealed; they can be where the ledger closes a round's window.

    Args:
        clock: of the specification.
        window: the contract's, in seconds; 0: none.

    Raises:
        AuditError: it says something else, or there is no such window.
    """
    found = clock.get("submissions", "plain")
    if found not in SUBMISSIONS:
        raise AuditError(f"the specification's submissions are none of {SUBMISSIONS}")
    if found == "sealed" and not (clock.get("by") == "ledger" and window):
        raise AuditError("sealed submissions need a window by the ledger's clock")
    return bool(found == "sealed")


def opening_of(data: bytes, account: str, domain: Domain) -> Opening:
    """Return an opening, once it is one of this account for this round.

    Raises:
        UpdateRejected: "opening".
    """
    try:
        found = Opening.decode(data)
        found.check(account, domain)
    except CallError as error:
        raise UpdateRejected(OPENING, str(error)) from error
    return found


def opened(signed: Mapping[str, Mapping[str, Any]], content: str) -> dict[str, dict[str, Any]]:
    """Return what was signed as phases read it: with the content's CID for the opening's."""
    return {
        name: {**values, "cid": cid_to_bytes(content)} if "cid" in values else dict(values)
        for name, values in signed.items()
    }


class Openings:
    """The openings of a round; each is read once, and one that is away stays so for one look.

    Who opens in the middle of a look would else be first with a content for one half of it, and
    not for the other.

    Args:
        store: where they are.
        domain: of the round.
        sealed: whether there are any: else a call names its content itself.
    """

    def __init__(self, store: Store, domain: Domain, *, sealed: bool) -> None:
        self.sealed = sealed
        self._store = store
        self._domain = domain
        self._known: dict[tuple[str, str], str] = {}
        self._away: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Begin another look: what was away may be there."""
        self._away.clear()

    def content(self, account: str, cid: bytes) -> str:
        """Return the CID of the content that a call's `cid` stands for.

        Raises:
            UpdateRejected: "opening": it is no opening, or none of this account for this round.
            StoreError: the opening is not there, too large, or cannot be read.
        """
        named = cid_text(cid)
        if not self.sealed:
            return named
        key = account, named
        if key not in self._known:
            if key in self._away:
                raise ContentNotFound(named)
            try:
                data = self._store.get(named, max_bytes=MAX_OPENING_BYTES)
            except ContentNotFound:
                self._away.add(key)
                raise
            self._known[key] = opening_of(data, account, self._domain).content
        return self._known[key]

    def content_or_none(self, account: str, cid: bytes) -> str | None:
        """Return it, or None for a call that stands for nothing: then it gives no content first.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            return self.content(account, cid)
        except (UpdateRejected, ContentNotFound, ContentTooLarge, InvalidCid):
            return None

    def givers(self, known: Collection[str], lost: Collection[str]) -> set[str]:
        """Return who can have given a content first: sealed, not who is said to have lost its own.

        Args:
            known: the party's accounts.
            lost: those whose contents nobody could fetch when the round ended.
        """
        return set(known) - (set(lost) if self.sealed else set())
