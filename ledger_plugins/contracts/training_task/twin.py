"""TrainingTask's twin: tasks, their rounds, and the rewards in escrow.

Storage besides that of `task_base`, `task_roles` and `task_checkpoints`: ("count",);
("submission", id, round, client): commitment, status; ("claim", id, client): samples and
accuracy of the client's newest update: an EVM has them in its logs, here model info needs them.

The errors of a function are checked in the order that the Solidity interface gives.
"""

# ruff: noqa: N802, PLR0917 - the names and arguments are the ABI's

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from eth_abi.abi import encode
from eth_hash.auto import keccak

from ...addresses import ZERO_ADDRESS
from ..stake_token.twin import PROPOSER_ROLE
from ..twin import ModelInfo
from .twin_base import MAX_CONTRIBUTORS, MILLION, Roles, Round, Task
from .twin_checkpoints import TaskCheckpoints

__all__ = [
    "CONTRIBUTED",
    "MAX_COMMITMENTS",
    "MAX_CONTRIBUTORS",
    "MAX_REWARD",
    "MAX_SCORES",
    "NONE",
    "PAID",
    "SUBMITTED",
    "TrainingTask",
]

MAX_REWARD = 20
"""Tokens for one contribution, at most."""

MAX_COMMITMENTS = 16
"""Commitments that one publication may have (clause L9)."""

MAX_SCORES = 32
"""Scores that one vote may have (clause L9)."""

NONE, SUBMITTED, CONTRIBUTED, PAID = range(4)
"""What became of a client's submission in a round."""

_NO_SUBMISSION = (bytes(31), NONE)


class TrainingTask(TaskCheckpoints):
    """Federated training, one round after the other."""

    contract = "TrainingTask"
    contributions: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"AggregatePublished": "contributors"}
    )
    rounds: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType(
        {"AggregatePublished": ("task", "round")}
    )

    def propose(
        self, model_id: str, model_cid: bytes, rounds: int, window: int, reward: int, spec: bytes
    ) -> int:
        """Open a task; the sender becomes its owner and aggregator. Return its number."""
        if not 1 <= len(model_id.encode()) <= 64:
            self.revert("InvalidModelId", modelId=model_id)
        self._check_cid(model_cid)
        self._check_cid(spec)
        if rounds == 0:
            self.revert("InvalidRounds", rounds=rounds)
        if reward > MAX_REWARD:
            self.revert("RewardTooHigh", reward=reward, maximum=MAX_REWARD)
        if reward and not self._may_propose():
            self.revert("NotProposer", sender=self.sender)
        task = self.taskCount() + 1
        self.state["count",] = task
        proposed = Task(self.sender, model_id, model_cid, rounds, window, reward, spec)
        self.state["task", task] = tuple(proposed)
        self.state["round", task] = tuple(Round(0, self.now, model_cid))
        self.state["roles", task] = tuple(Roles(self.sender, 0, 0))
        self.emit(
            "TaskProposed",
            task=task,
            owner=self.sender,
            modelId=model_id,
            modelCid=model_cid,
            rounds=rounds,
            window=window,
            reward=reward,
            spec=spec,
        )
        self.environment.note(ModelInfo(model_id, model_cid, rounds, 0, self.sender, None))
        return task

    def submitUpdate(
        self,
        task: int,
        number: int,
        cid: bytes,
        samples: int,
        accuracy: int,
        seal: bytes,
        seen: bytes,
    ) -> None:
        """Record the sender's update to the open round, in place of an earlier one."""
        about = self._task(task)
        current = self._open_round(task, about, number)
        deadline = current.opened_at + about.window
        if about.window and self.now > deadline:
            self.revert("WindowClosed", deadline=deadline, time=self.now)
        self._check_cid(cid)
        if accuracy > MILLION:
            self.revert("InvalidAccuracy", accuracy=accuracy)
        commitment = keccak(encode(("bytes", "uint64", "uint32"), (cid, samples, accuracy)))[:31]
        self.state["submission", task, number, self.sender] = (commitment, SUBMITTED)
        self.state["claim", task, self.sender] = (samples, accuracy)
        self.emit(
            "UpdateSubmitted",
            task=task,
            round=number,
            client=self.sender,
            cid=cid,
            samples=samples,
            accuracy=accuracy,
            seal=seal,
            seen=seen,
        )

    def revealSalt(self, task: int, number: int, list_: bytes, salt: bytes, seen: bytes) -> None:
        """Say the salt of the sender's update, for a list of updates."""
        about = self._task(task)
        self._check_over(about, self._open_round(task, about, number))
        self.emit(
            "SaltRevealed",
            task=task,
            round=number,
            client=self.sender,
            list=list_,
            salt=salt,
            seen=seen,
        )

    def submitVotes(
        self, task: int, number: int, ballot: bytes, scores: Sequence[int], seen: bytes
    ) -> None:
        """Record the sender's scores of the candidates that `ballot` names."""
        self._open_round(task, self._task(task), number)
        if len(scores) > MAX_SCORES:
            self.revert("TooManyScores", given=len(scores), maximum=MAX_SCORES)
        self.emit(
            "VotesSubmitted",
            task=task,
            round=number,
            voter=self.sender,
            ballot=ballot,
            scores=tuple(scores),
            seen=seen,
        )

    def confirmHistory(self, task: int, seen: bytes) -> None:
        """Say that the sender knows a block."""
        self._task(task)
        self.emit("HistoryConfirmed", task=task, client=self.sender, seen=seen)

    def publishAggregate(
        self,
        task: int,
        number: int,
        cid: bytes,
        rule: str,
        contributors: Sequence[str],
        evidence: bytes,
        commitments: Sequence[Sequence[bytes]],
    ) -> None:
        """End the open round; its contributors' rewards go into escrow."""
        about = self._task(task)
        if self.sender != self._roles(task).aggregator:
            self.revert("NotAggregator", sender=self.sender)
        self._check_over(about, self._open_round(task, about, number))
        self._check_cid(cid)
        self._check_cid(evidence)
        if not 1 <= len(rule.encode()) <= 32:
            self.revert("InvalidRule", rule=rule)
        self._check_number(contributors)
        self._check_commitments(commitments)
        seen: set[str] = set()
        for client in contributors:
            if self._submission(task, number, client)[1] == NONE:
                self.revert("NotSubmitted", client=client)
            if client in seen:
                self.revert("DuplicateContributor", client=client)
            seen.add(client)
        for client in contributors:
            commitment, _ = self._submission(task, number, client)
            self.state["submission", task, number, client] = (commitment, CONTRIBUTED)
        self._end_round(task, number, cid, self._mean_accuracy(task, contributors))
        self.emit(
            "AggregatePublished",
            task=task,
            round=number,
            cid=cid,
            rule=rule,
            contributors=tuple(contributors),
            evidence=evidence,
            commitments=tuple(tuple(pair) for pair in commitments),
        )
        if escrow := about.reward * len(contributors):
            self.peer("StakeToken").mint(self.address, escrow)

    def payRewards(self, task: int, number: int, clients: Sequence[str]) -> None:
        """Pay contributors of a published round out of escrow."""
        about = self._task(task)
        if not 1 <= number <= self._round(task).ended:
            self.revert("RoundNotPublished", task=task, round=number)
        self._check_number(clients)
        seen: set[str] = set()
        for client in clients:
            status = self._submission(task, number, client)[1]
            if status < CONTRIBUTED:
                self.revert("NotContributor", client=client)
            if status == PAID or client in seen:
                self.revert("AlreadyPaid", client=client)
            seen.add(client)
        for client in clients:
            commitment, _ = self._submission(task, number, client)
            self.state["submission", task, number, client] = (commitment, PAID)
            self.emit("RewardPaid", task=task, round=number, client=client, amount=about.reward)
            if about.reward:
                self.peer("StakeToken").transfer(client, about.reward)

    def taskCount(self) -> int:
        """Return the number of tasks, which is the newest task's number."""
        return int(self.state.get(("count",), 0))

    def getTask(self, task: int) -> tuple[Any, ...]:
        """Return everything about a task, in the ABI's order."""
        about, current = self._task(task), self._round(task)
        return (
            about.owner,
            about.model_id,
            about.model_cid,
            about.rounds,
            current.ended,
            about.window,
            about.reward,
            about.spec,
            current.cid,
            current.opened_at,
            current.ended == about.rounds,
        )

    def getSubmission(self, task: int, number: int, client: str) -> tuple[bytes, int]:
        """Return the commitment to a client's submission, and its status."""
        self._task(task)
        return self._submission(task, number, client)

    def MAX_REWARD(self) -> int:
        """Return the highest reward for one contribution."""
        return MAX_REWARD

    def MAX_COMMITMENTS(self) -> int:
        """Return how many commitments one publication may have."""
        return MAX_COMMITMENTS

    def MAX_SCORES(self) -> int:
        """Return how many scores one vote may have."""
        return MAX_SCORES

    def token(self) -> str:
        """Return the address of the token that pays the rewards."""
        return self.environment.addresses["StakeToken"]

    def _may_propose(self) -> bool:
        token = self.peer("StakeToken")
        return any(token.hasRole(PROPOSER_ROLE, who) for who in (ZERO_ADDRESS, self.sender))

    def _submission(self, task: int, number: int, client: str) -> tuple[bytes, int]:
        found: tuple[bytes, int] = self.state.get(
            ("submission", task, number, client), _NO_SUBMISSION
        )
        return found

    def _mean_accuracy(self, task: int, contributors: Sequence[str]) -> int | None:
        """Return the contributors' claims, weighted by their samples; None where there are none."""
        claims = [self.state["claim", task, client] for client in contributors]
        if not claims:
            return None
        samples = sum(claim[0] for claim in claims)
        if not samples:
            return int(sum(claim[1] for claim in claims) // len(claims))
        return int(sum(claim[0] * claim[1] for claim in claims) // samples)

    def _check_cid(self, cid: bytes) -> None:
        if not 4 <= len(cid) <= 64 or cid[0] != 1:
            self.revert("InvalidCid", cid=cid)

    def _check_number(self, clients: Sequence[str]) -> None:
        if len(clients) > MAX_CONTRIBUTORS:
            self.revert("TooManyContributors", given=len(clients), maximum=MAX_CONTRIBUTORS)

    def _check_commitments(self, commitments: Sequence[Sequence[bytes]]) -> None:
        if len(commitments) > MAX_COMMITMENTS:
            self.revert("TooManyCommitments", given=len(commitments), maximum=MAX_COMMITMENTS)
        before = bytes(32)
        for name, _ in commitments:
            if name <= before:
                self.revert("CommitmentsNotAscending", name=name)
            before = name
