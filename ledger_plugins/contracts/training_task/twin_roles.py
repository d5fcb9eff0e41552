"""Who may do what in a task: the roles' part of TrainingTask's twin.

Storage: ("member", id, account): block time since which it is one.
"""

# ruff: noqa: N802 - the names are the ABI's

from collections.abc import Sequence

from ...addresses import ZERO_ADDRESS
from .twin_base import MAX_CONTRIBUTORS, Roles, TaskBase

__all__ = ["TaskRoles"]


class TaskRoles(TaskBase):
    """The owner appoints an aggregator and members."""

    def appointAggregator(self, task: int, aggregator: str) -> None:
        """Let another account publish the task's rounds."""
        about = self._task(task)
        if self.sender != about.owner and not self._is_governor():
            self.revert("NotOwner", sender=self.sender)
        if aggregator == ZERO_ADDRESS:
            self.revert("InvalidAggregator", aggregator=aggregator)
        roles = self._roles(task)._replace(aggregator=aggregator)
        self.state["roles", task] = tuple(roles)
        self.emit("AggregatorAppointed", task=task, aggregator=aggregator)

    def appointMembers(self, task: int, members: Sequence[str]) -> None:
        """Make accounts members; votes cast before stand."""
        roles = self._check_members(task, members)
        seen: set[str] = set()
        for member in members:
            if self._is_member(task, member) or member in seen:
                self.revert("AlreadyMember", account=member)
            seen.add(member)
        for member in members:
            self.state["member", task, member] = self.now
        self.state["roles", task] = tuple(roles._replace(members=roles.members + len(members)))
        self.emit("MembersAppointed", task=task, members=tuple(members))

    def revokeMembers(self, task: int, members: Sequence[str]) -> None:
        """Take accounts off the members; all votes are void."""
        roles = self._check_members(task, members)
        seen: set[str] = set()
        for member in members:
            if not self._is_member(task, member) or member in seen:
                self.revert("NotMember", account=member)
            seen.add(member)
        for member in members:
            del self.state["member", task, member]
        left = Roles(roles.aggregator, roles.members - len(members), roles.revocations + 1)
        self.state["roles", task] = tuple(left)
        self.emit("MembersRevoked", task=task, members=tuple(members))

    def getRoles(self, task: int) -> tuple[str, str, int]:
        """Return owner, aggregator and number of members."""
        about, roles = self._task(task), self._roles(task)
        return about.owner, roles.aggregator, roles.members

    def isMember(self, task: int, account: str) -> tuple[bool, int]:
        """Tell whether an account is a member, and since when."""
        self._task(task)
        return self._is_member(task, account), int(self.state.get(("member", task, account), 0))

    def _is_member(self, task: int, account: str) -> bool:
        return ("member", task, account) in self.state

    def _check_members(self, task: int, members: Sequence[str]) -> Roles:
        self._own_task(task)
        if len(members) > MAX_CONTRIBUTORS:
            self.revert("TooManyMembers", given=len(members), maximum=MAX_CONTRIBUTORS)
        return self._roles(task)
