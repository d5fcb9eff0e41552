"""Roles, checkpoints and rollbacks: the twin by itself, the façade and the embedded chain."""

from dataclasses import FrozenInstanceError

import pytest
from support.twin_bench import ADMIN, ANN, BOB, CID, CID2, EVE, OWNER, Bench, refused

from fedledger.errors import CallError, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import Checkpoint, Roles, StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.stake_token import PROPOSER_ROLE
from fedledger.ledger_plugins.storage.cid import cid_of

MANY = [address_from_bytes(n.to_bytes(20, "big")) for n in range(1, 258)]


def task(bench, sender, function, *args):
    return bench.send(sender, "TrainingTask", function, *args)


def model(bench):
    return bench.view("TrainingTask", "getTask", 1)[8]


def publish(bench, number, cid, sender=OWNER):
    task(bench, sender, "publishAggregate", 1, number, cid, "r", [], CID)


@pytest.fixture
def bench():
    """Task 1 has rounds 1 and 2 published, checkpoints 0 and 1, miners Ann, Bob and Eve."""
    bench = Bench()
    task(bench, OWNER, "propose", "m", CID, 4, 0, 20, CID)
    task(bench, OWNER, "recordCheckpoint", 1, 0, 500_000)
    publish(bench, 1, CID2)
    task(bench, OWNER, "recordCheckpoint", 1, 1, 900_000)
    publish(bench, 2, CID[:4])
    task(bench, OWNER, "appointMiners", 1, [ANN, BOB, EVE])
    return bench


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    [
        (EVE, ("appointAggregator", 9, ZERO_ADDRESS), ("UnknownTask", 9)),
        (EVE, ("appointAggregator", 1, ZERO_ADDRESS), ("NotOwner", EVE)),
        (OWNER, ("appointAggregator", 1, ZERO_ADDRESS), ("InvalidAggregator", ZERO_ADDRESS)),
        (EVE, ("appointMiners", 9, MANY), ("UnknownTask", 9)),
        (EVE, ("appointMiners", 1, MANY), ("NotOwner", EVE)),
        (OWNER, ("appointMiners", 1, MANY), ("TooManyMiners", 257, 256)),
        (OWNER, ("appointMiners", 1, [OWNER, ANN]), ("AlreadyMiner", ANN)),
        (OWNER, ("appointMiners", 1, [OWNER, OWNER]), ("AlreadyMiner", OWNER)),
        (EVE, ("revokeMiners", 9, MANY), ("UnknownTask", 9)),
        (EVE, ("revokeMiners", 1, MANY), ("NotOwner", EVE)),
        (OWNER, ("revokeMiners", 1, MANY), ("TooManyMiners", 257, 256)),
        (OWNER, ("revokeMiners", 1, [ANN, OWNER]), ("NotMiner", OWNER)),
        (OWNER, ("revokeMiners", 1, [ANN, ANN]), ("NotMiner", ANN)),
        (EVE, ("recordCheckpoint", 9, 9, 1_000_001), ("UnknownTask", 9)),
        (EVE, ("recordCheckpoint", 1, 9, 1_000_001), ("NotOwnerOrAggregator", EVE)),
        (OWNER, ("recordCheckpoint", 1, 1, 1_000_001), ("NotNewestRound", 2, 1)),
        (OWNER, ("recordCheckpoint", 1, 3, 0), ("NotNewestRound", 2, 3)),
        (OWNER, ("recordCheckpoint", 1, 2, 1_000_001), ("InvalidAccuracy", 1_000_001)),
        (EVE, ("rollback", 9, 9, 9), ("UnknownTask", 9)),
        (EVE, ("rollback", 1, 9, 9), ("NotOwner", EVE)),
        (OWNER, ("rollback", 1, 2, 9), ("WrongRound", 3, 2)),
        (OWNER, ("rollback", 1, 3, 2), ("UnknownCheckpoint", 1, 2)),
        (OWNER, ("voteRollback", 9, 9, 9), ("UnknownTask", 9)),
        (OWNER, ("voteRollback", 1, 9, 9), ("NotMiner", OWNER)),
        (ANN, ("voteRollback", 1, 4, 9), ("WrongRound", 3, 4)),
        (ANN, ("voteRollback", 1, 3, 2), ("UnknownCheckpoint", 1, 2)),
        (ANN, ("voteRollback", 1, 3, 1), ("AlreadyVoted", ANN, 1)),
        (EVE, ("publishAggregate", 1, 9, b"", "", [], b""), ("NotAggregator", EVE)),
    ],
)
def test_roles_and_rollbacks_refuse(bench, sender, call, error):
    """Each error comes in its order, with its values, changing nothing (L2)."""
    task(bench, ANN, "voteRollback", 1, 3, 1)
    refused(bench, sender, "TrainingTask", call, error)


def test_a_checkpoint_is_recorded_once_and_must_change_the_model(bench):
    """A checkpoint's accuracy cannot be replaced, and going to the present model is refused."""
    task(bench, OWNER, "recordCheckpoint", 1, 2, 0)
    again = ("recordCheckpoint", 1, 2, 1)
    refused(bench, OWNER, "TrainingTask", again, ("CheckpointExists", 1, 2))
    refused(bench, OWNER, "TrainingTask", ("rollback", 1, 3, 2), ("ModelUnchanged", 2))
    refused(bench, ANN, "TrainingTask", ("voteRollback", 1, 3, 2), ("ModelUnchanged", 2))


def test_rounds_end_by_a_rollback_until_the_task_is_finished(bench):
    """A rollback ends the open round and counts as one; after the last one nothing changes."""
    bench.now = 2_000
    task(bench, OWNER, "rollback", 1, 3, 1)
    assert bench.view("TrainingTask", "getTask", 1)[8:] == (CID2, 2_000, False)
    task(bench, OWNER, "rollback", 1, 4, 0)
    assert bench.view("TrainingTask", "getTask", 1)[8:] == (CID, 2_000, True)
    refused(bench, OWNER, "TrainingTask", ("rollback", 1, 5, 1), ("TaskFinished", 1))
    refused(bench, ANN, "TrainingTask", ("voteRollback", 1, 5, 1), ("TaskFinished", 1))
    task(bench, OWNER, "recordCheckpoint", 1, 4, 1)  # the final model may still be measured


def test_no_vote_outlives_its_round_its_miner_or_a_change_of_mind(bench):
    """Votes are counted over the miners of now, in the open round, one for each of them."""
    for target in (0, 1, 0):
        task(bench, ANN, "voteRollback", 1, 3, target)
    votes = [bench.view("TrainingTask", "getRollbackVotes", 1, target) for target in (0, 1)]
    assert votes == [1, 0]
    task(bench, OWNER, "revokeMiners", 1, [ANN])
    task(bench, OWNER, "appointMiners", 1, [ANN])
    task(bench, BOB, "voteRollback", 1, 3, 0)
    assert model(bench) == CID[:4]  # Ann's vote is gone although she is back
    publish(bench, 3, CID2)
    task(bench, ANN, "voteRollback", 1, 4, 0)
    assert model(bench) == CID2  # Bob's vote was for round 3
    task(bench, OWNER, "appointMiners", 1, [OWNER])
    task(bench, BOB, "voteRollback", 1, 4, 0)
    assert model(bench) == CID2  # two of four
    task(bench, EVE, "voteRollback", 1, 4, 0)
    assert model(bench) == CID


def test_full_batches_of_miners_fit(bench):
    """256 miners come and go in one call each (clause L9), and there may be more in all."""
    for batch in (MANY[:256], [OWNER, ADMIN]):
        task(bench, OWNER, "appointMiners", 1, batch)
    assert bench.view("TrainingTask", "getRoles", 1) == (OWNER, OWNER, 261)
    task(bench, OWNER, "revokeMiners", 1, MANY[:256])
    assert bench.view("TrainingTask", "getRoles", 1) == (OWNER, OWNER, 5)


# The façade, on the embedded chain -----------------------------------------------------------

SERVER, OTHER, *MINERS = (Account.from_key(bytes([n]) * 32) for n in range(1, 6))
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
    everybody = tuple(miner.address for miner in MINERS)
    tasks.appoint_miners(SERVER, task=1, miners=everybody)
    tasks.revoke_miners(SERVER, task=1, miners=everybody[:1])
    assert tasks.roles(1) == Roles(SERVER.address, OTHER.address, 2)
    assert [tasks.is_miner(1, miner) for miner in everybody] == [False, True, True]
    changes = [(change.miners, change.appointed) for change in tasks.miner_changes(1)]
    assert changes == [(everybody, True), (everybody[:1], False)]
    with pytest.raises(FrozenInstanceError):
        tasks.roles(1).miners = 9
    with pytest.raises(ContractError, match="NotAggregator"):
        end_round(tasks, 1, NEXT)
    end_round(tasks, 1, NEXT, OTHER)
    with pytest.raises(ContractError, match="UnknownTask"):
        tasks.roles(2)
    with pytest.raises(CallError, match="address"):
        tasks.appoint_miners(SERVER, task=1, miners=["nobody"])


def test_rollbacks_through_the_facade_and_after_reopening(tasks, tmp_path):
    """Checkpoints, votes and rollbacks read as what was sent, also from disk."""
    receipt = tasks.record_checkpoint(SERVER, task=1, round=0, accuracy=0.123456)
    end_round(tasks, 1, NEXT)
    tasks.record_checkpoint(SERVER, task=1, round=1, accuracy=1)
    first, second = tasks.checkpoints(1)
    expected = Checkpoint(
        1, 0, START, 0.123456, SERVER.address, receipt.transaction, receipt.block, 0
    )
    assert first == expected
    assert (second.cid, second.accuracy) == tasks.checkpoint(1, 1) == (NEXT, 1.0)
    assert tasks.checkpoints(1, until=receipt.block) == [first]
    with pytest.raises(CallError, match="accuracy"):
        tasks.record_checkpoint(SERVER, task=1, round=1, accuracy=1.1)
    with pytest.raises(ContractError, match="UnknownCheckpoint"):
        tasks.checkpoint(1, 2)

    end_round(tasks, 2, LAST)
    tasks.appoint_miners(SERVER, task=1, miners=[miner.address for miner in MINERS])
    tasks.vote_rollback(MINERS[0], task=1, round=3, to_round=1)
    assert (tasks.rollback_votes(1, 1), tasks.rollback_votes(1, 0)) == (1, 0)
    receipt = tasks.vote_rollback(MINERS[2], task=1, round=3, to_round=1)
    tasks.rollback(SERVER, task=1, round=4, to_round=0)

    tasks.ledger.close()
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        again = TrainingTask(ledger)
        votes = [
            (vote.miner, vote.round, vote.to_round, vote.votes, vote.miners)
            for vote in again.rollback_ballots(1)
        ]
        assert votes == [(MINERS[0].address, 3, 1, 1, 3), (MINERS[2].address, 3, 1, 2, 3)]
        by_miners, by_owner = again.rollbacks(1)
        assert (by_miners.round, by_miners.to_round, by_miners.votes) == (3, 1, 2)
        assert (by_miners.cid, by_miners.accuracy) == (NEXT, 1.0)
        assert (by_miners.transaction, by_miners.position) == (receipt.transaction, 1)
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
    info = [entry for block in tasks.ledger.blocks() for entry in block.model_info]
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
