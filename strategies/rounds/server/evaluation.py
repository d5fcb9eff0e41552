"""Evaluation beside the rounds: what goes wrong in it is logged, and the run goes on."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import Strategy

from fedledger.arrays import Arrays, to_record

from ..answers.replies import most_common_form
from ..evidence.documents import Measured
from ..phase import Answers, record_forms

__all__ = [
    "EvaluateFn",
    "MeasureFn",
    "attempted",
    "average_of",
    "guarded",
    "measured_of",
    "metrics_of",
    "usable_evaluations",
]

logger = logging.getLogger(__name__)

EvaluateFn = Callable[[int, ArrayRecord], MetricRecord | None]
MeasureFn = Callable[[int, ArrayRecord], Mapping[str, float]]

_MILLION = 1_000_000

T = TypeVar("T")


def attempted(what: str, make: Callable[[], T]) -> T | None:
    """Return what `make` gives, or None where it raises."""
    try:
        return make()
    except Exception as error:  # an app's or a strategy's own function can do anything
        logger.warning("%s is left out: %s: %s", what, type(error).__name__, error, exc_info=True)
        return None


def guarded(evaluate: EvaluateFn, done: int) -> EvaluateFn:
    """Return an evaluation that never raises, of rounds numbered as on the ledger.

    Args:
        evaluate: the app's evaluation.
        done: rounds that were on the ledger before.
    """

    def evaluation(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        number = server_round + done
        return metrics_of(f"evaluation of round {number}", lambda: evaluate(number, arrays))

    return evaluation


def metrics_of(what: str, make: Callable[[], Any]) -> MetricRecord | None:
    """Return what `make` gives where that is metrics; Flower's result holds nothing else."""
    found = attempted(what, make)
    if found is None or isinstance(found, MetricRecord):
        return found
    logger.warning("%s is left out: %s is no MetricRecord", what, type(found).__name__)
    return None


def measured_of(measure: MeasureFn, number: int, arrays: Arrays, by: str) -> list[Measured]:
    """Return what was measured of a round's model, for its evidence; nothing where that fails."""

    def measured() -> list[Measured]:
        return [
            Measured(metric=name, ppm=round(float(value) * _MILLION), by=by)
            for name, value in sorted(measure(number, to_record(arrays)).items())
            if math.isfinite(value)
        ]

    return attempted(f"measure of round {number}", measured) or []


def average_of(answers: Answers[Any], inner: Strategy, samples_key: str) -> MetricRecord | None:
    """Return the metrics of a phase's answers as Flower's strategy averages them."""
    average = getattr(inner, "train_metrics_aggr_fn", None)
    if average is None:
        return None
    contents = [one.message.content for one in answers if one.message is not None]
    common = most_common_form(contents)
    alike = [content for content in contents if record_forms(content) == common]
    if not alike or not alike[0].metric_records:
        return None
    return metrics_of("average of training metrics", lambda: average(alike, samples_key))


def usable_evaluations(replies: Iterable[Message], weight: str | None) -> Sequence[Message]:
    """Return the replies that a strategy can average: of the form that most of them have.

    Args:
        replies: what clients answered.
        weight: metric by which they are averaged: who evaluated on nothing has nothing to say.
    """
    usable = [
        reply
        for reply in replies
        if not reply.has_error()
        and len(reply.content.metric_records) == 1
        and _is_finite(reply)
        and (weight is None or _weighs(reply, weight))
    ]
    common = most_common_form([reply.content for reply in usable])
    return [reply for reply in usable if record_forms(reply.content) == common]


def _is_finite(reply: Message) -> bool:
    """Tell whether all metrics are finite: one that is not would be everybody's average."""
    [metrics] = reply.content.metric_records.values()
    for name, value in metrics.items():
        if not all(map(math.isfinite, value if isinstance(value, list) else [value])):
            node = reply.metadata.src_node_id
            logger.warning("evaluation of node %d is left out: its %r is not finite", node, name)
            return False
    return True


def _weighs(reply: Message, weight: str) -> bool:
    [metrics] = reply.content.metric_records.values()
    value = metrics.get(weight)
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return True
    node = reply.metadata.src_node_id
    logger.warning("evaluation of node %d is left out: its %r is %s", node, weight, value)
    return False
