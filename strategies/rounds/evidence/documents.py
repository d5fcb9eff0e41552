"""What an auditor reads besides the ledger: a task's specification and a round's evidence.

Both are canonical JSON in the store; the ledger holds their CIDs. Numbers are whole (milliseconds,
parts per million), so that what is checked is exactly what was meant.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
)

from fedledger.errors import (
    AuditError,
    ContentNotFound,
    FedledgerError,
    NotChecked,
    NotInstalled,
)
from fedledger.formats import canonical_json, first_wrong, shown
from fedledger.guards import encodable

from ....ledger_plugins.storage.base import Store

__all__ = [
    "Anchor",
    "Asked",
    "Counted",
    "Dropped",
    "Evidence",
    "Fault",
    "Late",
    "Measured",
    "PhaseEvidence",
    "ReportTerms",
    "Specification",
    "Words",
    "load",
    "save",
]

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_VALUES = 2**18
"""Values in a document, counted by their commas before anything is made of them."""

VERSION = 3

_LONGEST = 400


def _fitting(value: Any, info: ValidationInfo) -> Any:
    if info.mode == "json" or not isinstance(value, str):
        return value
    return encodable(value)[:_LONGEST]


Text = Annotated[str, Field(max_length=_LONGEST)]
Words = Annotated[Text, BeforeValidator(_fitting)]
"""What somebody said, whatever it was: cut, and of characters that a document can hold."""
Whole = Annotated[int, Field(ge=0, lt=2**63)]


class _Document(BaseModel):
    """A document in the store: canonical JSON of these fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _without(plain: dict[str, Any], *optional: str) -> dict[str, Any]:
    return {key: one for key, one in plain.items() if one is not None or key not in optional}


class ReportTerms(_Document):
    """A task's terms, as `Reports.set_terms` takes them.

    Attributes:
        min_pledge: the least that an account pledges.
        late_cost: what a round missed costs an account that owes updates, at most `min_pledge`.
        patience: seconds after which an aggregator that was seen to publish nothing is stalled; 0:
            never.
        report_seconds: for how long reports are open, at least 1.
    """

    min_pledge: Whole
    late_cost: Whole
    patience: Whole
    report_seconds: Annotated[int, Field(ge=1, lt=2**31)]


class Specification(_Document):
    """What is fixed before the first round.

    Attributes:
        version: version of this form.
        protocol: name of the protocol.
        protocol_version: its version.
        settings: the protocol's settings, as it needs them to replay a round.
        parties: name of a party to its accounts; a position here is a number everywhere.
        layout: keys, shapes and dtypes of the model, in the order in which it is flattened.
        clock: who says when an answer arrived: {"by": "aggregator", …} or {"by": "ledger"}.
        profile: import profile of the CIDs.
        membership: who decides on changes of the clients, "owner" or "members"; absent: they are
            fixed.
        binding: "required" where answers count only when they are tied to SuperNodes; absent: they
            need not be.
        terms: pledges and punctuality, which the contract Reports has as well; absent: there are
            none.
    """

    version: Literal[3] = 3
    protocol: Text
    protocol_version: Annotated[int, Field(ge=1)]
    settings: dict[str, Any]
    parties: dict[str, list[str]]
    layout: Any
    clock: dict[str, Any]
    profile: str
    membership: Literal["owner", "members"] | None = None
    binding: Literal["required"] | None = None
    terms: ReportTerms | None = None

    @model_serializer(mode="wrap")
    def _without_absent(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing: so a task that does not ask for it has the text of old."""
        return _without(plain(self), "membership", "binding", "terms")


class Anchor(_Document):
    """How something that was signed is held fast.

    Attributes:
        carrier: "transaction": a transaction of the ledger; "signature": a signed statement;
            "signed-call": a signed transaction itself, on the ledger or not.
        name: the call's or statement's name.
        transaction: hash of the transaction; of a signed call its bytes, in hexadecimal.
        signature: the 65 bytes in hexadecimal.
        values: the statement's values, bytes in hexadecimal.
    """

    carrier: Text
    name: Text
    transaction: str | None = None
    signature: str | None = None
    values: dict[str, Any] | None = None


class Counted(_Document):
    """An answer that counted.

    Attributes:
        party: the account.
        content: CID of what it holds, or None where the phase asks for no content.
        anchors: of each signature, in the phase's order.
        arrival: milliseconds after the phase's messages were sent; blocks under the ledger's clock.
        node_proof: signature of the SuperNode's key in hexadecimal; absent where none is asked for.
    """

    party: str
    content: str | None
    anchors: list[Anchor]
    arrival: Whole
    node_proof: Text | None = None

    @model_serializer(mode="wrap")
    def _without_absent(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(plain(self), "node_proof")


class Late(_Document):
    """A good answer that came after the phase had closed; it is not on the ledger.

    Attributes:
        party: the account.
        arrival: as of `Counted`.
    """

    party: str
    arrival: Whole


class Fault(_Document):
    """What shows to anybody that an answer is wrong: all that its party signed, and the content.

    Attributes:
        content: CID of what it holds besides signatures.
        anchors: of each signature, in the phase's order.
    """

    content: str
    anchors: list[Anchor]


class Dropped(_Document):
    """An answer, or a missing one, that did not count.

    Attributes:
        reason: a code of the registry of reasons.
        detail: what was wrong, for people.
        party: the account, when it is known.
        node: Flower's node id, when it is known.
        arrival: as of `Counted`, when the answer was good and only the ledger refused it.
        fault: what shows that it is wrong; absent where the reason is the aggregator's word.
    """

    reason: Words
    detail: Words
    party: str | None = None
    node: str | None = None
    arrival: Whole | None = None
    fault: Fault | None = None

    @model_serializer(mode="wrap")
    def _without_absent(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(plain(self), "fault")


class Asked(_Document):
    """Who was asked.

    Attributes:
        node: Flower's node id; empty where the ledger was read.
        party: the account, where it was known or became known by the answer.
    """

    node: str
    party: str | None


class PhaseEvidence(_Document):
    """What happened in a phase.

    Attributes:
        name: the phase's name.
        asked: who was asked.
        accepted: the answers that counted, in the order of the party's list.
        late: the answers that came too late.
        dropped: everything else, with a reason; "no-reply" for who was silent. Every account of the
            party that is neither above nor named by another entry has one of its own.
        milliseconds: how long it took; 0 where the ledger was read.
        bytes: of the contents that counted.
    """

    name: Text
    asked: list[Asked]
    accepted: list[Counted]
    late: list[Late]
    dropped: list[Dropped]
    milliseconds: Whole
    bytes: Whole


class Measured(_Document):
    """What somebody measured about the round's model; apart from what clients claim.

    Attributes:
        metric: its name.
        ppm: its value in parts per million.
        by: the account that measured.
    """

    metric: Text
    ppm: Annotated[int, Field(gt=-(2**63), lt=2**63)]
    by: str


class Evidence(_Document):
    """What happened in a round.

    Attributes:
        version: version of this form.
        task: the task's number.
        round: the round, from 1.
        base: CID of the model the round started from.
        aggregate: CID of the model it produced; `base` again when the round kept its model.
        phases: the phases, in the order in which they were asked.
        rule: the rule used, or "kept".
        kept: why the round kept its model, or None.
        contributors: accounts whose answer has weight in the aggregate.
        payments: what the round owes, by account.
        reveals: values nobody knew before, by name, in hexadecimal.
        notes: what else the protocol put down, by name.
        commitments: 32 bytes each in hexadecimal, by name.
        state: what later rounds need of this one.
        measured: what was measured about the model.
    """

    version: Literal[3] = 3
    task: int
    round: int
    base: str
    aggregate: str
    phases: list[PhaseEvidence]
    rule: Text
    kept: Words | None
    contributors: list[str]
    payments: dict[str, Whole]
    reveals: dict[str, str]
    notes: dict[str, Any]
    commitments: dict[str, str]
    state: dict[str, Any]
    measured: list[Measured] = []

    def phase(self, name: str) -> PhaseEvidence:
        """Return the first phase of a name; KeyError when there is none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)


DocumentT = TypeVar("DocumentT", Specification, Evidence)


def save(document: Specification | Evidence, store: Store) -> str:
    """Put a document into the store as canonical JSON and return its CID."""
    return store.put(canonical_json(document.model_dump(mode="json")))


def load(kind: type[DocumentT], cid: str, store: Store) -> DocumentT:
    """Read a document.

    Raises:
        AuditError: it is corrupted, not of the expected form, or not its one JSON text.
        NotInstalled: it is of a version that this library does not read.
        NotChecked: it is missing.
    """
    try:
        content = store.get(cid, max_bytes=MAX_DOCUMENT_BYTES)
        if (values := content.count(b",")) > MAX_VALUES:
            raise AuditError(f"{values} values, above {MAX_VALUES}")
        document = kind.model_validate_json(content)
    except ValidationError as error:
        field, first = first_wrong(error)
        if first["loc"] == ("version",):
            raise NotInstalled(
                f"{kind.__name__} {cid} is of version {shown(first['input'])}, this library reads "
                f"{VERSION}: audit it with the version that made it"
            ) from error
        raise AuditError(f"{kind.__name__} {cid}: field {field!r}: {first['msg']}") from error
    except ContentNotFound as error:
        raise NotChecked(f"{kind.__name__} {cid}: {error}") from error
    except FedledgerError as error:
        raise AuditError(f"{kind.__name__} {cid}: {error}") from error
    if content != _text(document):
        raise AuditError(f"{kind.__name__} {cid} is not written as canonical JSON")
    return document


def _text(document: Specification | Evidence) -> bytes | None:
    try:
        return canonical_json(document.model_dump(mode="json"))
    except ValueError:  # a number that is not finite
        return None
