"""Votes: signed offline by voters, relayed, read back in ledger order."""

from dataclasses import FrozenInstanceError

import pytest

from fedledger.errors import CallError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_VOTES
from fedledger.ledger_plugins.storage.cid import cid_of

OWNER, ANN, BOB = (Account.from_key(bytes([n]) * 32) for n in (1, 2, 3))
BALLOT, OTHER = b"\x07" * 32, b"\x08" * 32


@pytest.fixture
def tasks(tmp_path):
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        tasks = TrainingTask(ledger)
        tasks.propose(OWNER, model_id="m", model_cid=cid_of(b"m"), rounds=2, spec=cid_of(b"s"))
        yield tasks


def test_a_vote_is_signed_offline_and_relayed(tasks):
    """What the voter signed is what the server reads and what the ledger says."""
    values = {"task": 1, "round": 1, "ballot": BALLOT, "scores": (-5, 0, 7), "seen": BALLOT}
    terms = tasks.ledger.terms("TrainingTask", "submitVotes")
    transaction = ANN.sign(UnsignedTransaction(terms, 0, SUBMIT_VOTES.encode(values)))
    assert SUBMIT_VOTES.decode(transaction.unsigned.data) == values
    receipt = tasks.ledger.transact(transaction)
    [vote] = tasks.votes(1, 1)
    assert (vote.voter, vote.ballot, vote.scores) == (ANN.address, BALLOT, (-5, 0, 7))
    assert (vote.transaction, vote.block, vote.position) == (
        receipt.transaction,
        receipt.block,
        receipt.event("VotesSubmitted").position,
    )
    with pytest.raises(FrozenInstanceError):
        vote.scores = ()


def test_votes_come_in_ledger_order_and_by_round(tasks):
    """A voter may vote again and on another ballot; the reader sees all of it in order."""
    tasks.submit_votes(ANN, task=1, round=1, ballot=BALLOT, scores=[1])
    tasks.submit_votes(BOB, task=1, round=1, ballot=OTHER, scores=[2])
    tasks.submit_votes(ANN, task=1, round=1, ballot=BALLOT, scores=[-(2**63)])
    seen = [(vote.voter, vote.ballot, vote.scores) for vote in tasks.votes(1, 1)]
    assert seen == [
        (ANN.address, BALLOT, (1,)),
        (BOB.address, OTHER, (2,)),
        (ANN.address, BALLOT, (-(2**63),)),
    ]
    assert tasks.votes(1, 2) == tasks.votes(2, 1) == []
    first, second, third = tasks.votes(1, 1)
    assert tasks.votes(1, 1, until=first.block) == [first]
    assert tasks.votes(1, 1, since=second.block, until=third.block) == [second, third]


@pytest.mark.parametrize("wrong", [{"scores": [2**63]}, {"ballot": b"short"}, {"round": -1}])
def test_values_out_of_range_are_refused_before_signing(wrong):
    """Nothing is signed that the contract could not take."""
    values = {"task": 1, "round": 1, "ballot": BALLOT, "scores": [1], "seen": BALLOT}
    with pytest.raises(CallError):
        SUBMIT_VOTES.encode(values | wrong)


def test_bytes_that_are_no_vote(tasks):
    """Another function, or more or fewer bytes, are not taken for votes."""
    values = {"task": 1, "round": 1, "ballot": BALLOT, "scores": [1], "seen": BALLOT}
    data = SUBMIT_VOTES.encode(values)
    for wrong in (b"\1\2\3\4", data[:-1], data + b"\0"):
        with pytest.raises(CallError):
            SUBMIT_VOTES.decode(wrong)
