"""Models to come back to, and how a task comes back to one: a part of TrainingTask's twin.

Storage: ("checkpoint", id, round): CID, accuracy; ("votes", id, ended, revocations, to round): how
many; ("choice", id, ended, revocations, member): to round. When a round ends or a member is
revoked, all votes are out of reach.
"""

# ruff: noqa: N802 - the names are the ABI's

from .twin_base import MILLION, Round
from .twin_roles import TaskRoles

__all__ = ["TaskCheckpoints"]


class TaskCheckpoints(TaskRoles):
    """Checkpoints, and rollbacks by the owner or by more than half of the members."""

    def recordCheckpoint(self, task: int, number: int, accuracy: int) -> None:
        """Make the newest model a checkpoint."""
        about, roles, current = self._task(task), self._roles(task), self._round(task)
        if self.sender not in (about.owner, roles.aggregator) and not self._is_governor():
            self.revert("NotOwnerOrAggregator", sender=self.sender)
        if number != current.ended:
            self.revert("NotNewestRound", newest=current.ended, given=number)
        if accuracy > MILLION:
            self.revert("InvalidAccuracy", accuracy=accuracy)
        if ("checkpoint", task, number) in self.state:
            self.revert("CheckpointExists", task=task, round=number)
        self.state["checkpoint", task, number] = (current.cid, accuracy)
        self.emit(
            "CheckpointRecorded",
            task=task,
            round=number,
            cid=current.cid,
            accuracy=accuracy,
            by=self.sender,
        )

    def rollback(self, task: int, number: int, target: int) -> None:
        """End the open round with a checkpoint's model, as the owner."""
        current = self._open_round(task, self._own_task(task), number)
        self._check_target(task, current, target)
        self._roll_back(task, number, target, 0)

    def voteRollback(self, task: int, number: int, target: int) -> None:
        """Vote for it as a member; it happens with more than half of the members."""
        about = self._task(task)
        if not self._is_member(task, self.sender):
            self.revert("NotMember", account=self.sender)
        current = self._open_round(task, about, number)
        self._check_target(task, current, target)

        roles = self._roles(task)
        ballot = (task, current.ended, roles.revocations)
        before = self.state.get(("choice", *ballot, self.sender))
        if before == target:
            self.revert("AlreadyVoted", member=self.sender, toRound=target)
        if before is not None:
            self.state["votes", *ballot, before] -= 1
        votes = self.state.get(("votes", *ballot, target), 0) + 1
        self.state["votes", *ballot, target] = votes
        self.state["choice", *ballot, self.sender] = target
        self.emit(
            "RollbackVoted",
            task=task,
            round=number,
            member=self.sender,
            toRound=target,
            votes=votes,
            members=roles.members,
        )
        if votes * 2 > roles.members:
            self._roll_back(task, number, target, votes)

    def getCheckpoint(self, task: int, number: int) -> tuple[bytes, int]:
        """Return a checkpoint's CID and accuracy."""
        self._task(task)
        return self._checkpoint(task, number)

    def getRollbackVotes(self, task: int, target: int) -> int:
        """Return how many members want the open round to end with this checkpoint."""
        self._task(task)
        ballot = (task, self._round(task).ended, self._roles(task).revocations)
        return int(self.state.get(("votes", *ballot, target), 0))

    def _checkpoint(self, task: int, number: int) -> tuple[bytes, int]:
        found: tuple[bytes, int] | None = self.state.get(("checkpoint", task, number))
        if found is None:
            self.revert("UnknownCheckpoint", task=task, round=number)
        return found

    def _check_target(self, task: int, current: Round, target: int) -> None:
        if self._checkpoint(task, target)[0] == current.cid:
            self.revert("ModelUnchanged", toRound=target)

    def _roll_back(self, task: int, number: int, target: int, votes: int) -> None:
        cid, accuracy = self._checkpoint(task, target)
        self._end_round(task, number, cid, accuracy)
        self.emit(
            "RolledBack",
            task=task,
            round=number,
            toRound=target,
            cid=cid,
            accuracy=accuracy,
            votes=votes,
        )
