"""What the ledger holds of a round's calls, as those read it who were not there."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from ...ledger_plugins.base import Event
from ...ledger_plugins.contracts import cid_text
from ...ledger_plugins.signing import Call

__all__ = ["first_givers", "standing"]


def standing(
    events: Sequence[Event], call: Call, known: Container[str]
) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return by account what each party's last call of a round says, under the call's name.

    Args:
        events: the events by which the ledger repeats the calls, in ledger order.
        call: the call.
        known: the party's accounts; what others say does not matter.
    """
    return {
        event.arguments[call.party]: {call.name: event.arguments}
        for event in events
        if event.arguments[call.party] in known
    }


def first_givers(events: Sequence[Event], call: Call, known: Container[str]) -> dict[str, str]:
    """Return for each content that parties' last calls name the account that named it first.

    Who has replaced its call has given its content up: so nobody holds more than one.
    """
    last = standing(events, call, known)
    first: dict[str, str] = {}
    for event in events:
        party, cid = event.arguments[call.party], event.arguments.get("cid")
        if party in known and cid is not None and last[party][call.name]["cid"] == cid:
            first.setdefault(cid_text(cid), party)
    return first
