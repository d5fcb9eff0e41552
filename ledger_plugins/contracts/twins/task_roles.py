"""Who may do what in a task: the roles' part of TrainingTask's twin.

Storage: ("miner", id, account): 1.
"""

# ruff: noqa: N802 - the names are the ABI's

from collections.abc import Sequence

from ...addresses import ZERO_ADDRESS
from .task_base import MAX_CONTRIBUTORS, Roles, TaskBase

__all__ = ["TaskRoles"]


class TaskRoles(TaskBase):
    """The owner appoints an aggregator and miners."""

    def appointAggregator(self, task: int, aggregator: str) -> None:
        """Let another account publish the task's rounds."""
        self._own_task(task)
        if aggregator == ZERO_ADDRESS:
            self.revert("InvalidAggregator", aggregator=aggregator)
        roles = self._roles(task)._replace(aggregator=aggregator)
        self.state["roles", task] = tuple(roles)
        self.emit("AggregatorAppointed", task=task, aggregator=aggregator)

    def appointMiners(self, task: int, miners: Sequence[str]) -> None:
        """Make accounts miners; votes cast before stand."""
        roles = self._check_miners(task, miners)
        seen: set[str] = set()
        for miner in miners:
            if self._is_miner(task, miner) or miner in seen:
                self.revert("AlreadyMiner", account=miner)
            seen.add(miner)
        for miner in miners:
            self.state["miner", task, miner] = 1
        self.state["roles", task] = tuple(roles._replace(miners=roles.miners + len(miners)))
        self.emit("MinersAppointed", task=task, miners=tuple(miners))

    def revokeMiners(self, task: int, miners: Sequence[str]) -> None:
        """Take accounts off the miners; all votes are void."""
        roles = self._check_miners(task, miners)
        seen: set[str] = set()
        for miner in miners:
            if not self._is_miner(task, miner) or miner in seen:
                self.revert("NotMiner", account=miner)
            seen.add(miner)
        for miner in miners:
            del self.state["miner", task, miner]
        left = Roles(roles.aggregator, roles.miners - len(miners), roles.revocations + 1)
        self.state["roles", task] = tuple(left)
        self.emit("MinersRevoked", task=task, miners=tuple(miners))

    def getRoles(self, task: int) -> tuple[str, str, int]:
        """Return owner, aggregator and number of miners."""
        about, roles = self._task(task), self._roles(task)
        return about.owner, roles.aggregator, roles.miners

    def isMiner(self, task: int, account: str) -> bool:
        """Tell whether an account is a miner."""
        self._task(task)
        return self._is_miner(task, account)

    def _is_miner(self, task: int, account: str) -> bool:
        return ("miner", task, account) in self.state

    def _check_miners(self, task: int, miners: Sequence[str]) -> Roles:
        self._own_task(task)
        if len(miners) > MAX_CONTRIBUTORS:
            self.revert("TooManyMiners", given=len(miners), maximum=MAX_CONTRIBUTORS)
        return self._roles(task)
