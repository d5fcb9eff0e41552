"""Clauses L1, L2, L4, L6 and L9 on roles: who may do what in a task, and with the token."""

# ruff: noqa: S101 - asserts are what tests are made of

from functools import partial

from ..accounts import Account
from ..addresses import ZERO_ADDRESS
from ..base import Ledger
from ..contracts import Roles, StakeToken, TrainingTask
from ..contracts.stake_token.facade import MINTER_ROLE, PROPOSER_ROLE
from .calls import CID, begin, fails, propose, publish
from .harness import LedgerFactory, LedgerHarness

__all__ = ["RoleClauses"]


class RoleClauses(LedgerHarness):
    """Roles are given, kept and taken alike on every ledger."""

    def test_l1_calls_of_a_role_are_refused_to_others(
        self, ledger: Ledger, tasks: TrainingTask, admin: Account
    ) -> None:
        """L1, L2: whoever lacks a role is named in the error, and nothing changed."""
        task, stranger = begin(tasks, admin), Account.create()
        before = tasks.task(task), tasks.roles(task), ledger.events("TrainingTask")
        sender, account = {"sender": stranger.address}, {"account": stranger.address}
        me = [stranger.address]
        fails(
            lambda: tasks.appoint_aggregator(stranger, task=task, aggregator=stranger.address),
            "NotOwner",
            sender,
        )
        fails(lambda: tasks.appoint_members(stranger, task=task, members=me), "NotOwner", sender)
        fails(lambda: tasks.revoke_members(stranger, task=task, members=me), "NotOwner", sender)
        fails(
            lambda: tasks.record_checkpoint(stranger, task=task, round=1, accuracy=1),
            "NotOwnerOrAggregator",
            sender,
        )
        fails(lambda: publish(tasks, stranger, task, [], round=2), "NotAggregator", sender)
        fails(lambda: tasks.rollback(stranger, task=task, round=2, to_round=0), "NotOwner", sender)
        fails(
            lambda: tasks.vote_rollback(stranger, task=task, round=2, to_round=0),
            "NotMember",
            account,
        )
        assert (tasks.task(task), tasks.roles(task), ledger.events("TrainingTask")) == before

    def test_l1_the_appointed_aggregator_publishes_and_nobody_else(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L1: once another is appointed, the owner itself may not publish."""
        task, other = propose(tasks, admin), Account.create()
        tasks.appoint_aggregator(admin, task=task, aggregator=other.address)
        fails(lambda: publish(tasks, admin, task, []), "NotAggregator", {"sender": admin.address})
        publish(tasks, other, task, [])
        assert tasks.roles(task) == Roles(admin.address, other.address, 0)
        assert tasks.task(task).finished

    def test_l2_the_zero_address_is_no_aggregator(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L2: nobody could publish for it, so it is refused."""
        task = propose(tasks, admin)
        fails(
            lambda: tasks.appoint_aggregator(admin, task=task, aggregator=ZERO_ADDRESS),
            "InvalidAggregator",
            {"aggregator": ZERO_ADDRESS},
        )

    def test_l1_members_are_appointed_and_revoked(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L1, L2: nobody becomes or ceases to be a member twice; a list counts as a whole."""
        task = propose(tasks, admin)
        ann, bob = (Account.create().address for _ in range(2))
        tasks.appoint_members(admin, task=task, members=[ann])
        fails(
            lambda: tasks.appoint_members(admin, task=task, members=[bob, ann]),
            "AlreadyMember",
            {"account": ann},
        )
        tasks.appoint_members(admin, task=task, members=[bob])
        tasks.revoke_members(admin, task=task, members=[ann])
        fails(
            lambda: tasks.revoke_members(admin, task=task, members=[bob, ann]),
            "NotMember",
            {"account": ann},
        )
        assert [tasks.is_member(task, one) for one in (ann, bob)] == [False, True]
        assert tasks.roles(task).members == 1
        changes = [(change.members, change.appointed) for change in tasks.member_changes(task)]
        assert changes == [((ann,), True), ((bob,), True), ((ann,), False)]

    def test_l1_minting_is_granted_and_revoked(self, token: StakeToken, admin: Account) -> None:
        """L1: the admin lets an account mint, and no longer; others cannot make it so."""
        minter = Account.create()
        lacks = {"account": minter.address, "neededRole": MINTER_ROLE}

        def mint() -> object:
            return token.mint(minter, minter.address, 5)

        fails(mint, "AccessControlUnauthorizedAccount", lacks, "StakeToken")
        fails(
            lambda: token.grant_role(minter, MINTER_ROLE, minter.address),
            "AccessControlUnauthorizedAccount",
            {"account": minter.address, "neededRole": bytes(32)},
            "StakeToken",
        )
        token.grant_role(admin, MINTER_ROLE, minter.address)
        mint()
        token.revoke_role(admin, MINTER_ROLE, minter.address)
        fails(mint, "AccessControlUnauthorizedAccount", lacks, "StakeToken")
        assert token.total_supply() == 5

    def test_l1_proposing_rewards_is_closed_and_granted(
        self, token: StakeToken, tasks: TrainingTask, admin: Account
    ) -> None:
        """L1: once closed, only who was granted it proposes rewards; anybody proposes without."""
        owner = Account.create()
        token.revoke_role(admin, PROPOSER_ROLE, ZERO_ADDRESS)
        fails(lambda: propose(tasks, owner), "NotProposer", {"sender": owner.address})
        free, _ = tasks.propose(owner, model_id="free", model_cid=CID, rounds=1, spec=CID, reward=0)
        token.grant_role(admin, PROPOSER_ROLE, owner.address)
        assert tasks.of(owner.address) == [free]
        assert propose(tasks, owner) == free + 1

    def test_l6_roles_are_there_after_opening_again(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L6: a ledger opened again knows aggregators, members, and who may mint."""
        other, member = Account.create().address, Account.create().address
        with ledger_factory(admin.address) as ledger:
            tasks = TrainingTask(ledger)
            task = propose(tasks, admin)
            tasks.appoint_aggregator(admin, task=task, aggregator=other)
            tasks.appoint_members(admin, task=task, members=[member])
            StakeToken(ledger).grant_role(admin, MINTER_ROLE, other)
        with ledger_factory(admin.address) as again:
            tasks = TrainingTask(again)
            assert tasks.roles(task) == Roles(admin.address, other, 1)
            assert tasks.is_member(task, member)
            assert StakeToken(again).has_role(MINTER_ROLE, other)
            fails(
                lambda: publish(tasks, admin, task, []), "NotAggregator", {"sender": admin.address}
            )

    def test_l4_what_an_aggregator_commits_itself_to_is_said(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L4, L6, L9: a publication has up to a number of named commitments; they read as given."""
        with ledger_factory(admin.address) as ledger:
            tasks = TrainingTask(ledger)
            bound = ledger.call("TrainingTask", "MAX_COMMITMENTS")
            given = {f"name {number}": bytes([number]) * 32 for number in range(bound + 1)}
            task = propose(tasks, admin, rounds=2)
            fails(
                lambda: publish(tasks, admin, task, [], commitments=given),
                "TooManyCommitments",
                {"given": bound + 1, "maximum": bound},
            )
            del given["name 0"]
            publish(tasks, admin, task, [], commitments=given)
            publish(tasks, admin, task, [], round=2)
        with ledger_factory(admin.address) as again:
            found = TrainingTask(again).aggregates(task)
            assert [published.commitments for published in found] == [given, {}]

    def test_l9_a_call_lists_a_bounded_number_of_members(
        self, ledger: Ledger, tasks: TrainingTask, admin: Account
    ) -> None:
        """L9: one member too many is refused as a whole; as many as are allowed fit one call."""
        bound = ledger.call("TrainingTask", "MAX_CONTRIBUTORS")
        task = propose(tasks, admin)
        many = [
            "0x" + (number + (7 << 80)).to_bytes(20, "big").hex() for number in range(bound + 1)
        ]
        for change in (tasks.appoint_members, tasks.revoke_members):
            too_many = {"given": bound + 1, "maximum": bound}
            call = partial(change, admin, task=task, members=many)
            fails(call, "TooManyMembers", too_many)
        tasks.appoint_members(admin, task=task, members=many[:bound])
        assert tasks.roles(task).members == bound
        tasks.revoke_members(admin, task=task, members=many[:bound])
        assert tasks.roles(task).members == 0
