"""The one call that clients sign offline and servers relay: TrainingTask.submitUpdate."""

import math
from dataclasses import dataclass
from typing import Any

from fedledger.errors import CallError, InvalidCid

from ..accounts import Account
from ..addresses import checksum_address
from ..base import CallTerms, SignedTransaction, UnsignedTransaction
from ..storage.cid import cid_from_bytes, cid_to_bytes
from .abi import decode_call, encode_call

__all__ = ["UpdateCall", "accuracy_to_ppm", "decode_task_call", "read_update", "sign_update"]

_CONTRACT, _FUNCTION = "TrainingTask", "submitUpdate"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class UpdateCall:
    """What a client signed.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        cid: CID of the update.
        samples: training examples behind it.
        accuracy: fraction from 0 to 1, in steps of a millionth.
    """

    task: int
    round: int
    cid: str
    samples: int
    accuracy: float


def accuracy_to_ppm(accuracy: float) -> int:
    """Return a fraction from 0 to 1 in parts per million, rounded to the nearest.

    Raises:
        CallError: no number from 0 to 1.
    """
    try:
        value = float(accuracy)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(accuracy, bool | str) or not 0 <= value <= 1:
        raise CallError(f"accuracy {accuracy!r}: a fraction from 0 to 1 wanted")
    return round(value * _MILLION)


def sign_update(
    account: Account,
    terms: CallTerms,
    nonce: int,
    *,
    task: int,
    round: int,
    cid: str,
    samples: int,
    accuracy: float,
) -> SignedTransaction:
    """Sign a submission without a ledger.

    Args:
        account: the client's account.
        terms: what `TrainingTask.update_terms` returned.
        nonce: the account's next nonce.
        task: the task's number.
        round: the open round.
        cid: CID of the update.
        samples: training examples behind it.
        accuracy: a fraction from 0 to 1.

    Raises:
        CallError: a value out of range.
        InvalidCid: `cid` is no CID.
    """
    ppm = accuracy_to_ppm(accuracy)
    data = encode_call(_CONTRACT, _FUNCTION, task, round, cid_to_bytes(cid), samples, ppm)
    return account.sign(UnsignedTransaction(terms, nonce, data))


def read_update(transaction: SignedTransaction, address: str) -> UpdateCall:
    """Return what a client signed, to be checked before it is relayed.

    The caller still compares sender, chain id, nonce and fees with what it expects.

    Args:
        transaction: as `decode_transaction` returned it.
        address: the TrainingTask contract's address.

    Raises:
        CallError: it calls another contract or function, or submits what is no update.
    """
    function, arguments = decode_task_call(transaction, address)
    if function != _FUNCTION:
        raise CallError(f"the transaction calls {_CONTRACT}.{function}, not {_FUNCTION}")
    task, number, raw, samples, ppm = arguments
    if ppm > _MILLION:
        raise CallError(f"accuracy of {ppm} parts per million")
    try:
        cid = cid_from_bytes(raw)
    except InvalidCid as error:
        raise CallError(f"the transaction submits no CID: {error}") from error
    return UpdateCall(task, number, cid, samples, ppm / _MILLION)


def decode_task_call(transaction: SignedTransaction, address: str) -> tuple[str, tuple[Any, ...]]:
    """Return which function of TrainingTask a transaction calls, and its arguments.

    Raises:
        CallError: it calls another contract, or no function of this one.
    """
    called = transaction.unsigned.terms.to
    if called != checksum_address(address):
        raise CallError(f"the transaction calls {called}, TrainingTask is at {address}")
    return decode_call(_CONTRACT, transaction.unsigned.data)
