"""The call that voters sign offline and servers relay: TrainingTask.submitVotes."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedledger.errors import CallError

from ..accounts import Account
from ..base import CallTerms, SignedTransaction, UnsignedTransaction
from .abi import encode_call
from .update_calls import decode_task_call

__all__ = ["VotesCall", "read_votes", "sign_votes"]

_CONTRACT, _FUNCTION = "TrainingTask", "submitVotes"


@dataclass(frozen=True, slots=True)
class VotesCall:
    """What a voter signed.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        ballot: 32 bytes that name what was scored.
        scores: change of the loss for each candidate, in millionths.
    """

    task: int
    round: int
    ballot: bytes
    scores: tuple[int, ...]


def sign_votes(
    account: Account,
    terms: CallTerms,
    nonce: int,
    *,
    task: int,
    round: int,
    ballot: bytes,
    scores: Sequence[int],
) -> SignedTransaction:
    """Sign a vote without a ledger.

    Args:
        account: the voter's account.
        terms: what the ledger's `terms` gives for "submitVotes".
        nonce: the account's next nonce.
        task: the task's number.
        round: the open round.
        ballot: 32 bytes that name what was scored.
        scores: change of the loss for each candidate, in millionths.

    Raises:
        CallError: a value out of range.
    """
    data = encode_call(_CONTRACT, _FUNCTION, task, round, ballot, list(scores))
    return account.sign(UnsignedTransaction(terms, nonce, data))


def read_votes(transaction: SignedTransaction, address: str) -> VotesCall:
    """Return what a voter signed, to be checked before it is relayed.

    Args:
        transaction: as `decode_transaction` returned it.
        address: the TrainingTask contract's address.

    Raises:
        CallError: it calls another contract or function.
    """
    function, arguments = decode_task_call(transaction, address)
    if function != _FUNCTION:
        raise CallError(f"the transaction calls {_CONTRACT}.{function}, not {_FUNCTION}")
    task, number, ballot, scores = arguments
    return VotesCall(task, number, ballot, tuple(scores))
