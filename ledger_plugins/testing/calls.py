"""The calls that the conformance suite makes."""

# ruff: noqa: S101 - what is asserted is what the suite proves

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fedledger.errors import ContractError, TransactionRefused

from ..accounts import Account
from ..base import Ledger, SignedTransaction, UnsignedTransaction
from ..contracts import TrainingTask
from ..contracts.abi import encode_call
from ..contracts.training_task.commitments import NO_COMMITMENTS
from ..contracts.training_task.facade import NO_SEAL
from ..storage.cid import cid_of, cid_to_bytes

__all__ = [
    "CID",
    "LAST",
    "NEXT",
    "all_events",
    "begin",
    "fails",
    "propose",
    "publish",
    "refused",
    "signed",
    "submit",
    "update",
]

CID = cid_of(b"a model")
NEXT = cid_of(b"the next model")
LAST = cid_of(b"the last model")


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


def update(
    ledger: Ledger,
    client: Account,
    task: int,
    round: int = 1,
) -> SignedTransaction:
    """Sign an update, by default to the first round."""
    seen = bytes.fromhex(ledger.settled().hash[2:])
    update = (task, round, cid_to_bytes(CID), 10, 900_000, NO_SEAL, seen)
    return signed(ledger, client, "TrainingTask", "submitUpdate", *update)


def submit(
    tasks: TrainingTask,
    client: Account,
    task: int,
    round: int = 1,
) -> None:
    """Submit an update, by default to the first round."""
    tasks.submit_update(client, task=task, round=round, cid=CID, samples=10, accuracy=0.9)


def publish(
    tasks: TrainingTask,
    owner: Account,
    task: int,
    contributors: list[str],
    *,
    round: int = 1,
    cid: str = CID,
    commitments: Mapping[str, bytes] = NO_COMMITMENTS,
) -> None:
    """Publish a round, by default the first one."""
    tasks.publish_aggregate(
        owner,
        task=task,
        round=round,
        cid=cid,
        rule="krum",
        contributors=contributors,
        evidence=CID,
        commitments=commitments,
    )


def fails(
    call: Callable[[], object],
    error: str,
    arguments: Mapping[str, Any],
    contract: str = "TrainingTask",
) -> None:
    """Check that a call fails with a contract's error, by its name and arguments."""
    with pytest.raises(ContractError) as caught:
        call()
    found = caught.value
    assert (found.contract, found.error, found.arguments) == (contract, error, dict(arguments))


def begin(tasks: TrainingTask, owner: Account, *, rounds: int = 5) -> int:
    """Propose a task that can be rolled back to `CID`: round 2 is open and began with `NEXT`."""
    task = propose(tasks, owner, rounds=rounds)
    tasks.record_checkpoint(owner, task=task, round=0, accuracy=0.25)
    publish(tasks, owner, task, [], cid=NEXT)
    return task


def all_events(ledger: Ledger) -> list[Any]:
    """Return the events of both contracts."""
    return [event for name in ("StakeToken", "TrainingTask") for event in ledger.events(name)]
