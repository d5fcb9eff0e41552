"""What the ledger holds of a round's calls, as those read it who were not there."""

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import Any

from ....ledger_plugins.base import Event, Ledger
from ....ledger_plugins.signing import Call

__all__ = ["called", "first_givers", "last_seen", "standing"]


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
    asked: set[str] = set()
    for event in events:
        party, cid = event.arguments[call.party], event.arguments.get("cid")
        if party not in known or party in asked or cid is None:
            continue
        if last[party][call.name]["cid"] != cid:
            continue
        asked.add(party)  # who repeats its call, a thousand times, costs nobody more than one look
        named = content(party, cid)
        if named is not None:
            first.setdefault(named, party)
    return first


def last_seen(
    events: Sequence[Event], call: Call, asked: Collection[str], in_time: Callable[[Event], bool]
) -> tuple[dict[str, list[Event]], set[str]]:
    """Return which calls whoever ended a phase may have seen as each party's last one.

    Between its look at the ledger and its publication others go on to call, and it cannot know. A
    phase ends when all have answered, or its time is over; it looked then, or later.

    Args:
        events: as of `standing`.
        call: the call.
        asked: whom the phase asks.
        in_time: whether an event's block is of the phase's time; of all events after one that is
            not, none is.

    Returns:
        By account the calls, in ledger order, the last of them its last one; and the accounts of
        which it saw one for certain.
    """
    by: dict[str, list[Event]] = {}
    for event in events:
        by.setdefault(event.arguments[call.party], []).append(event)
    whole = all(party in by for party in asked)
    complete = max((by[party][0].place for party in asked), default=(-1, 0)) if whole else None
    certain: set[str] = set()
    for party, own in by.items():
        sure = [e for e in own if (complete is None or e.place <= complete) and in_time(e)]
        if sure:
            certain.add(party)
            by[party] = own[len(sure) - 1 :]
    return by, certain
