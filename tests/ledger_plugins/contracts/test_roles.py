"""Roles, checkpoints and rollbacks: the façade on the embedded chain."""

from dataclasses import FrozenInstanceError

import pytest

from fedledger.errors import CallError, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import Checkpoint, Roles, StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.stake_token.facade import MINTER_ROLE, PROPOSER_ROLE
from fedledger.ledger_plugins.storage.cid import cid_of

SERVER, OTHER, *MEMBERS = (Account.from_key(bytes([n]) * 32) for n in range(1, 6))
START, NEXT, LAST, PAPER = (cid_of(bytes([n])) for n in range(4))


@pytest.fixture
def tasks(tmp_path):
    with open_ledger(f"local://{tmp_path}/chain.db", admin=SERVER.address) as ledger:
        tasks = TrainingTask(ledger)
        tasks.propose(SERVER, model_id="m", model_cid=START, rounds=5, spec=PAPER)
        yield tasks


def end_round(tasks, number, cid, account=SERVER):
    tasks.publish_aggregate(
        account, task=1, round=number, cid=cid, rule="r", contributors=[], evidence=PAPER
    )


def test_roles_through_the_facade(tasks):
    """Who was appointed has the role; the records are frozen and come in ledger order."""
    assert tasks.roles(1) == Roles(SERVER.address, SERVER.address, 0)
    tasks.appoint_aggregator(SERVER, task=1, aggregator=OTHER.address)
    everybody = tuple(member.address for member in MEMBERS)
    tasks.appoint_members(SERVER, task=1, members=everybody)
    then = tasks.ledger.head().timestamp
    tasks.revoke_members(SERVER, task=1, members=everybody[:1])
    assert tasks.roles(1) == Roles(SERVER.address, OTHER.address, 2)
    assert [tasks.is_member(1, member) for member in everybody] == [False, True, True]
    since = [tasks.member_since(1, member) for member in everybody]
    assert since == [None, then, then]
    changes = [(change.members, change.appointed) for change in tasks.member_changes(1)]
    assert changes == [(everybody, True), (everybody[:1], False)]
    with pytest.raises(FrozenInstanceError):
        tasks.roles(1).members = 9
    with pytest.raises(ContractError, match="NotAggregator"):
        end_round(tasks, 1, NEXT)
    end_round(tasks, 1, NEXT, OTHER)
    with pytest.raises(ContractError, match="UnknownTask"):
        tasks.roles(2)
    with pytest.raises(CallError, match="address"):
        tasks.appoint_members(SERVER, task=1, members=["nobody"])


def test_rollbacks_through_the_facade_and_after_reopening(tasks, tmp_path):
    """Checkpoints, votes and rollbacks read as what was sent, also from disk."""
    receipt = tasks.record_checkpoint(SERVER, task=1, round=0, accuracy=0.123456)
    end_round(tasks, 1, NEXT)
    tasks.record_checkpoint(SERVER, task=1, round=1, accuracy=1)
    first, second = tasks.checkpoints(1)
    place = {"transaction": receipt.transaction, "block": receipt.block, "position": 0}
    expected = Checkpoint(1, 0, START, 0.123456, SERVER.address, **place)
    assert first == expected
    assert (second.cid, second.accuracy) == tasks.checkpoint(1, 1) == (NEXT, 1.0)
    assert tasks.checkpoints(1, until=receipt.block) == [first]
    with pytest.raises(CallError, match="accuracy"):
        tasks.record_checkpoint(SERVER, task=1, round=1, accuracy=1.1)
    with pytest.raises(ContractError, match="UnknownCheckpoint"):
        tasks.checkpoint(1, 2)

    end_round(tasks, 2, LAST)
    tasks.appoint_members(SERVER, task=1, members=[member.address for member in MEMBERS])
    tasks.vote_rollback(MEMBERS[0], task=1, round=3, to_round=1)
    assert (tasks.rollback_votes(1, 1), tasks.rollback_votes(1, 0)) == (1, 0)
    receipt = tasks.vote_rollback(MEMBERS[2], task=1, round=3, to_round=1)
    tasks.rollback(SERVER, task=1, round=4, to_round=0)

    tasks.ledger.close()
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        again = TrainingTask(ledger)
        votes = [
            (vote.member, vote.round, vote.to_round, vote.votes, vote.members)
            for vote in again.rollback_ballots(1)
        ]
        assert votes == [(MEMBERS[0].address, 3, 1, 1, 3), (MEMBERS[2].address, 3, 1, 2, 3)]
        by_members, by_owner = again.rollbacks(1)
        assert (by_members.round, by_members.to_round, by_members.votes) == (3, 1, 2)
        assert (by_members.cid, by_members.accuracy) == (NEXT, 1.0)
        assert (by_members.transaction, by_members.position) == (receipt.transaction, 1)
        assert (by_owner.round, by_owner.cid, by_owner.votes) == (4, START, 0)
        task = again.task(1)
        assert (task.current_round, task.current_cid, task.finished) == (4, START, False)
        assert [again.rollbacks(2), again.rollback_ballots(2), again.checkpoints(2)] == [[]] * 3


def test_blocks_say_which_model_a_rollback_made_current(tasks):
    """A rolled back round's model info has the checkpoint's model, its accuracy and the round."""
    tasks.record_checkpoint(SERVER, task=1, round=0, accuracy=0.5)
    end_round(tasks, 1, NEXT)
    tasks.rollback(SERVER, task=1, round=2, to_round=0)
    end_round(tasks, 3, LAST)
    info = [entry for block in tasks.ledger.full_blocks() for entry in block.model_info]
    assert [(entry.current_iter, entry.accuracy) for entry in info] == [
        (0, None),
        (1, None),
        (2, 500_000),
        (3, None),
    ]
    assert info[2].init_ipfs_hash == info[0].init_ipfs_hash
    assert info[2].from_addr == SERVER.address
    tasks.ledger.verify()


def test_the_admin_closes_the_proposing_of_rewards(tasks):
    """A new embedded chain lets everybody propose; its administrator may list who does instead."""
    token = StakeToken(tasks.ledger)
    terms = {"model_id": "own", "model_cid": START, "rounds": 1, "spec": PAPER}
    tasks.propose(OTHER, **terms)
    token.revoke_role(SERVER, PROPOSER_ROLE, ZERO_ADDRESS)
    with pytest.raises(ContractError, match="NotProposer"):
        tasks.propose(OTHER, **terms)
    assert tasks.propose(OTHER, **terms, reward=0)[0] == 3
    token.grant_role(SERVER, PROPOSER_ROLE, OTHER.address)
    assert tasks.propose(OTHER, **terms)[0] == 4


def test_a_refusal_names_the_role(tmp_path):
    """Ids of roles are shown by their names, other bytes as digits; the argument is the id."""
    with (
        open_ledger(f"local://{tmp_path}/chain.db") as ledger,
        pytest.raises(ContractError, match="neededRole=MINTER_ROLE") as caught,
    ):
        StakeToken(ledger).mint(Account.create(), Account.create().address, 5)
    assert caught.value.arguments["neededRole"] == MINTER_ROLE
    with (
        open_ledger(f"ethereum+tester://{tmp_path.name}") as ledger,
        pytest.raises(ContractError, match="neededRole=DEFAULT_ADMIN_ROLE"),
    ):
        StakeToken(ledger).grant_role(Account.create(), MINTER_ROLE, Account.create().address)
    unknown = ContractError("X", "Odd", {"role": b"\1" * 32, "hash": bytes(32)})
    assert str(unknown) == f"X: Odd(role=0x{'01' * 32}, hash=0x{'00' * 32})"
