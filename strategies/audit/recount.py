"""The audit of rollbacks: who was entitled to them, and to which model they go back.

A rollback is the owner's, or that of more than half of the task's members. Appointments,
revocations and votes are all on the ledger, so anyone can count again.
"""

from collections.abc import Mapping
from operator import attrgetter

from fedledger.errors import AuditError

from ...ledger_plugins.contracts import (
    Checkpoint,
    MembersChange,
    Rollback,
    RollbackVote,
    Task,
    TrainingTask,
)
from ..rounds.evidence.carriers import decoded_transaction

__all__ = ["Recount"]


class Recount:
    """A task's members, their votes and its checkpoints, followed through the ledger.

    Args:
        contract: the contract on its ledger.
        task: the task.
    """

    def __init__(self, contract: TrainingTask, task: Task) -> None:
        self._ledger = contract.ledger
        self._owner = task.owner
        self._events: list[MembersChange | Checkpoint | RollbackVote] = [
            *contract.member_changes(task.id),
            *contract.checkpoints(task.id),
            *contract.rollback_ballots(task.id),
        ]
        self._events.sort(key=attrgetter("place"), reverse=True)
        self._members: set[str] = set()
        self._checkpoints: dict[int, Checkpoint] = {}
        self._votes: dict[str, RollbackVote] = {}

    def check(self, rollback: Rollback, models: Mapping[int, str], before: str) -> None:
        """Check one rollback; they come in ledger order.

        Args:
            rollback: what the ledger says.
            models: CID of the model that each round ended with, and of the initial one as 0.
            before: CID of the model that the rolled back round began with.

        Raises:
            AuditError: it does not follow, and why.
        """
        self._follow(rollback)
        found = self._checkpoints.get(rollback.to_round)
        if found is None or rollback.to_round >= rollback.round:
            raise AuditError(f"round {rollback.to_round} was no checkpoint to go back to")
        if not rollback.cid == found.cid == models[rollback.to_round]:
            raise AuditError(f"the model is not the one that round {rollback.to_round} ended with")
        if rollback.cid == before:
            raise AuditError("the rollback changed no model")
        if not rollback.votes:
            if self._signer(rollback.transaction) != self._owner:
                raise AuditError("the rollback is neither the owner's nor the members'")
            return
        agreed = [
            vote.member
            for vote in self._votes.values()
            if (vote.round, vote.to_round) == (rollback.round, rollback.to_round)
        ]
        if len(agreed) != rollback.votes or 2 * len(agreed) <= len(self._members):
            raise AuditError(
                f"{len(agreed)} of {len(self._members)} members voted for the rollback, "
                f"the ledger says {rollback.votes}; more than half are needed"
            )

    def _follow(self, rollback: Rollback) -> None:
        """Take in what happened on the ledger before a rollback."""
        while self._events and self._events[-1].place < rollback.place:
            event = self._events.pop()
            if isinstance(event, Checkpoint):
                self._checkpoints.setdefault(event.round, event)
            elif isinstance(event, RollbackVote):
                self._count(event)
            elif event.appointed:
                self._members.update(event.members)
            else:
                self._members.difference_update(event.members)
                self._votes.clear()

    def _count(self, vote: RollbackVote) -> None:
        if vote.member not in self._members:
            raise AuditError(f"{vote.member} voted for a rollback but was no member")
        if self._signer(vote.transaction) != vote.member:
            raise AuditError(f"{vote.member} did not sign its vote for a rollback")
        self._votes[vote.member] = vote  # its last one counts

    def _signer(self, transaction: str) -> str:
        return decoded_transaction(self._ledger, transaction).sender
