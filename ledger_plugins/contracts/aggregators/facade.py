"""Aggregators: several nodes that publish a task's rounds, in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ...accounts import Account
from ..facade import Facade, sends
from ..meanings import Address, Cid, Hash32, Seconds
from ..records import EventRecord
from ..training_task.commitments import NO_COMMITMENTS, Commitments
from .twin import PAUSED, topic_of

__all__ = [
    "PAUSED",
    "Aggregators",
    "NodeJoined",
    "NodesListed",
    "RoundLed",
    "TurnMissed",
    "TurnTerms",
    "Turns",
    "TurnsDrawn",
    "TurnsNode",
    "TurnsRestarted",
    "TurnsSet",
    "topic_of",
]


@dataclass(frozen=True, slots=True)
class TurnsSet(EventRecord):
    """A task whose rounds are published in turns.

    Attributes:
        task: its number.
        bond: tokens that each node locks.
        cost: what a missed turn costs.
        turn_seconds: how long a turn lasts.
    """

    event: ClassVar = "TurnsSet"
    task: int
    bond: int
    cost: int
    turn_seconds: Seconds


@dataclass(frozen=True, slots=True)
class NodeJoined(EventRecord):
    """A node that locked its bond."""

    event: ClassVar = "NodeJoined"
    task: int
    node: Address
    bond: int


@dataclass(frozen=True, slots=True)
class NodesListed(EventRecord):
    """The nodes that the next draw is among, in ascending order."""

    event: ClassVar = "NodesListed"
    task: int
    nodes: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class TurnsDrawn(EventRecord):
    """A draw that was taken.

    Attributes:
        task: the task's number.
        draw: the draw's number in Beacon.
        first_round: from which round on it counts; 0: it changes nothing.
        value: the draw's, 32 bytes; zeros where it is void.
        nodes: who was drawn among, ascending; none: it changes nothing.
    """

    event: ClassVar = "TurnsDrawn"
    task: int
    draw: int
    first_round: int
    value: Hash32
    nodes: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class TurnsRestarted(EventRecord):
    """Turns that are paused, as nobody can publish (`since` is PAUSED), or begin again then."""

    event: ClassVar = "TurnsRestarted"
    task: int
    round: int
    since: Seconds


@dataclass(frozen=True, slots=True)
class RoundLed(EventRecord):
    """A round that a node published.

    Attributes:
        task: the task's number.
        round: the round.
        node: who signed the call.
        turn: in which turn, from 0.
    """

    event: ClassVar = "RoundLed"
    task: int
    round: int
    node: Address
    turn: int


@dataclass(frozen=True, slots=True)
class TurnMissed(EventRecord):
    """A node whose first turn in a round passed; it cost `lost`."""

    event: ClassVar = "TurnMissed"
    task: int
    round: int
    node: Address
    lost: int


class TurnTerms(NamedTuple):
    """A task's terms of turns; all 0 where its rounds are not published in turns."""

    bond: int
    cost: int
    turn_seconds: Seconds


class TurnsNode(NamedTuple):
    """What is left of a node's bond, and when it leaves, in block time; 0: it does not."""

    bond: int
    leaves_at: Seconds


class Turns(NamedTuple):
    """Whose turns a round has.

    Attributes:
        draw: the number of the draw in Beacon.
        begins: turn k lasts until `begins` + (k + 1) · turn_seconds, in block time; 0 where the
            round is not open, PAUSED where turns were paused.
        order: the nodes, turn by turn; then it is the first one's again.
    """

    draw: int
    begins: Seconds
    order: tuple[Address, ...]


class Aggregators(Facade):
    """Nodes with a bond that publish a task's rounds in turns."""

    contract = "Aggregators"

    @sends
    def set_turns(
        self, account: Account, *, task: int, bond: int, cost: int, turn_seconds: Seconds
    ) -> None:
        """Let a task's rounds be published in turns, once, before a round ended.

        Args:
            account: the task's owner.
            task: the task's number.
            bond: tokens that each node locks, at least 1.
            cost: what a missed turn costs, at most the bond; 0: nothing.
            turn_seconds: how long a turn lasts: enough for a whole round.
        """

    @sends
    def join_turns(self, account: Account, *, task: int) -> None:
        """Lock the bond of `account`, which has a pledge; later lists have it."""

    @sends
    def leave_turns(self, account: Account, *, task: int) -> None:
        """Say that `account` leaves; a day later, called again, give it its bond back."""

    @sends
    def list_nodes(self, account: Account, *, task: int) -> None:
        """List the nodes that the next draw is among, before it is opened; anyone may."""

    @sends
    def draw_turns(self, account: Account, *, task: int) -> None:
        """Take the next draw, once it ended; anyone may."""

    @sends
    def publish_turn(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        cid: Cid,
        rule: str,
        contributors: Sequence[Address],
        evidence: Cid,
        commitments: Commitments = NO_COMMITMENTS,
    ) -> None:
        """Publish the open round, as `TrainingTask.publish_aggregate`, whose arguments these are.

        Args:
            account: the node whose turn it is.
            task: the task's number.
            round: the open round.
            cid: CID of the aggregate.
            rule: name of the rule that made it.
            contributors: clients whose updates went into it.
            evidence: CID of the round's evidence.
            commitments: what the node commits itself to besides.
        """

    @sends
    def restart_turns(self, account: Account, *, task: int) -> None:
        """Pause turns while the task is halted, or let them begin again; anyone may."""

    @sends
    def mark_missed(self, account: Account, *, task: int, round: int, node: Address) -> None:
        """Charge a node whose first turn in a round passed while it was open; anyone may."""

    def terms(self, task: int) -> TurnTerms:
        """Return a task's terms; all 0 where its rounds are not published in turns."""
        return self._call(TurnTerms, "turnTerms", task)

    def nodes(self, task: int) -> tuple[str, ...]:
        """Return the nodes of a task."""
        return tuple(self._call(tuple[Address, ...], "nodesOf", task))

    def node(self, task: int, node: str) -> TurnsNode:
        """Return what is known of a node; zeros where it is none."""
        return self._call(TurnsNode, "nodeOf", task, node)

    def listed(self, task: int) -> tuple[str, ...]:
        """Return the nodes that are listed for the next draw."""
        return tuple(self._call(tuple[Address, ...], "listedFor", task))

    def turns(self, task: int, round: int) -> Turns:
        """Return whose turns a round has; ContractError (`NotDrawn`) where nobody was drawn."""
        return self._call(Turns, "turnsOf", task, round)

    def next_topic(self, task: int) -> bytes:
        """Return the topic of the draw that is taken next, 32 bytes."""
        return topic_of(self._call(int, "drawsTaken", task) + 1)

    def missed(self, task: int, round: int, node: str) -> bool:
        """Tell whether a node was charged for a round."""
        return self._call(bool, "missed", task, round, node)

    def lists(self, task: int) -> list[NodesListed]:
        """Return the lists of nodes that were made, in ledger order."""
        return self._events(NodesListed, task=task)

    def draws(self, task: int) -> list[TurnsDrawn]:
        """Return the draws that were taken, in ledger order."""
        return self._events(TurnsDrawn, task=task)

    def restarts(self, task: int) -> list[TurnsRestarted]:
        """Return when turns of open rounds were begun again, in ledger order."""
        return self._events(TurnsRestarted, task=task)

    def led(self, task: int) -> list[RoundLed]:
        """Return who published which round, in ledger order."""
        return self._events(RoundLed, task=task)

    def charged(self, task: int) -> list[TurnMissed]:
        """Return the turns that were missed, as far as somebody said so, in ledger order."""
        return self._events(TurnMissed, task=task)
