"""TrainingTask's façade: roles, checkpoints and rollbacks."""

from collections.abc import Sequence
from operator import attrgetter

from ...accounts import Account
from ..facade import Facade, sends
from ..meanings import Address, Ppm
from .records import (
    Checkpoint,
    Member,
    MembersAppointed,
    MembersChange,
    MembersRevoked,
    Model,
    Roles,
    Rollback,
    RollbackVote,
)

__all__ = ["TaskRollbacks"]


class TaskRollbacks(Facade):
    """Who may do what in a task, and how it goes back to an earlier model."""

    contract = "TrainingTask"

    @sends
    def appoint_aggregator(self, account: Account, *, task: int, aggregator: Address) -> None:
        """Let `aggregator` publish the task's rounds, and nobody else; `account` is the owner.

        Contracts that hold the token's GOVERNOR_ROLE may do it too.
        """

    @sends
    def appoint_members(self, account: Account, *, task: int, members: Sequence[Address]) -> None:
        """Make accounts members, at most 256 a call; `account` is the owner."""

    @sends
    def revoke_members(self, account: Account, *, task: int, members: Sequence[Address]) -> None:
        """Take accounts off the members, at most 256 a call, and make all votes void."""

    @sends
    def record_checkpoint(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        accuracy: Ppm,
    ) -> None:
        """Make the task's newest model a checkpoint.

        Args:
            account: the owner or the aggregator.
            task: the task's number.
            round: the newest round that ended; 0 for the initial model.
            accuracy: of that model, a fraction from 0 to 1, kept in steps of a millionth.
        """

    @sends
    def rollback(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        to_round: int,
    ) -> None:
        """End the open round with a checkpoint's model; what was submitted to it is void.

        Args:
            account: the task's owner.
            task: the task's number.
            round: the open round.
            to_round: the checkpoint's round.
        """

    @sends
    def vote_rollback(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        to_round: int,
    ) -> None:
        """Vote for a rollback, in place of an earlier vote; it happens with the vote that decides.

        Args:
            account: a member of the task.
            task: the task's number.
            round: the open round.
            to_round: the checkpoint's round.
        """

    def roles(self, task: int) -> Roles:
        """Return a task's roles; ContractError `UnknownTask` when there is no such task."""
        return self._call(Roles, "getRoles", task)

    def is_member(self, task: int, account: str) -> bool:
        """Tell whether an account is a member of a task now."""
        return self._call(Member, "isMember", task, account).member

    def member_since(self, task: int, account: str) -> int | None:
        """Return the block time in seconds since which an account is a member; None: it is none."""
        found = self._call(Member, "isMember", task, account)
        return found.since if found.member else None

    def checkpoint(self, task: int, round: int) -> Model:
        """Return a checkpoint's CID and accuracy; ContractError when there is none."""
        return self._call(Model, "getCheckpoint", task, round)

    def rollback_votes(self, task: int, to_round: int) -> int:
        """Return how many members want the open round to end with this checkpoint."""
        return self._call(int, "getRollbackVotes", task, to_round)

    def member_changes(
        self, task: int, *, since: int = 0, until: int | None = None
    ) -> list[MembersChange]:
        """Return who became a member, or ceased to be one, in ledger order."""
        changes: list[MembersChange] = []
        for record in (MembersAppointed, MembersRevoked):
            changes += self._events(record, since=since, until=until, task=task)
        return sorted(changes, key=attrgetter("place"))

    def checkpoints(
        self, task: int, *, since: int = 0, until: int | None = None
    ) -> list[Checkpoint]:
        """Return a task's checkpoints, oldest first."""
        return self._events(Checkpoint, since=since, until=until, task=task)

    def rollback_ballots(
        self, task: int, *, since: int = 0, until: int | None = None
    ) -> list[RollbackVote]:
        """Return all votes on rollbacks in ledger order, void ones as well."""
        return self._events(RollbackVote, since=since, until=until, task=task)

    def rollbacks(self, task: int, *, since: int = 0, until: int | None = None) -> list[Rollback]:
        """Return the rounds that were rolled back, in order."""
        return self._events(Rollback, since=since, until=until, task=task)
