"""The client's half of training: the app trains as ever, its arrays take the form asked for."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from flwr.app import Message, MetricRecord
from numpy.typing import NDArray

from fedledger.arrays import Arrays, Layout, read_record, to_record, to_safetensors
from fedledger.errors import ConfigError, ModelError
from fedledger.records import ARRAYS

from ...ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ...ledger_plugins.contracts.training_task.facade import NO_SEAL
from ...ledger_plugins.contracts.training_task.seals import seal_of
from ...ledger_plugins.signing import Call, Statement
from ...ledger_plugins.storage.cid import cid_of, cid_to_bytes
from ..phases import Answered, Asked, PhaseHandler

__all__ = ["TrainingHandler", "UpdateHandler", "WeightsHandler"]

_ACCURACY_KEYS = ("accuracy", "train-accuracy", "train_accuracy")
_MILLION = 1_000_000


class TrainingHandler(PhaseHandler):
    """Lets the app train and signs `submitUpdate`.

    The reply must hold an `ArrayRecord` with the full weights, keyed as the message's arrays and
    under the same name (or the only one), and one `MetricRecord` with the number of training
    samples and, if the app wants it on the ledger, "accuracy". Other records pass untouched.
    """

    signs: ClassVar[tuple[Call | Statement, ...]] = (SUBMIT_UPDATE,)

    def answer(self, asked: Asked) -> Answered:
        """Return the trained arrays in this phase's form."""
        name, received = _arrays_of(asked.message, ARRAYS, "the server's message")
        before = read_record(received)
        reply = asked.app(asked.message)
        if reply.has_error():
            return Answered(reply)
        key = str(asked.details.get("samples-key"))
        name, arrays = _arrays_of(reply, name, "the reply")
        metrics = _metrics_of(reply, key)
        after = read_record(arrays)
        layout = Layout.from_arrays(before)
        layout.check(after)
        content = self.form(asked, layout, before, after)
        if content is not after:
            reply.content.array_records[name] = to_record(content)
        data = to_safetensors(content)
        return Answered(
            reply,
            {
                SUBMIT_UPDATE.name: {
                    "cid": cid_to_bytes(cid_of(data)),
                    "samples": _samples(metrics, key),
                    "accuracy": round(_accuracy(metrics) * _MILLION),
                    "seal": self.seal(asked, content),
                }
            },
            data,
        )

    def seal(self, asked: Asked, content: Arrays) -> bytes:  # noqa: ARG002 - for who has one
        """Return what else is fixed with the update by 32 bytes, where the phase has it."""
        return NO_SEAL

    @abstractmethod
    def form(self, asked: Asked, layout: Layout, before: Arrays, after: Arrays) -> Arrays:
        """Return what is sent; `after` itself where the reply is right as it is."""


class UpdateHandler(TrainingHandler):
    """Sends the difference to the global model, float32."""

    def form(self, asked: Asked, layout: Layout, before: Arrays, after: Arrays) -> Arrays:  # noqa: ARG002 - nothing more is asked
        """Return the difference."""
        parts: dict[str, NDArray[np.float32]] = layout.unflatten(layout.difference(after, before))
        return dict(parts)

    def seal(self, asked: Asked, content: Arrays) -> bytes:  # noqa: ARG002 - of the salt
        """Return the seal of the salt that the client reveals once the updates are fixed."""
        return seal_of(asked.account, asked.salt)


class WeightsHandler(TrainingHandler):
    """Sends the whole weights."""

    def form(self, asked: Asked, layout: Layout, before: Arrays, after: Arrays) -> Arrays:  # noqa: ARG002 - weights need no start
        """Return the weights in the model's order."""
        if tuple(after) == layout.keys:
            return after
        return {key: after[key] for key in layout.keys}


def _arrays_of(message: Message, name: str, where: str) -> tuple[str, Any]:
    records = message.content.array_records
    if name in records:
        return name, records[name]
    if len(records) != 1:
        raise ModelError(f"{where}: {name!r} or one ArrayRecord is needed, found {sorted(records)}")
    return next(iter(records.items()))


def _metrics_of(reply: Message, key: str) -> MetricRecord:
    records = reply.content.metric_records
    found = [record for record in records.values() if key in record] or list(records.values())
    if not found:
        raise ConfigError(f"the reply needs a MetricRecord with {key!r}")
    return found[0]


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
