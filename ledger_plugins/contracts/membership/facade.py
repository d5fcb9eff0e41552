"""Membership: who takes part in a task, from round to round."""

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

from ...accounts import Account
from ..facade import Facade, sends
from ..meanings import Address, Ppm
from ..records import EventRecord

__all__ = [
    "ChangeVoted",
    "CheckpointVoted",
    "ClientAdmitted",
    "ClientChange",
    "ClientLeft",
    "ClientRemoved",
    "ClientReplaced",
    "JoinAsked",
    "Membership",
    "MembershipOpened",
    "PlaceAccepted",
]


@dataclass(frozen=True, slots=True)
class MembershipOpened(EventRecord):
    """A task whose clients may change; its members decide, or else its owner."""

    event: ClassVar = "MembershipOpened"
    task: int
    by_members: bool


@dataclass(frozen=True, slots=True)
class JoinAsked(EventRecord):
    """An account that asks to be a client."""

    event: ClassVar = "JoinAsked"
    task: int
    account: Address


@dataclass(frozen=True, slots=True)
class PlaceAccepted(EventRecord):
    """An account, `by`, that agrees to have the place of `account`."""

    event: ClassVar = "PlaceAccepted"
    task: int
    account: Address
    by: Address


@dataclass(frozen=True, slots=True)
class ClientChange(EventRecord):
    """A change of a task's clients, from the next round on.

    Attributes:
        task: the task's number.
        account: whom it is about.
    """

    task: int
    account: Address


@dataclass(frozen=True, slots=True)
class ClientAdmitted(ClientChange):
    """An account that is a client now; `votes` members decided it, 0: the owner."""

    event: ClassVar = "ClientAdmitted"
    votes: int


@dataclass(frozen=True, slots=True)
class ClientLeft(ClientChange):
    """An account that is no client any more, as it wished."""

    event: ClassVar = "ClientLeft"


@dataclass(frozen=True, slots=True)
class ClientRemoved(ClientChange):
    """An account that was taken off the clients; `votes` members decided it, 0: the owner."""

    event: ClassVar = "ClientRemoved"
    votes: int


@dataclass(frozen=True, slots=True)
class ClientReplaced(ClientChange):
    """An account whose place another has now.

    Attributes:
        by: the account that has it.
        votes: how many members decided it; 0: the account itself or the owner.
    """

    event: ClassVar = "ClientReplaced"
    by: Address
    votes: int


@dataclass(frozen=True, slots=True)
class ChangeVoted(EventRecord):
    """A member's vote for a change.

    Attributes:
        task: the task's number.
        member: who signed it.
        change: 1 to admit `account`, 2 to remove it, 3 to give its place to `by`, 4 to let it
            aggregate.
        account: whom it is about.
        by: who shall have its place, or the zero address.
        votes: how many votes there were then.
        members: how many members.
    """

    event: ClassVar = "ChangeVoted"
    task: int
    member: Address
    change: int
    account: Address
    by: Address
    votes: int
    members: int


@dataclass(frozen=True, slots=True)
class CheckpointVoted(EventRecord):
    """A member's vote for making the newest model a checkpoint.

    Attributes:
        task: the task's number.
        member: who signed it.
        round: the round that ended with the model; 0 for the initial one.
        accuracy: fraction from 0 to 1 that the checkpoint shall say.
        votes: how many votes there were then.
        members: how many members.
    """

    event: ClassVar = "CheckpointVoted"
    task: int
    member: Address
    round: int
    accuracy: Ppm
    votes: int
    members: int


class Membership(Facade):
    """Who takes part in tasks, and what members elect and record."""

    contract = "Membership"

    @sends
    def open_membership(self, account: Account, *, task: int, by_members: bool) -> None:
        """Let a task's clients change, once, before a round ended; `account` is its owner.

        Args:
            account: the task's owner.
            task: the task's number.
            by_members: whether more than half of the task's members decide; else its owner does.
        """

    @sends
    def join(self, account: Account, *, task: int) -> None:
        """Ask for `account` to be a client."""

    @sends
    def admit(self, owner: Account, *, task: int, account: Address) -> None:
        """Make an account that asked for it a client, from the next round on."""

    @sends
    def vote_admit(self, member: Account, *, task: int, account: Address) -> None:
        """Vote for that; it happens with the vote that makes more than half of the members."""

    @sends
    def leave_task(self, account: Account, *, task: int) -> None:
        """Let `account` be no client any more, from the next round on."""

    @sends
    def remove(self, owner: Account, *, task: int, account: Address) -> None:
        """Take an account off the clients, from the next round on."""

    @sends
    def vote_remove(self, member: Account, *, task: int, account: Address) -> None:
        """Vote for that; it happens with the vote that makes more than half of the members."""

    @sends
    def accept_place(self, by: Account, *, task: int, account: Address) -> None:
        """Agree that `by` has the place of `account`."""

    @sends
    def replace(self, sender: Account, *, task: int, account: Address, by: Address) -> None:
        """Give the place of an account to one that agreed; `sender` is the account or the owner."""

    @sends
    def vote_replace(self, member: Account, *, task: int, account: Address, by: Address) -> None:
        """Vote for that; it happens with the vote that makes more than half of the members."""

    @sends
    def elect(self, member: Account, *, task: int, aggregator: Address) -> None:
        """Vote for the aggregator of a halted task; the vote that decides appoints it."""

    @sends
    def vote_checkpoint(self, member: Account, *, task: int, round: int, accuracy: Ppm) -> None:
        """Vote for the newest model to become a checkpoint; the vote that decides records it.

        Args:
            member: a member of the task.
            task: the task's number.
            round: the newest round that ended; 0 for the initial model.
            accuracy: of that model, a fraction from 0 to 1; votes for another one count apart.
        """

    def rule_of(self, task: int) -> int:
        """Return who decides: 0 nobody, as the clients are fixed; 1 the owner; 2 the members."""
        return self._call(int, "ruleOf", task)

    def standing_of(self, task: int, account: str) -> int:
        """Return what an account was told: see `twin`'s constants; 0 nothing."""
        return self._call(int, "standingOf", task, account)

    def opened(self, task: int, *, until: int | None = None) -> MembershipOpened | None:
        """Return when a task's clients were let change, and who decides; None: they are fixed."""
        return next(iter(self._events(MembershipOpened, until=until, task=task)), None)

    def asked(self, task: int) -> list[JoinAsked]:
        """Return who asked to be a client, in ledger order."""
        return self._events(JoinAsked, task=task)

    def changes(
        self, task: int, first: Collection[str], *, until: int | None = None
    ) -> list[ClientChange]:
        """Return the changes of a task's clients in ledger order.

        How often strangers come and go costs nobody time: they are not looked for.

        Args:
            task: the task's number.
            first: the clients that it began with.
            until: last block to look at (default: the head).
        """
        found: list[ClientChange] = []
        for record in (ClientAdmitted, ClientRemoved):
            found += self._events(record, until=until, task=task)
        known = {*first, *(one.account for one in found if isinstance(one, ClientAdmitted))}
        new = known
        while new:
            replaced = self._events(ClientReplaced, until=until, task=task, account=sorted(new))
            found += replaced
            new = {one.by for one in replaced} - known
            known |= new
        found += self._events(ClientLeft, until=until, task=task, account=sorted(known))
        return sorted(found, key=attrgetter("place"))

    def votes(self, task: int) -> list[ChangeVoted]:
        """Return all votes for changes in ledger order, void ones as well."""
        return self._events(ChangeVoted, task=task)
