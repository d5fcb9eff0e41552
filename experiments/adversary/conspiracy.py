"""One round of an adversary: what it saw, what it crafted, and what is still to come."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from fedledger.arrays import Arrays, Layout, from_record
from fedledger.errors import ConfigError, ModelError
from fedledger.records import CONFIG, SigningRequest

from ..run.seeding import generator
from .attacks import Knowledge, ModelAttack
from .collusion import Order

__all__ = ["Conspiracy"]

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A malicious client's reply, held back: its model before the attack.

    Attributes:
        arrays: the model.
        arrays_key: name of the reply's array record.
        metrics: the reply's metrics.
        metrics_key: name of their record.
    """

    arrays: Arrays
    arrays_key: str
    metrics: MetricRecord
    metrics_key: str


class Conspiracy:
    """The messages of one round, and the attack on it.

    Only floating-point arrays are crafted, and they alone are what the attack sees as a model: a
    counter is no parameter. A crafted model holds its client's own values for the others.

    Args:
        attack: the attack.
        seed: seed of its random numbers.
        number: number of the round, where the messages do not say.
        deadline: seconds after which the attack no longer waits for replies.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        attack: ModelAttack,
        seed: int,
        number: int,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._attack = attack
        self._seed = seed
        self._number = number
        self._deadline = deadline
        self._clock = clock
        self._started = clock()
        self._sent: dict[str, Message] = {}
        self._partitions: dict[str, int] = {}
        self._originals: dict[str, RecordDict] = {}
        self._waiting: dict[str, None] = {}
        self._model: _Model | None = None
        self._honest: dict[str, Vector] = {}
        self._held: dict[str, _Held] = {}
        self._crafted = False
        self._ordering: list[tuple[str, Message]] = []
        self._orders: dict[str, str] = {}
        self._made: set[str] = set()
        self.uploaded: set[int] = set()
        """Partitions that have uploaded a model which is not the one they trained."""
        self.ready: dict[str, tuple[int, Message]] = {}
        """Message id to the partition and the reply that can be handed to the strategy."""

    @property
    def number(self) -> int:
        """The round."""
        return self._number

    def add(self, message: Message, *, partition: int, original: RecordDict | None) -> None:
        """Add a message that was sent.

        Args:
            message: as it was sent, with its id.
            partition: the client it went to, -1 if not known.
            original: to a malicious client: the content as the strategy made it.

        Raises:
            ModelError: it does not hold exactly one array record, or one that is no model.
        """
        message_id = message.metadata.message_id
        self._sent[message_id] = message
        self._partitions[message_id] = partition
        self._waiting[message_id] = None
        if original is not None:
            self._originals[message_id] = original
            if self._model is None:
                self._model = _Model(original)
                config = original.config_records.get(CONFIG)
                number = None if config is None else config.get("server-round")
                self._number = number if isinstance(number, int) else self._number

    def outstanding(self) -> list[str]:
        """Return the ids of messages and orders that nobody has answered yet."""
        return [*self._waiting, *self._orders]

    def take(self, reply: Message) -> bool:
        """Take a reply that belongs to this round; return False for any other."""
        key = reply.metadata.reply_to_message_id
        if key in self._orders:
            first = self._orders.pop(key)
            instruction = self._sent[first]
            answer = (
                Message(reply.error, reply_to=instruction)
                if reply.has_error()
                else Message(reply.content, reply_to=instruction)
            )
            if first in self._made and not reply.has_error():
                self.uploaded.add(self._partitions[first])
            self._hand_over(first, answer)
        elif key not in self._waiting:
            return False
        elif key in self._originals:
            del self._waiting[key]
            self._hold(key, reply)
        else:
            del self._waiting[key]
            self._observe(key, reply)
            self._hand_over(key, reply)
        return True

    def orders(self) -> list[Message]:
        """Return the orders to send now; empty while replies are missing that the attack needs."""
        missing = [
            key for key in self._waiting if key in self._originals or self._attack.needs_honest
        ]
        late = self._clock() - self._started > self._deadline
        if not self._held or (missing and not late):
            return []
        if missing:
            logger.warning(
                "adversary: round %d goes on without %d replies", self._number, len(missing)
            )
        held = dict(sorted(self._held.items(), key=lambda item: self._partitions[item[0]]))
        self._held.clear()
        crafted = {} if self._crafted else self._craft(held)
        self._crafted = True
        self._made.update(crafted)
        for key, own in held.items():
            original, sent = self._originals[key], self._sent[key].metadata
            order = Order(
                partition=self._partitions[key],
                arrays=crafted.get(key, own.arrays),
                arrays_key=own.arrays_key,
                metrics=own.metrics,
                metrics_key=own.metrics_key,
            )
            message = Message(
                order.added_to(original),
                sent.dst_node_id,
                sent.message_type,
                ttl=sent.ttl,
                group_id=sent.group_id,
            )
            self._ordering.append((key, message))
        return [message for _, message in self._ordering]

    def ordered(self, message_ids: Iterable[str]) -> None:
        """Note under which ids the orders were sent."""
        there = set(message_ids)
        for key, message in self._ordering:
            if message.metadata.message_id in there:
                self._orders[message.metadata.message_id] = key
        self._ordering.clear()

    def _craft(self, held: dict[str, _Held]) -> dict[str, Arrays]:
        """Return the crafted models: none of a client whose own model the attack leaves alone."""
        model = self._model
        if model is None:
            raise ConfigError("a round of an adversary without a malicious client")
        own = {key: model.vector(each.arrays) for key, each in held.items()}
        usable = {key: vector for key, vector in own.items() if np.isfinite(vector).all()}
        seen = sorted(self._honest, key=lambda key: self._partitions[key])
        if not usable or (self._attack.needs_honest and not seen):
            logger.warning("adversary: round %d: nothing to craft from", self._number)
            return {}
        honest = np.stack([self._honest[key] for key in seen]) if seen else None
        self._honest.clear()
        rows = np.stack(list(usable.values()))
        clients = len(self._sent) if honest is None else len(honest) + len(rows)
        crafted = self._attack.craft(
            Knowledge(model.start, rows, honest, clients),
            generator(self._seed, "adversary", self._number),
        )
        return {
            key: model.arrays(row, held[key].arrays)
            for key, row in zip(usable, _told_apart(crafted), strict=True)
            if not np.array_equal(row, usable[key])
        }

    def _hold(self, key: str, reply: Message) -> None:
        """Keep a malicious client's reply, or hand it over when it is no model."""
        model = self._model
        if model is None or reply.has_error():
            self._hand_over(key, reply)
            return
        try:
            arrays_key, arrays = _only(reply.content.array_records)
            metrics_key, metrics = _only(reply.content.metric_records)
            trained = from_record(arrays, model.layout, max_bytes=model.cap)
        except ModelError as error:
            logger.warning("adversary: client %d: %s", self._partitions[key], error)
            self._hand_over(key, reply)
        else:
            self._held[key] = _Held(trained, arrays_key, metrics, metrics_key)

    def _observe(self, key: str, reply: Message) -> None:
        """Read an honest client's model on its way."""
        model = self._model
        if model is None or self._crafted or not self._attack.needs_honest or reply.has_error():
            return
        try:
            _, arrays = _only(reply.content.array_records)
            vector = model.uploaded(arrays)
        except ModelError as error:
            logger.warning("adversary: reply of client %d: %s", self._partitions[key], error)
            return
        if np.isfinite(vector).all():
            self._honest[key] = vector

    def _hand_over(self, key: str, reply: Message) -> None:
        self.ready[key] = (self._partitions[key], reply)


class _Model:
    """The global model of a round, and how models become vectors of its floating-point values.

    Args:
        content: of a training message.

    Raises:
        ModelError: it does not hold exactly one array record, or one without floating-point arrays.
    """

    def __init__(self, content: RecordDict) -> None:
        _, record = _only(content.array_records)
        arrays = {key: array.numpy() for key, array in record.items()}
        self.layout = Layout.from_arrays(arrays)
        self.cap = 2 * self.layout.nbytes + 1024 * len(arrays)
        self._floats = Layout.from_arrays(
            {key: array for key, array in arrays.items() if array.dtype.kind == "f"}
        )
        self.start = self.vector(arrays)
        request = SigningRequest.of(content)
        self._updates = request is not None and request.phase == "update"

    def vector(self, arrays: Arrays) -> Vector:
        """Return a model's floating-point values, (d,) float32."""
        return self._floats.flatten({key: arrays[key] for key in self._floats.keys})

    def uploaded(self, record: Any) -> Vector:
        """Return the same of what a client uploads, in the form that the strategy asked for.

        Raises:
            ModelError: it is not of this model's layout.
        """
        if not self._updates:
            return self.vector(from_record(record, self.layout, max_bytes=self.cap))
        layout = self.layout.as_float32()
        update = from_record(record, layout, max_bytes=self.cap)
        floats = self._floats.as_float32()
        with np.errstate(over="ignore", invalid="ignore"):
            return self.start + floats.flatten({key: update[key] for key in floats.keys})

    def arrays(self, vector: Vector, own: Arrays) -> Arrays:
        """Return a model with the floating-point values of `vector` and the other ones of `own`."""
        floats = self._floats.unflatten(np.ascontiguousarray(vector))
        with np.errstate(over="ignore"):
            return {
                key: floats[key].astype(value.dtype) if key in floats else value
                for key, value in own.items()
            }


def _told_apart(rows: Vector) -> Vector:
    """Return crafted models of which no two are equal.

    Most attacks upload one model many times over, and one content counts once in a round. So each
    copy has one value moved by a millionth, of the value or of 1: less than any rule or attack is
    about, and enough to be seen in the difference to the global model.
    """
    apart, seen = rows.copy(), set[bytes]()
    for number, row in enumerate(apart):
        if row.tobytes() in seen:
            at = number % len(row)
            row[at] += np.float32(1e-6 * (1 + number // len(row))) * max(
                np.float32(1), abs(row[at])
            )
        seen.add(row.tobytes())
    return apart


def _only(records: Any) -> tuple[str, Any]:
    if len(records) != 1:
        raise ModelError(f"one such record is expected, found {sorted(records)}")
    name, record = next(iter(records.items()))
    return name, record
