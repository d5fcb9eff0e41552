"""A client as a voter: it scores candidate models on its own data and signs the scores.

Any ClientApp can be a voter that has an evaluation function reporting "loss": the handler hands it
each candidate as an ordinary evaluation message.
"""

import math
from typing import ClassVar

from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from fedledger.errors import ConfigError
from fedledger.records import ARRAYS, CANDIDATES, CONFIG, LOSS

from ...ledger_plugins.contracts.training_task.calls import SUBMIT_VOTES
from ..phases import Answered, Asked, PhaseHandler

__all__ = ["MAX_SCORE", "SCORED", "VotesHandler", "score_of"]

MAX_SCORE = 10**15
"""Scores are cut here, in millionths of the loss; a loss that is not finite counts as this much."""

SCORED = "scored"
"""Key in the evaluation's config that says which model it is: "arrays" or "candidate-NNN"."""

_MILLION = 1_000_000


class VotesHandler(PhaseHandler):
    """Scores every candidate of a message with the app's own evaluation.

    The message holds the model the round began with under "arrays" and the candidates beside it.
    """

    signs: ClassVar = (SUBMIT_VOTES,)

    def answer(self, asked: Asked) -> Answered:
        """Return the losses, and the scores to sign; or the app's own error reply.

        Raises:
            ConfigError: the app's evaluation does not report "loss", or the message holds no model
                or ballot.
        """
        message = asked.message
        whole, records = message.content, message.content.array_records
        if ARRAYS not in records:
            raise ConfigError(f"a message that asks for votes needs the model under {ARRAYS!r}")
        try:
            ballot = bytes.fromhex(str(asked.details.get("ballot")))
        except ValueError as error:
            raise ConfigError("the details of a vote need the 'ballot' in hexadecimal") from error
        names = [ARRAYS, *sorted(name for name in records if name.startswith(CANDIDATES))]
        config = whole.config_records.get(CONFIG, ConfigRecord())
        losses: list[float] = []
        try:
            for name in names:
                said = ConfigRecord({**config, SCORED: name})
                message.content = RecordDict({ARRAYS: records[name], CONFIG: said})
                reply = asked.app(message)
                if reply.has_error():
                    return Answered(reply)
                losses.append(_loss(reply))
        finally:
            message.content = whole
        base, *scored = losses
        values = {
            "ballot": ballot,
            "scores": [score_of(loss, base) for loss in scored],
        }
        content = RecordDict({"metrics": MetricRecord({LOSS: scored})})
        return Answered(Message(content, reply_to=message), {SUBMIT_VOTES.name: values})


def score_of(loss: float, base: float) -> int:
    """Return a candidate's score: the change of the loss in millionths; lower is better."""
    change = loss - base
    if not math.isfinite(change):
        return MAX_SCORE
    return max(-MAX_SCORE, min(MAX_SCORE, round(change * _MILLION)))


def _loss(reply: Message) -> float:
    for metrics in reply.content.metric_records.values():
        value = metrics.get(LOSS)
        if isinstance(value, int | float):
            return float(value)
    raise ConfigError(f"a voter's evaluation must report {LOSS!r} in its metrics")
