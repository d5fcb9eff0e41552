"""What the ledger holds of a round's calls, as those read it who were not there."""

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import Any

from ...ledger_plugins.base import Event, Ledger
from ...ledger_plugins.signing import Call

__all__ = ["called", "first_givers", "standing"]


def called(
    ledger: Ledger, call: Call, task: int, number: int, parties: Collection[str], *, since: int = 0
) -> list[Event]:
    """Return the events by which the ledger repeats parties' call in a round, in ledger order.

    Args:
        ledger: the ledger.
        call: the call.
        task: the task's number.
        number: the round.
        parties: whose calls; what strangers call costs nobody time.
        since: a block at or before the one in which the round opened.
    """
    if not parties:
        return []
    wanted = {"task": task, "round": number, call.party: list(parties)}
    return ledger.matching(call.contract, call.event, wanted, since=since)


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


def first_givers(
    events: Sequence[Event],
    call: Call,
    known: Container[str],
    content: Callable[[str, bytes], str | None],
) -> dict[str, str]:
    """Return for each content that parties' last calls name the account that named it first.

    Who has replaced its call has given its content up: so nobody holds more than one.

    Args:
        events: as of `standing`.
        call: the call.
        known: the party's accounts.
        content: takes an account and the `cid` of its call, and returns the content's CID, or None
            for a call that stands for none.
    """
    last = standing(events, call, known)
    first: dict[str, str] = {}
    for event in events:
        party, cid = event.arguments[call.party], event.arguments.get("cid")
        if party not in known or cid is None or last[party][call.name]["cid"] != cid:
            continue
        named = content(party, cid)
        if named is not None:
            first.setdefault(named, party)
    return first
