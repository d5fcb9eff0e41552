"""The malicious clients' half of a crafted attack: who they are, and how they upload what was made.

The adversary stands between strategy and clients (`fedledger.experiments.adversary.grid`) and holds
no client's key. So it sends each of its clients the training message once more with an order in it,
and the client, by `collusion_mod`, answers with the ordered weights in place of training. Put that
mod behind `signing_mod`: the answer is then signed as any other, with the client's own account.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from fedledger.arrays import Arrays, from_safetensors, to_record, to_safetensors
from fedledger.errors import ConfigError

__all__ = ["ORDER", "PARTITION", "Order", "collusion_mod", "report_partition"]

PARTITION = "partition"
"""Name of the query that `report_partition` answers, and of the record in its answer."""

ORDER = "collusion"
"""Key of the record that holds an order."""

_METRICS = "collusion-metrics"


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What one malicious client shall upload in a round.

    Attributes:
        partition: the client it is meant for.
        arrays: the weights, keyed as the global model.
        arrays_key: name of the reply's array record.
        metrics: the metrics of the reply.
        metrics_key: name of the reply's metric record.
    """

    partition: int
    arrays: Arrays
    arrays_key: str
    metrics: MetricRecord
    metrics_key: str

    def added_to(self, content: RecordDict) -> RecordDict:
        """Return a message's content with this order in it.

        The weights go as bytes in a config record: a message has one array record, the model.
        """
        record = ConfigRecord(
            {
                PARTITION: self.partition,
                "weights": to_safetensors(self.arrays),
                "arrays-key": self.arrays_key,
                "metrics-key": self.metrics_key,
            }
        )
        return RecordDict({**content, ORDER: record, _METRICS: self.metrics})

    @classmethod
    def of(cls, content: RecordDict) -> "Order | None":
        """Return the order in a message's content, or None.

        Raises:
            ConfigError: a field is missing or of another type.
            ModelError: the weights are no model.
        """
        record = content.config_records.get(ORDER)
        if record is None:
            return None
        metrics = content.metric_records.get(_METRICS)
        weights = record.get("weights")
        if metrics is None or not isinstance(weights, bytes):
            raise ConfigError("an order to collude needs weights and metrics")
        return cls(
            partition=int(str(record[PARTITION])),
            arrays=from_safetensors(weights, max_bytes=len(weights)),
            arrays_key=str(record["arrays-key"]),
            metrics=metrics,
            metrics_key=str(record["metrics-key"]),
        )


def collusion_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer an order with the weights in it; leave every other message alone.

    Raises:
        ConfigError: the order is malformed or meant for another client.
        ModelError: the ordered weights are no model.
    """
    order = Order.of(message.content)
    if order is None:
        return call_next(message, context)
    partition = _partition(context)
    if order.partition != partition:
        raise ConfigError(f"an order for client {order.partition} reached client {partition}")
    arrays: dict[str, np.ndarray[Any, Any]] = dict(order.arrays)
    reply = RecordDict({order.arrays_key: to_record(arrays), order.metrics_key: order.metrics})
    return Message(reply, reply_to=message)


def report_partition(message: Message, context: Context) -> Message:
    """Answer the query `PARTITION`: which client is this? Register with `app.query(PARTITION)`.

    Node ids are random, and only a client knows which data it has.

    Raises:
        ConfigError: the node has no partition.
    """
    record = ConfigRecord({PARTITION: _partition(context)})
    return Message(RecordDict({PARTITION: record}), reply_to=message)


def _partition(context: Context) -> int:
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError("this client has no 'partition-id' in its node config")
    return int(partition)
