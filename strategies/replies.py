"""Checks a client's reply before anything else looks at it.

A reply comes from somebody who may be hostile. Each check raises `UpdateRejected` with a short
reason code, and the round goes on without the reply. Nothing is decoded before its size and
declared shape are known to fit.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Message, MetricRecord

from fedledger.arrays import Layout, from_record, not_finite, to_safetensors
from fedledger.errors import LedgerError, ModelError, UpdateRejected
from fedledger.records import LEDGER, VERSION

from ..ledger_plugins.accounts import decode_transaction
from ..ledger_plugins.base import SignedTransaction
from ..ledger_plugins.contracts import read_update, read_votes
from ..ledger_plugins.storage.cid import cid_of

__all__ = [
    "CheckedUpdate",
    "Expectation",
    "check_reply",
    "check_vote",
    "common_metrics",
    "metrics_form",
]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a good reply of this round looks like.

    Attributes:
        task: id of the task.
        round: the round.
        contract: address of the TrainingTask contract.
        chain_id: the ledger's chain id.
        clients: registered account to its position.
        layout: layout of the reply's arrays (of updates: all float32).
        max_bytes: cap on the arrays' bytes.
        samples_key: metric with the number of samples.
    """

    task: int
    round: int
    contract: str
    chain_id: int
    clients: Mapping[str, int]
    layout: Layout
    max_bytes: int
    samples_key: str


@dataclass(frozen=True, slots=True)
class CheckedUpdate:
    """A reply that passed every check.

    Attributes:
        client: the account that signed it.
        position: the account's position in the task's list.
        cid: CID of `content`.
        content: the reply's arrays as safetensors.
        arrays: the same as numpy arrays.
        samples: number of training samples the client claims.
        transaction: the signed submitUpdate.
        message: the reply itself.
        arrival: milliseconds after the round's messages were sent.
    """

    client: str
    position: int
    cid: str
    content: bytes
    arrays: Mapping[str, np.ndarray[Any, Any]]
    samples: int
    transaction: SignedTransaction
    message: Message
    arrival: int = 0


def check_reply(message: Message, expected: Expectation) -> CheckedUpdate:
    """Return what a reply says, once everything about it is right.

    Raises:
        UpdateRejected: with the reason: "client-error", "unsigned", "signature", "unregistered",
            "records", "arrays", "oversized", "not-finite", "metrics", "wrong-round", "cid".
    """
    if message.has_error():
        raise UpdateRejected("client-error", f"code {message.error.code}: {message.error.reason}")
    transaction = _transaction(message, expected)
    update = _call(transaction, expected)
    arrays = _arrays(message, expected)
    metrics = _metrics(message, expected.samples_key)
    if update.samples != metrics[expected.samples_key]:
        raise UpdateRejected(
            "metrics",
            f"{expected.samples_key} is {metrics[expected.samples_key]} in the reply "
            f"and {update.samples} in the signed transaction",
        )
    content = to_safetensors(arrays)
    cid = cid_of(content)
    if cid != update.cid:
        raise UpdateRejected("cid", f"the arrays hash to {cid}, signed was {update.cid}")
    return CheckedUpdate(
        client=transaction.sender,
        position=expected.clients[transaction.sender],
        cid=cid,
        content=content,
        arrays=arrays,
        samples=update.samples,
        transaction=transaction,
        message=message,
    )


def check_vote(
    message: Message, expected: Expectation, ballot: bytes, candidates: int
) -> SignedTransaction:
    """Return the signed votes of a reply, once everything about them is right.

    Raises:
        UpdateRejected: with the reason, as `check_reply`, or "ballot" for votes on something else.
    """
    if message.has_error():
        raise UpdateRejected("client-error", f"code {message.error.code}: {message.error.reason}")
    transaction = _transaction(message, expected)
    try:
        votes = read_votes(transaction, expected.contract)
    except (LedgerError, ValueError) as error:
        raise UpdateRejected("signature", f"not a submitVotes call: {error}") from error
    if (votes.task, votes.round) != (expected.task, expected.round):
        raise UpdateRejected("wrong-round", f"signed for task {votes.task} round {votes.round}")
    if votes.ballot != ballot or len(votes.scores) != candidates:
        raise UpdateRejected("ballot", f"{len(votes.scores)} scores for {votes.ballot.hex()}")
    return transaction


def metrics_form(metrics: MetricRecord) -> tuple[tuple[str, int], ...]:
    """Return the keys of a metric record and the length of each value (-1 for a single number)."""
    lengths = (
        (key, len(value) if isinstance(value, list) else -1) for key, value in metrics.items()
    )
    return tuple(sorted(lengths))


def common_metrics(messages: Iterable[Message]) -> tuple[tuple[str, int], ...] | None:
    """Return the form of metrics that most replies have; Flower refuses a round that mixes them."""
    forms = Counter(
        metrics_form(next(iter(message.content.metric_records.values()))) for message in messages
    )
    return min(forms, key=lambda form: (-forms[form], form)) if forms else None


def _transaction(message: Message, expected: Expectation) -> SignedTransaction:
    record = message.content.config_records.get(LEDGER)
    if record is None:
        raise UpdateRejected(
            "unsigned", "no signed transaction; does the ClientApp use signing_mod?"
        )
    raw = record.get("transaction")
    if record.get("version") != VERSION or not isinstance(raw, bytes):
        raise UpdateRejected("unsigned", "the signature record is of another form or version")
    try:
        transaction = decode_transaction(raw)
    except LedgerError as error:
        raise UpdateRejected("signature", str(error)) from error
    if transaction.unsigned.terms.chain_id != expected.chain_id:
        raise UpdateRejected(
            "signature",
            f"signed for chain {transaction.unsigned.terms.chain_id}, not {expected.chain_id}",
        )
    if transaction.sender not in expected.clients:
        raise UpdateRejected(
            "unregistered", f"{transaction.sender} is no registered client of task {expected.task}"
        )
    return transaction


def _call(transaction: SignedTransaction, expected: Expectation) -> Any:
    try:
        update = read_update(transaction, expected.contract)
    except (LedgerError, ValueError) as error:
        raise UpdateRejected("signature", f"not a submitUpdate call: {error}") from error
    if (update.task, update.round) != (expected.task, expected.round):
        raise UpdateRejected(
            "wrong-round",
            f"signed for task {update.task} round {update.round}, "
            f"expected task {expected.task} round {expected.round}",
        )
    return update


def _arrays(message: Message, expected: Expectation) -> Mapping[str, np.ndarray[Any, Any]]:
    records: Sequence[Any] = list(message.content.array_records.values())
    if len(records) != 1:
        raise UpdateRejected("records", f"one ArrayRecord is expected, found {len(records)}")
    size = sum(len(array.data) for array in records[0].values())
    if size > expected.max_bytes:
        raise UpdateRejected("oversized", f"{size} bytes of arrays, {expected.max_bytes} allowed")
    try:
        arrays = from_record(records[0], expected.layout, max_bytes=expected.max_bytes)
    except ModelError as error:
        raise UpdateRejected("arrays", str(error)) from error
    if (key := not_finite(arrays)) is not None:
        raise UpdateRejected("not-finite", f"array {key!r} holds NaN or infinity")
    return arrays


def _metrics(message: Message, samples_key: str) -> MetricRecord:
    records = list(message.content.metric_records.values())
    if len(records) != 1:
        raise UpdateRejected("records", f"one MetricRecord is expected, found {len(records)}")
    metrics: MetricRecord = records[0]
    samples = metrics.get(samples_key)
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise UpdateRejected("metrics", f"{samples_key!r} must be a positive whole number")
    for key, value in metrics.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(math.isfinite(number) for number in numbers):
            raise UpdateRejected("metrics", f"{key!r} is not finite")
    return metrics
