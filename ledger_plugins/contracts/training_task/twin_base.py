"""What all of TrainingTask's parts know about tasks.

Storage: ("task", id): owner, model id, model CID, rounds, window, reward, spec; ("round", id):
rounds that ended, time of opening, current CID; ("roles", id): aggregator, number of members,
number of revocations.
"""

# ruff: noqa: N802 - the names are the ABI's

from typing import NamedTuple

from ..stake_token.twin import GOVERNOR_ROLE
from ..twin import ModelInfo, Twin

__all__ = ["MAX_CONTRIBUTORS", "MILLION", "Roles", "Round", "Task", "TaskBase"]

MAX_CONTRIBUTORS = 256
"""Clients or members that one call may list, at most (clause L9)."""

MILLION = 1_000_000


class Task(NamedTuple):
    """What never changes."""

    owner: str
    model_id: str
    model_cid: bytes
    rounds: int
    window: int
    reward: int
    spec: bytes


class Round(NamedTuple):
    """The open round."""

    ended: int
    opened_at: int
    cid: bytes


class Roles(NamedTuple):
    """Who may do what, besides the owner."""

    aggregator: str
    members: int
    revocations: int


class TaskBase(Twin):
    """Reads tasks, and checks what several calls have to check."""

    def MAX_CONTRIBUTORS(self) -> int:
        """Return how many clients or members one call may list."""
        return MAX_CONTRIBUTORS

    def getProgress(self, task: int) -> tuple[int, int, int, int]:
        """Return the rounds of a task, how many ended, its window, and when the newest opened."""
        about, current = self._task(task), self._round(task)
        return about.rounds, current.ended, about.window, current.opened_at

    def _task(self, task: int) -> Task:
        found = self.state.get(("task", task))
        if found is None:
            self.revert("UnknownTask", task=task)
        return Task(*found)

    def _own_task(self, task: int) -> Task:
        about = self._task(task)
        if self.sender != about.owner:
            self.revert("NotOwner", sender=self.sender)
        return about

    def _is_governor(self) -> bool:
        """Tell whether the sender may decide besides owners."""
        return bool(self.peer("StakeToken").hasRole(GOVERNOR_ROLE, self.sender))

    def _round(self, task: int) -> Round:
        return Round(*self.state["round", task])

    def _roles(self, task: int) -> Roles:
        return Roles(*self.state["roles", task])

    def _end_round(self, task: int, number: int, cid: bytes, accuracy: int | None) -> None:
        """Let the next round begin with a model; the block lists it."""
        about = self._task(task)
        self.state["round", task] = tuple(Round(number, self.now, cid))
        self.environment.note(
            ModelInfo(about.model_id, cid, about.rounds, number, self.sender, accuracy)
        )

    def _open_round(self, task: int, about: Task, given: int) -> Round:
        current = self._round(task)
        if current.ended == about.rounds:
            self.revert("TaskFinished", task=task)
        if given != current.ended + 1:
            self.revert("WrongRound", expected=current.ended + 1, given=given)
        return current

    def _check_over(self, about: Task, current: Round) -> None:
        """Refuse what has to wait until updates are no longer taken."""
        deadline = current.opened_at + about.window
        if about.window and self.now <= deadline:
            self.revert("WindowOpen", deadline=deadline, time=self.now)
