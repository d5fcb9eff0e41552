"""What TrainingTask's views and events say, as frozen records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from fedledger.errors import CallError, InvalidCid

from ...base import Event, Placed
from ...storage.cid import cid_from_bytes
from .commitments import read_commitments

__all__ = [
    "MILLION",
    "Aggregate",
    "Payment",
    "Submission",
    "Task",
    "Votes",
    "accuracy_to_ppm",
    "cid_text",
]

MILLION = 1_000_000


def cid_text(raw: bytes) -> str:
    """Return a CID from the ledger as text.

    The contract checks only a CID's length and first byte. Bytes that are no CID of this library
    become "f" and hexadecimal digits (multibase base16): no store finds them, and one hostile
    client cannot make everybody else's submissions unreadable.
    """
    try:
        return cid_from_bytes(raw)
    except InvalidCid:
        return "f" + raw.hex()


def accuracy_to_ppm(accuracy: float) -> int:
    """Return a fraction from 0 to 1 in parts per million, rounded to the nearest.

    Raises:
        CallError: no number from 0 to 1.
    """
    try:
        value = float(accuracy)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(accuracy, bool | str) or not 0 <= value <= 1:
        raise CallError(f"accuracy {accuracy!r}: a fraction from 0 to 1 wanted")
    return round(value * MILLION)


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
        window: seconds in which a round takes updates; 0: until it is published.
        reward: tokens for each contribution.
        spec: CID of the specification.
        current_cid: CID of the model that the open round began with, or of the final one.
        opened_at: time at which the newest round opened, in seconds.
        finished: whether all rounds ended.
    """

    id: int
    owner: str
    model_id: str
    model_cid: str
    rounds: int
    current_round: int
    window: int
    reward: int
    spec: str
    current_cid: str
    opened_at: int
    finished: bool

    @classmethod
    def from_call(cls, task: int, values: Sequence[Any]) -> Self:
        """Return what `getTask` says about a task."""
        (owner, model_id, model_cid, rounds, current, window, reward, spec, cid, opened, end) = (
            values
        )
        return cls(
            id=task,
            owner=owner,
            model_id=model_id,
            model_cid=cid_text(model_cid),
            rounds=rounds,
            current_round=current,
            window=window,
            reward=reward,
            spec=cid_text(spec),
            current_cid=cid_text(cid),
            opened_at=opened,
            finished=end,
        )


@dataclass(frozen=True, slots=True)
class Submission(Placed):
    """A client's update in a round.

    Attributes:
        client: who signed it.
        cid: CID of the update.
        samples: training examples behind it, as the client says.
        accuracy: fraction from 0 to 1, as the client says.
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    client: str
    cid: str
    samples: int
    accuracy: float
    transaction: str
    block: int
    position: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what an UpdateSubmitted event says."""
        said = event.arguments
        return cls(
            client=said["client"],
            cid=cid_text(said["cid"]),
            samples=said["samples"],
            accuracy=said["accuracy"] / MILLION,
            transaction=event.transaction,
            block=event.block,
            position=event.position,
        )


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A published round.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        cid: CID of the aggregate.
        rule: name of the rule that made it.
        contributors: clients whose updates went into it.
        evidence: CID of the evidence.
        commitments: what the aggregator committed itself to besides, 32 bytes by name.
        transaction: hash of the transaction.
        block: index of its block.
    """

    task: int
    round: int
    cid: str
    rule: str
    contributors: tuple[str, ...]
    evidence: str
    commitments: Mapping[str, bytes] = field(hash=False)
    transaction: str
    block: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what an AggregatePublished event says."""
        said = event.arguments
        return cls(
            task=said["task"],
            round=said["round"],
            cid=cid_text(said["cid"]),
            rule=said["rule"],
            contributors=tuple(said["contributors"]),
            evidence=cid_text(said["evidence"]),
            commitments=read_commitments(said["commitments"]),
            transaction=event.transaction,
            block=event.block,
        )


@dataclass(frozen=True, slots=True)
class Votes:
    """A voter's scores of a round's candidates.

    Attributes:
        voter: who signed them.
        ballot: 32 bytes that name what was scored.
        scores: change of the loss for each candidate, in millionths.
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    voter: str
    ballot: bytes
    scores: tuple[int, ...]
    transaction: str
    block: int
    position: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what a VotesSubmitted event says."""
        said = event.arguments
        return cls(
            voter=said["voter"],
            ballot=said["ballot"],
            scores=tuple(said["scores"]),
            transaction=event.transaction,
            block=event.block,
            position=event.position,
        )


@dataclass(frozen=True, slots=True)
class Payment:
    """A reward paid.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        client: who was paid.
        amount: tokens.
        transaction: hash of the transaction.
        block: index of its block.
    """

    task: int
    round: int
    client: str
    amount: int
    transaction: str
    block: int

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return what a RewardPaid event says."""
        said = event.arguments
        return cls(
            task=said["task"],
            round=said["round"],
            client=said["client"],
            amount=said["amount"],
            transaction=event.transaction,
            block=event.block,
        )
