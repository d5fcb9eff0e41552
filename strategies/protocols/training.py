"""The phase in which clients train: their update, or their whole weights, with signed claims."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from flwr.app import MetricRecord, RecordDict

from fedledger.arrays import Arrays, Layout
from fedledger.errors import UpdateRejected

from ...ledger_plugins.contracts import cid_text
from ...ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ...ledger_plugins.signing import Call, Statement
from ..rounds.phase import Content, Given, Phase, Signed
from ..rounds.round import Round

__all__ = ["Trained", "TrainingPhase", "UpdatePhase", "WeightsPhase"]

_MILLION = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a client trained.

    Attributes:
        arrays: the update or the weights, by the model's keys.
        cid: CID of the content.
        samples: number of training samples, as the client claims.
        accuracy: fraction from 0 to 1, as the client claims.
    """

    arrays: Arrays
    cid: str
    samples: int
    accuracy: float


class TrainingPhase(Phase[T]):
    """Clients train, and sign what came of it: a CID and claims, which go to the ledger.

    Args:
        samples_key: metric that holds the number of training samples.
    """

    signs: ClassVar[tuple[Call | Statement, ...]] = (SUBMIT_UPDATE,)
    once: ClassVar[bool] = True

    def __init__(self, samples_key: str) -> None:
        self._samples_key = samples_key

    def details(self, round: Round, subject: Any) -> Mapping[str, Any]:  # noqa: ARG002 - Phase
        """Tell the metric that holds the number of training samples."""
        return {"samples-key": self._samples_key}

    def read(self, reply: RecordDict, asked: RecordDict, signed: Signed, round: Round) -> Content:
        """Return the arrays; the metrics beside them have to be sound, for Flower averages them."""
        content = super().read(reply, asked, signed, round)
        self._check_metrics(reply, signed[SUBMIT_UPDATE.name]["samples"])
        return content

    def trained(self, given: Given, round: Round) -> Trained:
        """Return what was trained; its CID is the one signed.

        Raises:
            UpdateRejected: "arrays", "not-finite", "cid" or "metrics".
        """
        content, values = given.content, given.signed[SUBMIT_UPDATE.name]
        layout = self.layout(round)
        assert layout is not None  # noqa: S101 - both kinds have one
        arrays = content.arrays(layout, self.initial(round))
        cid = cid_text(values["cid"])
        if content.cid != cid:
            raise UpdateRejected(
                "cid",
                f"the arrays hash to {content.cid}, signed was {cid}: what changes "
                "them belongs inside signing_mod, the first of the ClientApp's mods",
            )
        if values["accuracy"] > _MILLION:
            raise UpdateRejected("metrics", f"accuracy of {values['accuracy']} parts per million")
        return Trained(arrays, cid, values["samples"], values["accuracy"] / _MILLION)

    def initial(self, round: Round) -> Callable[[], Arrays] | None:  # noqa: ARG002 - see weights
        """Return what gives the initial model, where its infinities may come back."""
        return None

    def _check_metrics(self, reply: RecordDict, signed: int) -> None:
        key = self._samples_key
        if not reply.metric_records:
            raise UpdateRejected("records", "one MetricRecord is expected, found none")
        metrics = next(
            (record for record in reply.metric_records.values() if key in record), MetricRecord()
        )
        samples = metrics.get(key)
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise UpdateRejected("metrics", f"{key!r} must be a positive whole number")
        if samples != signed:
            raise UpdateRejected(
                "metrics", f"{key} is {samples} in the reply and {signed} in what was signed"
            )
        for record in reply.metric_records.values():
            for name, value in record.items():
                numbers = value if isinstance(value, list) else [value]
                if not all(math.isfinite(number) for number in numbers):
                    raise UpdateRejected("metrics", f"{name!r} is not finite")


class _Open(TrainingPhase[Trained]):
    """What was trained is there for everybody to see."""

    def parse(self, given: Given, round: Round, subject: Any) -> Trained:  # noqa: ARG002 - Phase
        """Return what was trained."""
        return self.trained(given, round)


class UpdatePhase(_Open):
    """Clients send the difference to the global model, float32."""

    name: ClassVar[str] = "update"

    def layout(self, round: Round) -> Layout:
        """Return the layout of updates."""
        return round.layout.as_float32()


class WeightsPhase(_Open):
    """Clients send their whole weights."""

    name: ClassVar[str] = "weights"
    alike: ClassVar[bool] = True

    def layout(self, round: Round) -> Layout:
        """Return the model's layout."""
        return round.layout

    def initial(self, round: Round) -> Callable[[], Arrays]:
        """Return what gives the initial model."""
        return round.terms.initial
