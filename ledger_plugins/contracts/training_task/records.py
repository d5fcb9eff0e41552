"""What TrainingTask's views and events say."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

from ..meanings import Address, BlockHash, Cid, Hash32, Named, Ppm, Seconds
from ..records import EventRecord
from .commitments import Commitments

__all__ = [
    "Aggregate",
    "Checkpoint",
    "Member",
    "MembersAppointed",
    "MembersChange",
    "MembersRevoked",
    "Model",
    "Payment",
    "Proposal",
    "Reveal",
    "Roles",
    "Rollback",
    "RollbackVote",
    "Status",
    "Submission",
    "Task",
    "Votes",
]


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the ledger has it now.

    Attributes:
        id: its number, from 1.
        owner: who proposed it.
        model_id: its name for people.
        model_cid: CID of the initial model.
        rounds: number of rounds.
        current_round: number of rounds that ended, published or rolled back; the open one is the
            next.
        window: seconds in which a round takes updates and is not published; 0: it takes them until
            it is published.
        reward: tokens for each contribution.
        spec: CID of the specification.
        current_cid: CID of the model that the open round began with, or of the final one.
        opened_at: time at which the newest round opened, in seconds.
        finished: whether all rounds ended.
    """

    id: Annotated[int, Named("task")]
    owner: Address
    model_id: str
    model_cid: Cid
    rounds: int
    current_round: int
    window: Seconds
    reward: int
    spec: Cid
    current_cid: Cid
    opened_at: Seconds
    finished: bool


@dataclass(frozen=True, slots=True)
class Roles:
    """Who may do what in a task.

    Attributes:
        owner: who proposed it, appoints the others, and may roll it back.
        aggregator: who publishes its rounds.
        members: number of members; more than half of them may roll it back.
    """

    owner: Address
    aggregator: Address
    members: int


class Status(NamedTuple):
    """What became of a submission: 0 none, 1 submitted, 2 contributed, 3 paid."""

    status: int


class Member(NamedTuple):
    """Whether an account is a member of a task, and since when, in block time; 0: it is none."""

    member: bool
    since: int


class Model(NamedTuple):
    """A checkpoint's model: its CID, and its accuracy, a fraction from 0 to 1."""

    cid: Cid
    accuracy: Ppm


@dataclass(frozen=True, slots=True)
class Proposal(EventRecord):
    """A new task.

    Attributes:
        task: the task's number.
        owner: who proposed it.
        model_id: its name for people.
    """

    event: ClassVar = "TaskProposed"
    task: int
    owner: Address
    model_id: str


@dataclass(frozen=True, slots=True)
class Submission(EventRecord):
    """A client's update in a round.

    Attributes:
        client: who signed it.
        cid: CID of the update.
        samples: training examples behind it, as the client says.
        accuracy: fraction from 0 to 1, as the client says.
        seal: 32 bytes, the hash of a salt that it may reveal; zeros: it has none.
        seen: hash of a block that it knew.
    """

    event: ClassVar = "UpdateSubmitted"
    client: Address
    cid: Cid
    samples: int
    accuracy: Ppm
    seal: Hash32
    seen: BlockHash


@dataclass(frozen=True, slots=True)
class Reveal(EventRecord):
    """A salt that a client revealed.

    Attributes:
        client: who signed it.
        list: 32 bytes, the hash of the list of updates that it reveals its salt for.
        salt: 32 bytes whose hash should be the seal of its update.
        seen: hash of a block that it knew.
    """

    event: ClassVar = "SaltRevealed"
    client: Address
    list: Hash32
    salt: Hash32
    seen: BlockHash


@dataclass(frozen=True, slots=True)
class Aggregate(EventRecord):
    """A published round.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        cid: CID of the aggregate.
        rule: name of the rule that made it.
        contributors: clients whose updates went into it.
        evidence: CID of the evidence.
        commitments: what the aggregator committed itself to besides, 32 bytes by name.
    """

    event: ClassVar = "AggregatePublished"
    task: int
    round: int
    cid: Cid
    rule: str
    contributors: tuple[Address, ...]
    evidence: Cid
    commitments: Commitments = field(hash=False)


@dataclass(frozen=True, slots=True)
class Votes(EventRecord):
    """A voter's scores of a round's candidates.

    Attributes:
        voter: who signed them.
        ballot: 32 bytes that name what was scored.
        scores: change of the loss for each candidate, in millionths.
        seen: hash of a block that it knew.
    """

    event: ClassVar = "VotesSubmitted"
    voter: Address
    ballot: Hash32
    scores: tuple[int, ...]
    seen: BlockHash


@dataclass(frozen=True, slots=True)
class Payment(EventRecord):
    """A reward paid.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        client: who was paid.
        amount: tokens.
    """

    event: ClassVar = "RewardPaid"
    task: int
    round: int
    client: Address
    amount: int


@dataclass(frozen=True, slots=True)
class MembersChange(EventRecord):
    """Accounts that became members, or are no longer.

    Attributes:
        members: the accounts.
    """

    appointed: ClassVar[bool]
    """Whether they became members; else they were revoked, and all votes became void."""

    members: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class MembersAppointed(MembersChange):
    """Accounts that became members."""

    event: ClassVar = "MembersAppointed"
    appointed: ClassVar = True


@dataclass(frozen=True, slots=True)
class MembersRevoked(MembersChange):
    """Accounts that are members no longer."""

    event: ClassVar = "MembersRevoked"
    appointed: ClassVar = False


@dataclass(frozen=True, slots=True)
class Checkpoint(EventRecord):
    """A model to come back to.

    Attributes:
        task: the task's number.
        round: the round that ended with this model; 0 for the initial one.
        cid: CID of the model.
        accuracy: fraction from 0 to 1, as `by` says.
        by: who recorded it: the owner or the aggregator.
    """

    event: ClassVar = "CheckpointRecorded"
    task: int
    round: int
    cid: Cid
    accuracy: Ppm
    by: Address


@dataclass(frozen=True, slots=True)
class RollbackVote(EventRecord):
    """A member's wish to go back to a checkpoint.

    Attributes:
        member: who signed it.
        round: the round that should end.
        to_round: the checkpoint's round.
        votes: how many members wanted the same then.
        members: how many members there were then.
    """

    event: ClassVar = "RollbackVoted"
    member: Address
    round: int
    to_round: int
    votes: int
    members: int


@dataclass(frozen=True, slots=True)
class Rollback(EventRecord):
    """A round that ended with a checkpoint's model.

    Attributes:
        task: the task's number.
        round: the round that ended; what was submitted to it is void.
        to_round: the checkpoint's round.
        cid: CID of the model that the next round begins with.
        accuracy: fraction from 0 to 1, as the checkpoint says.
        votes: how many members decided it; 0: the owner did.
    """

    event: ClassVar = "RolledBack"
    task: int
    round: int
    to_round: int
    cid: Cid
    accuracy: Ppm
    votes: int
