"""An audit that travels: one file with all that it reads, and where the ledger's contracts are.

A chain of Ethereum does not say which of its contracts are ours. Who exports an audit knows, and it
is the first content of the file.
"""

from collections.abc import Sequence
from typing import Any

from fedledger.errors import ContentNotFound, StoreUnavailable
from fedledger.formats import canonical_json, parse_json

from ...ledger_plugins import Ledger, Store
from ...ledger_plugins.storage.car import open_car_store
from ...ledger_plugins.storage.noting import NotingStore
from .ledger import audit_ledger
from .verdicts import AuditReport

__all__ = ["pack_places", "places_in", "read_by_audit"]

_FORM = "fedledger-places-1"
_MOST = 1024 * 1024  # bytes


def read_by_audit(
    ledger: Ledger, store: Store, tasks: Sequence[int] | None = None
) -> tuple[list[str], AuditReport]:
    """Return the CIDs of all that an audit reads, and what it found.

    Args:
        ledger: is audited.
        store: has the contents.
        tasks: only these; None: all.
    """
    noting = NotingStore(store)
    report = audit_ledger(ledger, noting, tasks=tasks)
    return noting.noted, report


def pack_places(ledger: Ledger) -> list[bytes]:
    """Return what a file has to say of where contracts are: nothing where the URL says it."""
    if ledger.places is None:
        return []
    return [canonical_json({"form": _FORM, "places": ledger.places})]


def places_in(url: str) -> dict[str, Any] | None:
    """Return where contracts are, by the word of who made a file, or None where it says nothing.

    Args:
        url: the file, `car:///absolute/file.car`.

    Raises:
        ConfigError: not such a URL.
        StoreError: the file cannot be read, or its first content is damaged.
        StoreUnavailable: what it says of contracts has no form that this version knows.
    """
    with open_car_store(url) as car:
        try:
            if not car.roots or car.size(car.roots[0]) > _MOST:
                return None
            found = parse_json(car.get(car.roots[0]))
        except (ContentNotFound, ValueError):
            return None  # another content, which may be away
    if not isinstance(found, dict) or found.get("form") != _FORM:
        return None
    if found.keys() != {"form", "places"} or not isinstance(found["places"], dict):
        raise StoreUnavailable(f"{url}: what it says of the ledger's contracts has another form")
    return found["places"]
