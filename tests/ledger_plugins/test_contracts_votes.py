"""Votes: signed offline by voters, relayed, read back in ledger order."""

from dataclasses import FrozenInstanceError

import pytest

from fedledger.errors import CallError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask, VotesCall, read_votes, sign_votes
from fedledger.ledger_plugins.storage.cid import cid_of

OWNER, ANN, BOB = (Account.from_key(bytes([n]) * 32) for n in (1, 2, 3))
BALLOT, OTHER = b"\x07" * 32, b"\x08" * 32


@pytest.fixture
def tasks(tmp_path):
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        tasks = TrainingTask(ledger)
        tasks.propose(OWNER, model_id="m", model_cid=cid_of(b"m"), rounds=2, spec=cid_of(b"s"))
        yield tasks


def offline(tasks, account=ANN, nonce=0, **changes):
    terms = tasks.ledger.terms("TrainingTask", "submitVotes")
    fields = {"task": 1, "round": 1, "ballot": BALLOT, "scores": [-5, 0, 7]} | changes
    return sign_votes(account, terms, nonce, **fields)


def test_a_vote_is_signed_offline_and_relayed(tasks):
    """What the voter signed is what the server reads and what the ledger says."""
    transaction = offline(tasks)
    address = tasks.ledger.terms("TrainingTask", "submitVotes").to
    assert read_votes(transaction, address) == VotesCall(1, 1, BALLOT, (-5, 0, 7))
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
def test_values_out_of_range_are_refused_before_signing(tasks, wrong):
    """Nothing is signed that the contract could not take."""
    with pytest.raises(CallError):
        offline(tasks, **wrong)


def test_other_calls_are_no_votes(tasks):
    """Another function, another contract or bytes that are no call are not taken for votes."""
    terms = tasks.ledger.terms("TrainingTask", "submitVotes")
    unsigned = tasks.ledger.prepare(
        ANN.address, "TrainingTask", "submitUpdate", 1, 1, b"\x01\x55\x12\x20", 1, 1
    )
    with pytest.raises(CallError, match="not submitVotes"):
        read_votes(ANN.sign(unsigned), terms.to)
    with pytest.raises(CallError, match="TrainingTask is at"):
        read_votes(offline(tasks), "0x" + "1" * 40)
    with pytest.raises(CallError, match="has no function"):
        read_votes(ANN.sign(UnsignedTransaction(terms, 0, b"\1\2\3\4")), terms.to)
    for data in (offline(tasks).unsigned.data[:-1], offline(tasks).unsigned.data + b"\0"):
        with pytest.raises(CallError, match="submitVotes"):
            read_votes(ANN.sign(UnsignedTransaction(terms, 0, data)), terms.to)
