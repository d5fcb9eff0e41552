"""TrainingTask's façade: roles, checkpoints and rollbacks."""

from collections.abc import Sequence
from operator import attrgetter

from ...accounts import Account
from ...base import Event, Receipt
from ..facade import Facade
from .records import MILLION, accuracy_to_ppm, cid_text
from .rollback_records import Checkpoint, MembersChange, Roles, Rollback, RollbackVote

__all__ = ["TaskRollbacks"]


class TaskRollbacks(Facade):
    """Who may do what in a task, and how it goes back to an earlier model."""

    contract = "TrainingTask"

    def appoint_aggregator(self, account: Account, *, task: int, aggregator: str) -> Receipt:
        """Let `aggregator` publish the task's rounds, and nobody else; `account` is the owner."""
        return self._send(account, "appointAggregator", task, aggregator)

    def appoint_members(self, account: Account, *, task: int, members: Sequence[str]) -> Receipt:
        """Make accounts members, at most 256 a call; `account` is the owner."""
        return self._send(account, "appointMembers", task, list(members))

    def revoke_members(self, account: Account, *, task: int, members: Sequence[str]) -> Receipt:
        """Take accounts off the members, at most 256 a call, and make all votes void."""
        return self._send(account, "revokeMembers", task, list(members))

    def record_checkpoint(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        accuracy: float,
    ) -> Receipt:
        """Make the task's newest model a checkpoint.

        Args:
            account: the owner or the aggregator.
            task: the task's number.
            round: the newest round that ended; 0 for the initial model.
            accuracy: of that model, a fraction from 0 to 1, kept in steps of a millionth.
        """
        return self._send(account, "recordCheckpoint", task, round, accuracy_to_ppm(accuracy))

    def rollback(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        to_round: int,
    ) -> Receipt:
        """End the open round with a checkpoint's model; what was submitted to it is void.

        Args:
            account: the task's owner.
            task: the task's number.
            round: the open round.
            to_round: the checkpoint's round.
        """
        return self._send(account, "rollback", task, round, to_round)

    def vote_rollback(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        to_round: int,
    ) -> Receipt:
        """Vote for a rollback, in place of an earlier vote; it happens with the vote that decides.

        Args:
            account: a member of the task.
            task: the task's number.
            round: the open round.
            to_round: the checkpoint's round.
        """
        return self._send(account, "voteRollback", task, round, to_round)

    def roles(self, task: int) -> Roles:
        """Return a task's roles; ContractError `UnknownTask` when there is no such task."""
        return Roles(*self._call("getRoles", task))

    def is_member(self, task: int, account: str) -> bool:
        """Tell whether an account is a member of a task now."""
        return bool(self._call("isMember", task, account))

    def checkpoint(self, task: int, round: int) -> tuple[str, float]:
        """Return a checkpoint's CID and accuracy; ContractError when there is none."""
        cid, accuracy = self._call("getCheckpoint", task, round)
        return cid_text(cid), accuracy / MILLION

    def rollback_votes(self, task: int, to_round: int) -> int:
        """Return how many members want the open round to end with this checkpoint."""
        return int(self._call("getRollbackVotes", task, to_round))

    def member_changes(
        self, task: int, *, since: int = 0, until: int | None = None
    ) -> list[MembersChange]:
        """Return who became a member, or ceased to be one, in ledger order."""
        events = [
            event
            for name in ("MembersAppointed", "MembersRevoked")
            for event in self._events(name, task, since, until)
        ]
        events.sort(key=attrgetter("place"))
        return [MembersChange.from_event(event) for event in events]

    def checkpoints(
        self, task: int, *, since: int = 0, until: int | None = None
    ) -> list[Checkpoint]:
        """Return a task's checkpoints, oldest first."""
        events = self._events("CheckpointRecorded", task, since, until)
        return [Checkpoint.from_event(event) for event in events]

    def rollback_ballots(
        self, task: int, *, since: int = 0, until: int | None = None
    ) -> list[RollbackVote]:
        """Return all votes on rollbacks in ledger order, void ones as well."""
        events = self._events("RollbackVoted", task, since, until)
        return [RollbackVote.from_event(event) for event in events]

    def rollbacks(self, task: int, *, since: int = 0, until: int | None = None) -> list[Rollback]:
        """Return the rounds that were rolled back, in order."""
        events = self._events("RolledBack", task, since, until)
        return [Rollback.from_event(event) for event in events]

    def _events(self, name: str, task: int, since: int, until: int | None) -> list[Event]:
        found = self.ledger.events(self.contract, name, since=since, until=until)
        return [event for event in found if event.arguments["task"] == task]
