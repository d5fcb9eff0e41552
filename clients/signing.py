"""The mod that makes a ClientApp's training replies evidence: `ClientApp(mods=[signing_mod])`.

It runs on the client. When the server asks for a signature, the mod lets the app train as ever,
turns the reply's arrays into the form asked for, and adds a `submitUpdate` transaction signed with
the client's own account. The server can relay that transaction but not forge it. When the server
holds an election, the mod scores the candidates with the app's own evaluation (`voting`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord
from flwr.clientapp.typing import ClientAppCallable

from fedledger.arrays import Layout, read_record, to_record, to_safetensors
from fedledger.errors import AccountError, ConfigError, ModelError
from fedledger.records import LEDGER, VERSION, SigningRequest

from ..ledger_plugins.base import CallTerms
from ..ledger_plugins.contracts import sign_update
from ..ledger_plugins.storage.cid import cid_of
from .identity import account_of
from .voting import vote

__all__ = ["signing_mod"]

_ACCURACY_KEYS = ("accuracy", "train-accuracy", "train_accuracy")


def signing_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Sign the reply to a message that asks for it; leave every other message alone.

    The reply must hold one `ArrayRecord` with the full weights, keyed as the message's arrays, and
    one `MetricRecord` with the number of training samples ("num-examples") and, if the app wants it
    on the ledger, "accuracy" as a fraction.

    Raises:
        ConfigError: the client has no account, or the server speaks another version.
        AccountError: the account cannot be used or is not registered for the task.
        ModelError: the reply's arrays do not fit the global model.
    """
    if LEDGER not in message.content.config_records:
        return call_next(message, context)
    request = SigningRequest.from_record(message.content.config_records[LEDGER])
    account = account_of(message, context)
    if account.address not in request.clients:
        raise AccountError(
            f"account {account.address} is not registered for task {request.task}: "
            "ask its owner to add it to the task's clients"
        )
    nonce = request.nonces[list(request.clients).index(account.address)]
    terms = CallTerms(
        request.chain_id,
        request.contract,
        request.gas,
        request.max_fee_per_gas,
        request.max_priority_fee_per_gas,
    )
    if request.form == "votes":
        return vote(
            message, lambda asked: call_next(asked, context), request, terms, account, nonce
        )
    received = _only(message.content.array_records, "the server's message")
    before = read_record(received)

    reply = call_next(message, context)
    if reply.has_error():
        return reply
    name, arrays = _only_item(reply.content.array_records, "the reply")
    metrics = _only(reply.content.metric_records, "the reply")
    after = read_record(arrays)
    content = _in_form(before, after, request.form)
    data = to_safetensors(content)
    transaction = sign_update(
        account,
        terms,
        nonce,
        task=request.task,
        round=request.round,
        cid=cid_of(data),
        samples=_samples(metrics, request.samples_key),
        accuracy=_accuracy(metrics),
    )
    if request.form == "update":
        reply.content.array_records[name] = to_record(content)
    reply.content[LEDGER] = ConfigRecord({"version": VERSION, "transaction": transaction.raw})
    return reply


def _in_form(
    before: Mapping[str, np.ndarray[Any, Any]], after: Mapping[str, np.ndarray[Any, Any]], form: str
) -> dict[str, np.ndarray[Any, Any]]:
    layout = Layout.from_arrays(before)
    layout.check(after)
    if form == "weights":
        return {key: after[key] for key in layout.keys}
    return layout.unflatten(layout.difference(after, before))


def _samples(metrics: MetricRecord, key: str) -> int:
    value = metrics.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(
            f"the reply's metrics must hold {key!r}, the number of training samples, "
            f"as a positive whole number; found {value!r}"
        )
    return value


def _accuracy(metrics: MetricRecord) -> float:
    for key in _ACCURACY_KEYS:
        value = metrics.get(key)
        if isinstance(value, int | float) and 0 <= value <= 1:
            return float(value)
    return 0.0


def _only(records: Mapping[str, Any], where: str) -> Any:
    return _only_item(records, where)[1]


def _only_item(records: Mapping[str, Any], where: str) -> tuple[str, Any]:
    if len(records) != 1:
        raise ModelError(f"{where} must hold exactly one such record, found {sorted(records)}")
    return next(iter(records.items()))
