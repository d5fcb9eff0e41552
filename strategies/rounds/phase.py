"""A phase as data: what is asked of whom, what the answerer signs, how an answer is read.

The same `parse` runs where an answer arrives, in every audit and on every node that verifies the
round. It sees the content, the values that were signed and the round, and not how the signature
travelled.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from flwr.app import ArrayRecord, Message, RecordDict

from fedledger.arrays import (
    Arrays,
    Layout,
    from_record,
    from_safetensors,
    not_finite,
    to_record,
)
from fedledger.arrays import to_safetensors as encoded
from fedledger.errors import ModelError, UpdateRejected
from fedledger.guards import guarded
from fedledger.references import model_record

from ...ledger_plugins.signing import Call, Statement
from ...ledger_plugins.storage.cid import cid_of
from .evidence.documents import Anchor

if TYPE_CHECKING:
    from .round import Round

__all__ = [
    "Answer",
    "Answers",
    "Content",
    "FilledRecord",
    "Given",
    "Phase",
    "ProvablyWrong",
    "Signed",
    "arrays_cap",
    "malformed",
    "read_answer",
    "record_forms",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

Signed = Mapping[str, Mapping[str, Any]]
"""Name of a call or statement to the values that were signed, by their names."""

_FRAMING = 1024


class Content:
    """What an answer holds besides signatures: bytes that go to the store, usually arrays.

    Args:
        data: the bytes.
        arrays: what they decode to, where that is known already.
    """

    def __init__(self, data: bytes, arrays: Arrays | None = None) -> None:
        self.data = data
        self._arrays = arrays

    @classmethod
    def of(cls, arrays: Arrays) -> "Content":
        """Return arrays as content: safetensors, in the mapping's order."""
        return cls(encoded(arrays), arrays)

    @cached_property
    def cid(self) -> str:
        """CID of the bytes."""
        return cid_of(self.data)

    def arrays(self, layout: Layout, initial: Callable[[], Arrays] | None = None) -> Arrays:
        """Return the arrays, of this layout and finite.

        Args:
            layout: what they have to be.
            initial: gives the task's initial model; where it is not finite, they need not be.

        Raises:
            UpdateRejected: "arrays": other keys, shapes or dtypes; "not-finite".
        """
        try:
            if self._arrays is None:
                cap = len(self.data)
                self._arrays = from_safetensors(self.data, layout=layout, max_bytes=cap)
            else:
                layout.check(self._arrays)
        except ModelError as error:
            raise UpdateRejected("arrays", str(error)) from error
        if (key := not_finite(self._arrays, initial)) is not None:
            raise UpdateRejected("not-finite", f"array {key!r} holds NaN or infinity")
        return self._arrays


class FilledRecord(ArrayRecord):
    """A reply's arrays that came by the store, with the content that they were read from.

    Args:
        content: the content; its CID was checked where it came from.
        layout: what it has to hold.

    Raises:
        ModelError: it does not.
    """

    def __init__(self, content: bytes, layout: Layout) -> None:
        arrays = from_safetensors(content, layout=layout, max_bytes=len(content))
        super().__init__(dict(to_record(arrays)))
        self.content = Content(content, from_record(self, layout, max_bytes=arrays_cap(layout)))


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a party gave, as a phase reads it.

    Attributes:
        party: the account that signed it.
        content: what it holds besides signatures; within the phase's `max_bytes`.
        signed: what was signed; a call's task and round are this round's already.
    """

    party: str
    content: Content
    signed: Signed


class ProvablyWrong(UpdateRejected):
    """An answer is refused, and whoever has what its party signed refuses it too.

    Attributes:
        given: the answer.
        anchors: of each signature, in the phase's order; () until somebody adds them.
    """

    def __init__(self, error: UpdateRejected, given: Given) -> None:
        super().__init__(error.reason, error.detail)
        self.given, self.party = given, given.party
        self.anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Generic[T]):
    """An answer that counts.

    Attributes:
        party: the account that signed it.
        position: the account's position in its party's list.
        value: what the phase read in it.
        content: what it holds besides signatures.
        signed: what was signed.
        arrival: when it arrived: milliseconds after the phase's messages were sent, or blocks after
            the round opened where the ledger keeps the time.
        message: the reply itself; None where the round is replayed.
        signatures: of each statement in `signed` its 65 bytes, by the statement's name.
    """

    party: str
    position: int
    value: T
    content: Content
    signed: Signed
    arrival: int
    message: Message | None = None
    signatures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """The answers of a phase that count, in the order of the party's list.

    Attributes:
        accepted: the answers.
        standing: what every party has signed that cannot be taken back, by account: of answers that
            do not count too, where the ledger takes them and not the aggregator.
    """

    accepted: Sequence[Answer[T]]
    standing: Mapping[str, Signed]

    def __iter__(self) -> Iterator[Answer[T]]:
        return iter(self.accepted)

    def __len__(self) -> int:
        return len(self.accepted)

    @property
    def parties(self) -> list[str]:
        """The accounts that answered."""
        return [answer.party for answer in self.accepted]


class Phase(ABC, Generic[T]):
    """What is asked of a party, and how its answers are read.

    A phase has no state; one instance serves all rounds.

    Attributes:
        name: its key in messages and evidence; the client's handler has the same name.
        by: the party that is asked; lists of accounts stand in the specification.
        signs: the calls and statements that the answerer signs, in order.
        kind: type of the Flower message: "train" and "evaluate" reach the app's own functions.
        alike: whether replies must hold the records that most of them hold.
        once: whether one content counts once in a round: for whoever gave it first.
        apart: whether it is asked before the round's own work, with messages of its own: those that
            the strategy inside made are for the first phase that is not.
        provable: reasons for which `parse` refuses an answer by nothing but what its party signed,
            so that nobody can make an honest one look so: who gave such an answer can be reported.
            What the aggregator tells a party, and the party does not sign, must not matter.
    """

    name: ClassVar[str]
    by: ClassVar[str] = "clients"
    signs: ClassVar[tuple[Call | Statement, ...]] = ()
    kind: ClassVar[str] = "train"
    alike: ClassVar[bool] = False
    once: ClassVar[bool] = False
    apart: ClassVar[bool] = False
    provable: ClassVar[frozenset[str]] = frozenset()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls among `signs`."""
        return tuple(one for one in self.signs if isinstance(one, Call))

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements among `signs`."""
        return tuple(one for one in self.signs if isinstance(one, Statement))

    def layout(self, round: "Round") -> Layout | None:  # noqa: ARG002 - the paper's word
        """Return the layout of the arrays that an answer holds, or None where it holds none."""
        return None

    def whom(self, round: "Round", subject: Any) -> Collection[str] | None:  # noqa: ARG002 - see layout
        """Return which accounts of the party are asked, or None for all of them."""
        return None

    def max_bytes(self, round: "Round") -> int:
        """Return the most bytes that an answer's content may have."""
        layout = self.layout(round)
        return 0 if layout is None else arrays_cap(layout)

    def details(self, round: "Round", subject: Any) -> Mapping[str, Any]:  # noqa: ARG002 - see layout
        """Return what the message tells the client's handler (JSON values)."""
        return {}

    def pose(self, round: "Round", subject: Any) -> Mapping[str, Any]:  # noqa: ARG002 - see layout
        """Return the Flower records that are sent; live only."""
        return {}

    def read(self, reply: RecordDict, asked: RecordDict, signed: Signed, round: "Round") -> Content:  # noqa: ARG002 - see layout
        """Return the content of a reply; live only. Records that are not read pass untouched.

        The arrays are those of the record named as the model in the message, or of the only one.

        Raises:
            UpdateRejected: "records", "oversized" or "arrays".
        """
        layout = self.layout(round)
        if layout is None:
            return Content(b"")
        records = reply.array_records
        name = model_record(reply, asked)
        if name is None:
            raise UpdateRejected(
                "records", f"{len(records)} ArrayRecords, none with the model's name: one wanted"
            )
        record = records[name]
        if isinstance(record, FilledRecord):
            return record.content
        cap = self.max_bytes(round)
        size = sum(len(array.data) for array in record.values())
        if size > cap:
            raise UpdateRejected("oversized", f"{size} bytes of arrays, {cap} allowed")
        try:
            return Content.of(from_record(record, layout, max_bytes=cap))
        except ModelError as error:
            raise UpdateRejected("arrays", str(error)) from error

    @abstractmethod
    def parse(self, given: Given, round: "Round", subject: Any) -> T:
        """Return what an answer says, once everything about it is right.

        Args:
            given: the answer.
            round: the round.
            subject: what was asked about.

        Raises:
            UpdateRejected: it is unusable, with a reason of the registry (`reasons`).
        """


def read_answer(phase: Phase[T], given: Given, round: "Round", subject: Any) -> T:
    """Return what a phase reads in an answer; a parser that fails otherwise calls it "malformed".

    Raises:
        ProvablyWrong: it is unusable, for one of the reasons that the phase declares provable.
        UpdateRejected: it is unusable.
    """
    unit = f"the answer of {given.party} to {phase.name!r} in round {round.number}"
    try:
        with malformed(unit, round):
            return phase.parse(given, round, subject)
    except UpdateRejected as error:
        if error.reason in phase.provable:
            raise ProvablyWrong(error, given) from error
        raise


def malformed(
    unit: str, round: "Round", passes: type[Exception] = UpdateRejected
) -> AbstractContextManager[None]:
    """Guard an answer, which is anything that somebody sent: what is no refusal is "malformed"."""
    failure = partial(UpdateRejected, "malformed")
    return guarded(unit, failure, logger, passes=passes, failures=round.failures)


def arrays_cap(layout: Layout) -> int:
    """Return the most bytes that arrays of a layout can take, with room for names and framing."""
    return layout.nbytes + sum(_FRAMING + len(key) for key in layout.keys) + _FRAMING


def record_forms(content: RecordDict) -> tuple[tuple[str, str, tuple[tuple[str, int], ...]], ...]:
    """Return the form of a reply's records: name, kind, and of metrics the keys and lengths.

    Flower's strategies refuse a round whose replies differ in form.
    """
    forms = []
    for name, arrays in content.array_records.items():
        forms.append((name, "arrays", tuple((key, 0) for key in arrays)))
    for name, metrics in content.metric_records.items():
        lengths = ((k, len(v) if isinstance(v, list) else -1) for k, v in metrics.items())
        forms.append((name, "metrics", tuple(sorted(lengths))))
    forms.extend((name, "config", ()) for name in content.config_records)
    return tuple(sorted(forms))
