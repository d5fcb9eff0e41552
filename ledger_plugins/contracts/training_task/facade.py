"""TrainingTask: federated training on a ledger, one round after the other.

A façade speaks in Python's terms: CIDs are text, accuracies fractions from 0 to 1. The ledger holds
binary CIDs and parts per million. Tasks are numbered from 1, and so are the rounds of a task.
"""

from collections.abc import Sequence
from typing import Any

from fedledger.errors import LedgerUnavailable

from ...accounts import Account
from ...base import Receipt
from ..facade import OfLedger, sends, sends_then
from ..meanings import Address, BlockHash, Cid, Hash32, Ppm, Seconds
from .commitments import NO_COMMITMENTS, Commitments
from .records import (
    Aggregate,
    Payment,
    Proposal,
    Reveal,
    Rollback,
    Status,
    Submission,
    Task,
    Votes,
)
from .rollbacks import TaskRollbacks

__all__ = ["NO_SEAL", "SETTLED", "TrainingTask"]

NO_SEAL = bytes(32)
"""The seal of an update whose client has no salt to reveal."""

SETTLED: Any = OfLedger(lambda ledger: ledger.settled().hash)
"""The block that a signer names by default."""


def _proposed(receipt: Receipt) -> tuple[int, Receipt]:
    return Proposal.read(receipt.event(Proposal.event)).task, receipt


class TrainingTask(TaskRollbacks):
    """The tasks on a ledger."""

    @sends_then(_proposed)
    def propose(
        self,
        account: Account,
        *,
        model_id: str,
        model_cid: Cid,
        rounds: int,
        spec: Cid,
        window: Seconds = 0,
        reward: int = 20,
    ) -> None:
        """Open a task; `account` becomes its owner and aggregator.

        Args:
            account: who signs; tasks with a reward need the token's PROPOSER_ROLE where the token's
                administrator has closed it.
            model_id: a name for people, 1 to 64 bytes of UTF-8.
            model_cid: CID of the initial model.
            rounds: number of rounds, at least 1.
            spec: CID of the document that specifies the task.
            window: seconds after a round opened in which updates are taken, the last one included,
                and nobody publishes it; 0: updates are taken until the aggregate is published.
            reward: tokens for each contribution, at most 20.

        Returns:
            The task's number and the receipt.

        Raises:
            InvalidCid: `model_cid` or `spec` is no CID.
        """

    @sends
    def submit_update(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        cid: Cid,
        samples: int,
        accuracy: Ppm,
        seal: Hash32 = NO_SEAL,
        seen: BlockHash = SETTLED,
    ) -> None:
        """Submit the update of `account` to the open round; its last one counts.

        Args:
            account: the client.
            task: the task's number.
            round: the open round.
            cid: CID of the update.
            samples: training examples behind it.
            accuracy: a fraction from 0 to 1, kept in steps of a millionth.
            seal: 32 bytes, the hash of a salt that the client may reveal once the window has
                closed; zeros where the task asks for none.
            seen: hash of a block that the client knows (default: the ledger's settled one).

        Raises:
            InvalidCid: `cid` is no CID.
        """

    @sends
    def publish_aggregate(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        cid: Cid,
        rule: str,
        contributors: Sequence[Address],
        evidence: Cid,
        commitments: Commitments = NO_COMMITMENTS,
    ) -> None:
        """End the open round; the contributors' rewards go into escrow until `pay_rewards`.

        While the task's window is open it is ContractError `WindowOpen`.

        Args:
            account: the task's aggregator.
            task: the task's number.
            round: the open round.
            cid: CID of the aggregate, the model of the next round.
            rule: name of the rule that made it, 1 to 32 bytes.
            contributors: clients whose updates went into it, at most 256, each once.
            evidence: CID of the round's evidence.
            commitments: what the aggregator commits itself to besides, at most 16: values of 32
                bytes by name, 1 to 32 letters of printable ASCII.

        Raises:
            CallError: a commitment's name or value that does not fit.
            InvalidCid: `cid` or `evidence` is no CID.
        """

    @sends
    def pay_rewards(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        clients: Sequence[Address],
    ) -> None:
        """Pay contributors of a published round, at most 256 a call; any account may do it."""

    def count(self) -> int:
        """Return the number of tasks, which is the newest task's number."""
        return self._call(int, "taskCount")

    def task(self, task: int) -> Task:
        """Return a task; ContractError `UnknownTask` when there is none."""
        return self._call(Task, "getTask", task)

    def status(self, task: int, round: int, client: str) -> int:
        """Return what became of a submission: 0 none, 1 submitted, 2 contributed, 3 paid."""
        return self._call(Status, "getSubmission", task, round, client).status

    def token(self) -> str:
        """Return the address of the token that pays the rewards."""
        return self._call(str, "token")

    def find(self, owner: str, model_id: str) -> list[int]:
        """Return the numbers of the tasks that `owner` proposed under `model_id`, oldest first."""
        return [one.task for one in self._events(Proposal, owner=owner, model_id=model_id)]

    def of(self, owner: str) -> list[int]:
        """Return the numbers of all tasks that `owner` proposed, oldest first."""
        return [one.task for one in self._events(Proposal, owner=owner)]

    def submissions(
        self,
        task: int,
        round: int,
        *,
        since: int = 0,
        until: int | None = None,
    ) -> dict[str, Submission]:
        """Return the submissions that count in a round: each client's last one.

        Args:
            task: the task's number.
            round: the round.
            since: first block to look at; the block that opened the round is early enough.
            until: last block to look at (default: the head).
        """
        listed = self.submitted(task, round, since=since, until=until)
        return {submission.client: submission for submission in listed}

    def ended(self, task: int) -> list[Aggregate | Rollback]:
        """Return the rounds that ended, published or rolled back, in order."""
        ended: list[Aggregate | Rollback] = [*self.aggregates(task), *self.rollbacks(task)]
        return sorted(ended, key=lambda one: one.round)

    def opened_in(self, task: int, ended: Sequence[Aggregate | Rollback]) -> int:
        """Return the index of the block that opened the round after the ones that `ended`.

        Raises:
            LedgerUnavailable: the ledger does not show the task's proposal any more.
        """
        if ended:
            return ended[-1].block
        for proposal in self._events(Proposal, task=task):
            return proposal.block
        raise LedgerUnavailable(
            f"{self.ledger.url} does not show the proposal of task {task}: its newest blocks "
            "changed meanwhile, try again"
        )

    def submitted(
        self,
        task: int,
        round: int,
        *,
        since: int = 0,
        until: int | None = None,
    ) -> list[Submission]:
        """Return all submissions to a round in the ledger's order, replaced ones too.

        Args: as of `submissions`.
        """
        return self._events(Submission, since=since, until=until, task=task, round=round)

    @sends
    def submit_votes(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        ballot: Hash32,
        scores: Sequence[int],
        seen: BlockHash = SETTLED,
    ) -> None:
        """Score candidates of the open round; an account's last scores for a ballot count.

        Args:
            account: the voter.
            task: the task's number.
            round: the open round.
            ballot: 32 bytes that name what was scored.
            scores: change of the loss for each candidate, in millionths; at most 32.
            seen: hash of a block that the voter knows (default: the ledger's settled one).
        """

    @sends
    def reveal_salt(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        list: Hash32,  # noqa: A002 - the ABI's name
        salt: Hash32,
        seen: BlockHash = SETTLED,
    ) -> None:
        """Say the salt of the update of `account` to the open round; its last one counts.

        While the task's window is open it is ContractError `WindowOpen`.

        Args:
            account: the client.
            task: the task's number.
            round: the open round.
            list: 32 bytes, the hash of the list of updates that the salt is revealed for.
            salt: 32 bytes whose hash is the seal of the client's update.
            seen: hash of a block that the client knows (default: the ledger's settled one).
        """

    @sends
    def confirm_history(self, account: Account, *, task: int, seen: BlockHash = SETTLED) -> None:
        """Say that `account` knows a block of this ledger: what an update says, without one.

        Args:
            account: a client.
            task: the task's number.
            seen: hash of the block (default: the ledger's settled one).
        """

    def votes(
        self,
        task: int,
        round: int,
        *,
        since: int = 0,
        until: int | None = None,
    ) -> list[Votes]:
        """Return all votes of a round in ledger order; who may vote is for the reader to know."""
        return self._events(Votes, since=since, until=until, task=task, round=round)

    def reveals(
        self,
        task: int,
        round: int,
        *,
        since: int = 0,
        until: int | None = None,
    ) -> list[Reveal]:
        """Return all salts revealed in a round in ledger order; a client's last one counts."""
        return self._events(Reveal, since=since, until=until, task=task, round=round)

    def aggregates(self, task: int, *, since: int = 0, until: int | None = None) -> list[Aggregate]:
        """Return the published rounds of a task, in order."""
        return self._events(Aggregate, since=since, until=until, task=task)

    def payments(self, task: int, *, since: int = 0, until: int | None = None) -> list[Payment]:
        """Return the rewards paid for a task, in ledger order."""
        return self._events(Payment, since=since, until=until, task=task)
