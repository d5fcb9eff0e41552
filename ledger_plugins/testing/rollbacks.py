"""Clauses L1 to L7 on checkpoints and rollbacks."""

# ruff: noqa: S101 - asserts are what tests are made of

from collections.abc import Sequence
from functools import partial

from ..accounts import Account
from ..base import Ledger
from ..contracts import StakeToken, TrainingTask
from .calls import CID, LAST, NEXT, begin, fails, propose, publish, submit, update
from .harness import LedgerFactory, LedgerHarness

__all__ = ["RollbackClauses"]


def _appoint(tasks: TrainingTask, owner: Account, task: int, number: int) -> list[Account]:
    members = [Account.create() for _ in range(number)]
    tasks.appoint_members(owner, task=task, members=[member.address for member in members])
    return members


def _vote(
    tasks: TrainingTask,
    members: Sequence[Account],
    task: int,
    number: int = 2,
    *,
    to_round: int = 0,
) -> None:
    for member in members:
        tasks.vote_rollback(member, task=task, round=number, to_round=to_round)


class RollbackClauses(LedgerHarness):
    """A task goes back to a checkpoint alike on every ledger."""

    def test_l2_a_checkpoint_is_the_newest_model_once(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L2: an older round, a round twice, or one that has no checkpoint is an error."""
        task = begin(tasks, admin)
        fails(
            lambda: tasks.record_checkpoint(admin, task=task, round=0, accuracy=0.5),
            "NotNewestRound",
            {"newest": 1, "given": 0},
        )
        none = {"task": task, "round": 1}
        fails(lambda: tasks.checkpoint(task, 1), "UnknownCheckpoint", none)
        tasks.record_checkpoint(admin, task=task, round=1, accuracy=0.5)
        fails(
            lambda: tasks.record_checkpoint(admin, task=task, round=1, accuracy=0.75),
            "CheckpointExists",
            none,
        )
        assert tasks.checkpoint(task, 1) == (NEXT, 0.5)

    def test_l2_a_rollback_that_cannot_be_changes_nothing(
        self, ledger: Ledger, tasks: TrainingTask, admin: Account
    ) -> None:
        """L2: a round that is not open, no checkpoint, or the present model, is an error."""
        task = begin(tasks, admin)
        tasks.record_checkpoint(admin, task=task, round=1, accuracy=0.5)
        (member,) = _appoint(tasks, admin, task, 1)
        before = tasks.task(task), ledger.events("TrainingTask")
        for ask, who in ((tasks.rollback, admin), (tasks.vote_rollback, member)):
            for asked, error, arguments in (
                ((1, 0), "WrongRound", {"expected": 2, "given": 1}),
                ((3, 0), "WrongRound", {"expected": 2, "given": 3}),
                ((2, 7), "UnknownCheckpoint", {"task": task, "round": 7}),
                ((2, 1), "ModelUnchanged", {"toRound": 1}),
            ):
                number, target = asked
                call = partial(ask, who, task=task, round=number, to_round=target)
                fails(call, error, arguments)
        assert (tasks.task(task), ledger.events("TrainingTask")) == before

    def test_l3_the_owner_ends_the_open_round_with_a_checkpoint(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L3: the round counts as ended, with the checkpoint's model; the event says by whom."""
        task = begin(tasks, admin)
        receipt = tasks.rollback(admin, task=task, round=2, to_round=0)
        now = tasks.task(task)
        assert (now.current_round, now.current_cid, now.finished) == (2, CID, False)
        assert [event.name for event in receipt.events] == ["RolledBack"]
        (done,) = tasks.rollbacks(task)
        assert (done.round, done.to_round, done.cid, done.accuracy) == (2, 0, CID, 0.25)
        assert (done.votes, done.transaction, done.block) == (0, receipt.transaction, receipt.block)

    def test_l3_a_rollback_of_the_last_round_finishes_the_task(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L3: a rolled back round is one of the task's rounds; after the last there is none."""
        task = begin(tasks, admin, rounds=2)
        tasks.rollback(admin, task=task, round=2, to_round=0)
        assert tasks.task(task).finished
        over = {"task": task}
        fails(lambda: tasks.rollback(admin, task=task, round=3, to_round=0), "TaskFinished", over)
        fails(lambda: submit(tasks, admin, task, 3), "TaskFinished", over)

    def test_l3_more_than_half_of_the_members_roll_back(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L3: half of the votes do nothing; the one that makes them more does it, at its place."""
        task = begin(tasks, admin)
        members = _appoint(tasks, admin, task, 4)
        _vote(tasks, members[:2], task)
        assert (tasks.task(task).current_cid, tasks.rollback_votes(task, 0)) == (NEXT, 2)
        assert tasks.rollbacks(task) == []
        receipt = tasks.vote_rollback(members[2], task=task, round=2, to_round=0)
        assert [event.name for event in receipt.events] == ["RollbackVoted", "RolledBack"]
        assert tasks.task(task).current_cid == CID
        (done,) = tasks.rollbacks(task)
        assert (done.round, done.votes, done.transaction) == (2, 3, receipt.transaction)
        votes = [(vote.member, vote.votes, vote.members) for vote in tasks.rollback_ballots(task)]
        assert votes == [(member.address, at, 4) for at, member in enumerate(members[:3], start=1)]
        fails(lambda: _vote(tasks, members[3:], task), "WrongRound", {"expected": 3, "given": 2})

    def test_l1_a_member_votes_once(self, tasks: TrainingTask, admin: Account) -> None:
        """L1, L2: a member's second vote for the same checkpoint is refused and does not count."""
        task = begin(tasks, admin)
        members = _appoint(tasks, admin, task, 2)
        _vote(tasks, members[:1], task)
        twice = {"member": members[0].address, "toRound": 0}
        fails(lambda: _vote(tasks, members[:1], task), "AlreadyVoted", twice)
        assert (tasks.rollback_votes(task, 0), tasks.task(task).current_cid) == (1, NEXT)

    def test_l1_a_changed_vote_counts_for_its_last_checkpoint(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L1: a member that changes its mind has one vote still."""
        task = begin(tasks, admin)
        tasks.record_checkpoint(admin, task=task, round=1, accuracy=0.5)
        publish(tasks, admin, task, [], round=2, cid=LAST)
        members = _appoint(tasks, admin, task, 3)
        _vote(tasks, members[:1], task, 3, to_round=0)
        _vote(tasks, members[:1], task, 3, to_round=1)
        assert [tasks.rollback_votes(task, to_round) for to_round in (0, 1)] == [0, 1]
        _vote(tasks, members[1:2], task, 3, to_round=0)
        assert tasks.task(task).current_cid == LAST
        _vote(tasks, members[2:], task, 3, to_round=1)
        assert tasks.task(task).current_cid == NEXT

    def test_l1_no_vote_outlives_its_member_or_its_round(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L1: votes begin anew when a member is revoked, and when the round ends."""
        task = begin(tasks, admin)
        ann, bob = _appoint(tasks, admin, task, 2)
        _vote(tasks, [ann], task)
        tasks.revoke_members(admin, task=task, members=[ann.address])
        tasks.appoint_members(admin, task=task, members=[ann.address])
        assert tasks.rollback_votes(task, 0) == 0
        _vote(tasks, [bob], task)
        publish(tasks, admin, task, [], round=2, cid=LAST)
        _vote(tasks, [ann], task, 3)
        assert (tasks.rollback_votes(task, 0), tasks.rollbacks(task)) == (1, [])

    def test_l3_nothing_enters_a_voided_round(
        self, ledger: Ledger, tasks: TrainingTask, admin: Account
    ) -> None:
        """L3: an update signed for the round, or its aggregate, fails; the next round takes it."""
        task, client = begin(tasks, admin), Account.create()
        signed = update(ledger, client, task, 2)
        tasks.rollback(admin, task=task, round=2, to_round=0)
        void = {"expected": 3, "given": 2}
        fails(lambda: ledger.transact(signed), "WrongRound", void)
        fails(lambda: publish(tasks, admin, task, [], round=2), "WrongRound", void)
        submit(tasks, client, task, 3)
        publish(tasks, admin, task, [client.address], round=3)
        assert [tasks.status(task, number, client.address) for number in (2, 3)] == [0, 2]

    def test_l6_checkpoints_and_votes_are_there_after_opening_again(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L6: models and accuracies by round stay, and so do the votes of the open round."""
        with ledger_factory(admin.address) as ledger:
            tasks = TrainingTask(ledger)
            task = begin(tasks, admin)
            tasks.record_checkpoint(admin, task=task, round=1, accuracy=0.123456)
            recorded = tasks.checkpoints(task)
            members = _appoint(tasks, admin, task, 2)
            _vote(tasks, members[:1], task)
        with ledger_factory(admin.address) as again:
            tasks = TrainingTask(again)
            assert tasks.checkpoints(task) == recorded
            found = [tasks.checkpoint(task, number) for number in (0, 1)]
            assert found == [(CID, 0.25), (NEXT, 0.123456)]
            _vote(tasks, members[1:], task)
            assert tasks.task(task).current_cid == CID
            again.verify()

    def test_l7_a_rollback_moves_no_tokens(
        self, ledger: Ledger, token: StakeToken, tasks: TrainingTask, admin: Account
    ) -> None:
        """L7: what was paid stays paid, what is owed is paid later, the voided round pays none."""
        paid, owed, void = (Account.create() for _ in range(3))
        escrow = ledger.terms("TrainingTask", "propose").to
        task = propose(tasks, admin, rounds=3)
        tasks.record_checkpoint(admin, task=task, round=0, accuracy=0.25)
        for client in (paid, owed):
            submit(tasks, client, task)
        publish(tasks, admin, task, [paid.address, owed.address], cid=NEXT)
        tasks.pay_rewards(admin, task=task, round=1, clients=[paid.address])
        submit(tasks, void, task, 2)

        def held() -> list[int]:
            return [*map(token.balance, (escrow, paid.address, owed.address)), token.total_supply()]

        assert held() == [20, 20, 0, 40]
        tasks.rollback(admin, task=task, round=2, to_round=0)
        assert held() == [20, 20, 0, 40]
        fails(
            lambda: tasks.pay_rewards(admin, task=task, round=2, clients=[void.address]),
            "NotContributor",
            {"client": void.address},
        )
        tasks.pay_rewards(admin, task=task, round=1, clients=[owed.address])
        assert held() == [0, 20, 20, 40]
