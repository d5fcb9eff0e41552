"""What TrainingTask says about roles, checkpoints and rollbacks, as frozen records."""

from dataclasses import dataclass
from typing import Self

from ...base import Event, Placed
from .records import MILLION, cid_text

__all__ = ["Checkpoint", "MembersChange", "Roles", "Rollback", "RollbackVote"]


@dataclass(frozen=True, slots=True)
class Roles:
    """Who may do what in a task.

    Attributes:
        owner: who proposed it, appoints the others, and may roll it back.
        aggregator: who publishes its rounds.
        members: number of members; more than half of them may roll it back.
    """

    owner: str
    aggregator: str
    members: int


@dataclass(frozen=True, slots=True)
class MembersChange(Placed):
    """Accounts that became members, or are no longer.

    Attributes:
        members: the accounts.
        appointed: whether they became members; else they were revoked, and all votes became void.
        block: index of the block.
        position: position among all events of the block.
    """

    members: tuple[str, ...]
    appointed: bool
    block: int
    position: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what a MembersAppointed or MembersRevoked event says."""
        return cls(
            members=tuple(event.arguments["members"]),
            appointed=event.name == "MembersAppointed",
            block=event.block,
            position=event.position,
        )


@dataclass(frozen=True, slots=True)
class Checkpoint(Placed):
    """A model to come back to.

    Attributes:
        task: the task's number.
        round: the round that ended with this model; 0 for the initial one.
        cid: CID of the model.
        accuracy: fraction from 0 to 1, as `by` says.
        by: who recorded it: the owner or the aggregator.
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    task: int
    round: int
    cid: str
    accuracy: float
    by: str
    transaction: str
    block: int
    position: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what a CheckpointRecorded event says."""
        said = event.arguments
        return cls(
            task=said["task"],
            round=said["round"],
            cid=cid_text(said["cid"]),
            accuracy=said["accuracy"] / MILLION,
            by=said["by"],
            transaction=event.transaction,
            block=event.block,
            position=event.position,
        )


@dataclass(frozen=True, slots=True)
class RollbackVote(Placed):
    """A member's wish to go back to a checkpoint.

    Attributes:
        member: who signed it.
        round: the round that should end.
        to_round: the checkpoint's round.
        votes: how many members wanted the same then.
        members: how many members there were then.
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    member: str
    round: int
    to_round: int
    votes: int
    members: int
    transaction: str
    block: int
    position: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what a RollbackVoted event says."""
        said = event.arguments
        return cls(
            member=said["member"],
            round=said["round"],
            to_round=said["toRound"],
            votes=said["votes"],
            members=said["members"],
            transaction=event.transaction,
            block=event.block,
            position=event.position,
        )


@dataclass(frozen=True, slots=True)
class Rollback(Placed):
    """A round that ended with a checkpoint's model.

    Attributes:
        task: the task's number.
        round: the round that ended; what was submitted to it is void.
        to_round: the checkpoint's round.
        cid: CID of the model that the next round begins with.
        accuracy: fraction from 0 to 1, as the checkpoint says.
        votes: how many members decided it; 0: the owner did.
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    task: int
    round: int
    to_round: int
    cid: str
    accuracy: float
    votes: int
    transaction: str
    block: int
    position: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what a RolledBack event says."""
        said = event.arguments
        return cls(
            task=said["task"],
            round=said["round"],
            to_round=said["toRound"],
            cid=cid_text(said["cid"]),
            accuracy=said["accuracy"] / MILLION,
            votes=said["votes"],
            transaction=event.transaction,
            block=event.block,
            position=event.position,
        )
