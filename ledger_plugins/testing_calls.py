"""The calls that the conformance suite makes."""

# ruff: noqa: S101 - what is asserted is what the suite proves

from typing import Any

import pytest

from fedledger.errors import TransactionRefused

from .accounts import Account
from .base import Ledger, SignedTransaction, UnsignedTransaction
from .contracts import TrainingTask
from .contracts.abi import encode_call
from .storage.cid import cid_of, cid_to_bytes

__all__ = ["CID", "all_events", "propose", "publish", "refused", "signed", "submit", "update"]

CID = cid_of(b"a model")


def signed(
    ledger: Ledger, account: Account, contract: str, function: str, *args: Any, ahead: int = 0
) -> SignedTransaction:
    """Sign a call, `ahead` calls after the account's next one."""
    nonce = ledger.nonce(account.address) + ahead
    data = encode_call(contract, function, *args)
    return account.sign(UnsignedTransaction(ledger.terms(contract, function), nonce, data))


def refused(ledger: Ledger, transaction: SignedTransaction, reason: str) -> None:
    """Check that the ledger refuses a call, and why."""
    with pytest.raises(TransactionRefused) as caught:
        ledger.transact(transaction)
    assert caught.value.reason == reason


def propose(tasks: TrainingTask, owner: Account, *, rounds: int = 1, window: int = 0) -> int:
    """Propose a task and return its number."""
    task, _ = tasks.propose(
        owner, model_id="a cell", model_cid=CID, rounds=rounds, spec=CID, window=window
    )
    return task


def update(ledger: Ledger, client: Account, task: int) -> SignedTransaction:
    """Sign an update to the first round."""
    return signed(
        ledger, client, "TrainingTask", "submitUpdate", task, 1, cid_to_bytes(CID), 10, 900_000
    )


def submit(tasks: TrainingTask, client: Account, task: int) -> None:
    """Submit an update to the first round."""
    tasks.submit_update(client, task=task, round=1, cid=CID, samples=10, accuracy=0.9)


def publish(tasks: TrainingTask, owner: Account, task: int, contributors: list[str]) -> None:
    """Publish the first round."""
    tasks.publish_aggregate(
        owner,
        task=task,
        round=1,
        cid=CID,
        rule="krum",
        contributors=contributors,
        evidence=CID,
    )


def all_events(ledger: Ledger) -> list[Any]:
    """Return the events of both contracts."""
    return [event for name in ("StakeToken", "TrainingTask") for event in ledger.events(name)]
