"""TrainingTask: federated training on a ledger, one round after the other.

A façade speaks in Python's terms: CIDs are text, accuracies fractions from 0 to 1. The ledger holds
binary CIDs and parts per million. Tasks are numbered from 1, and so are the rounds of a task.
"""

from collections.abc import Mapping, Sequence

from ...accounts import Account
from ...base import Receipt
from ...storage.cid import cid_to_bytes
from .commitments import NO_COMMITMENTS, commitment_pairs
from .records import Aggregate, Payment, Submission, Task, Votes, accuracy_to_ppm
from .rollback_records import Rollback
from .rollbacks import TaskRollbacks

__all__ = ["TrainingTask"]


class TrainingTask(TaskRollbacks):
    """The tasks on a ledger."""

    def propose(
        self,
        account: Account,
        *,
        model_id: str,
        model_cid: str,
        rounds: int,
        spec: str,
        window: int = 0,
        reward: int = 20,
    ) -> tuple[int, Receipt]:
        """Open a task; `account` becomes its owner and aggregator.

        Args:
            account: who signs; tasks with a reward need the token's PROPOSER_ROLE where the token's
                administrator has closed it.
            model_id: a name for people, 1 to 64 bytes of UTF-8.
            model_cid: CID of the initial model.
            rounds: number of rounds, at least 1.
            spec: CID of the document that specifies the task.
            window: seconds after a round opened in which updates are taken, the last one included;
                0: until the aggregate is published.
            reward: tokens for each contribution, at most 20.

        Returns:
            The task's number and the receipt.

        Raises:
            InvalidCid: `model_cid` or `spec` is no CID.
        """
        receipt = self._send(
            account,
            "propose",
            model_id,
            cid_to_bytes(model_cid),
            rounds,
            window,
            reward,
            cid_to_bytes(spec),
        )
        return int(receipt.event("TaskProposed").arguments["task"]), receipt

    def submit_update(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        cid: str,
        samples: int,
        accuracy: float,
    ) -> Receipt:
        """Submit the update of `account` to the open round; its last one counts.

        Args:
            account: the client.
            task: the task's number.
            round: the open round.
            cid: CID of the update.
            samples: training examples behind it.
            accuracy: a fraction from 0 to 1, kept in steps of a millionth.

        Raises:
            InvalidCid: `cid` is no CID.
        """
        return self._send(
            account,
            "submitUpdate",
            task,
            round,
            cid_to_bytes(cid),
            samples,
            accuracy_to_ppm(accuracy),
        )

    def publish_aggregate(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        cid: str,
        rule: str,
        contributors: Sequence[str],
        evidence: str,
        commitments: Mapping[str, bytes] = NO_COMMITMENTS,
    ) -> Receipt:
        """End the open round; the contributors' rewards go into escrow until `pay_rewards`.

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
        return self._send(
            account,
            "publishAggregate",
            task,
            round,
            cid_to_bytes(cid),
            rule,
            list(contributors),
            cid_to_bytes(evidence),
            commitment_pairs(commitments),
        )

    def pay_rewards(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        clients: Sequence[str],
    ) -> Receipt:
        """Pay contributors of a published round, at most 256 a call; any account may do it."""
        return self._send(account, "payRewards", task, round, list(clients))

    def count(self) -> int:
        """Return the number of tasks, which is the newest task's number."""
        return int(self._call("taskCount"))

    def task(self, task: int) -> Task:
        """Return a task; ContractError `UnknownTask` when there is none."""
        return Task.from_call(task, self._call("getTask", task))

    def status(self, task: int, round: int, client: str) -> int:
        """Return what became of a submission: 0 none, 1 submitted, 2 contributed, 3 paid."""
        return int(self._call("getSubmission", task, round, client)[1])

    def token(self) -> str:
        """Return the address of the token that pays the rewards."""
        return str(self._call("token"))

    def find(self, owner: str, model_id: str) -> list[int]:
        """Return the numbers of the tasks that `owner` proposed under `model_id`, oldest first."""
        return [
            event.arguments["task"]
            for event in self.ledger.events(self.contract, "TaskProposed")
            if (event.arguments["owner"], event.arguments["modelId"]) == (owner, model_id)
        ]

    def of(self, owner: str) -> list[int]:
        """Return the numbers of all tasks that `owner` proposed, oldest first."""
        return [
            event.arguments["task"]
            for event in self.ledger.events(self.contract, "TaskProposed")
            if event.arguments["owner"] == owner
        ]

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
        """Return the index of the block that opened the round after the ones that `ended`."""
        if ended:
            return ended[-1].block
        return self._events("TaskProposed", task, 0, None)[0].block

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
        return [
            Submission.from_event(event)
            for event in self._events("UpdateSubmitted", task, since, until)
            if event.arguments["round"] == round
        ]

    def submit_votes(
        self,
        account: Account,
        *,
        task: int,
        round: int,
        ballot: bytes,
        scores: Sequence[int],
    ) -> Receipt:
        """Score candidates of the open round; an account's last scores for a ballot count.

        Args:
            account: the voter.
            task: the task's number.
            round: the open round.
            ballot: 32 bytes that name what was scored.
            scores: change of the loss for each candidate, in millionths; at most 32.
        """
        return self._send(account, "submitVotes", task, round, ballot, list(scores))

    def votes(
        self,
        task: int,
        round: int,
        *,
        since: int = 0,
        until: int | None = None,
    ) -> list[Votes]:
        """Return all votes of a round in ledger order; who may vote is for the reader to know."""
        return [
            Votes.from_event(event)
            for event in self._events("VotesSubmitted", task, since, until)
            if event.arguments["round"] == round
        ]

    def aggregates(self, task: int, *, since: int = 0, until: int | None = None) -> list[Aggregate]:
        """Return the published rounds of a task, in order."""
        events = self._events("AggregatePublished", task, since, until)
        return [Aggregate.from_event(event) for event in events]

    def payments(self, task: int, *, since: int = 0, until: int | None = None) -> list[Payment]:
        """Return the rewards paid for a task, in ledger order."""
        events = self._events("RewardPaid", task, since, until)
        return [Payment.from_event(event) for event in events]
