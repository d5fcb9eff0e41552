"""What a client is asked to sign, and the checks of its reply before anything else looks at it.

A reply comes from somebody who may be hostile. Each check raises `UpdateRejected` with a reason of
the registry, and the round goes on without the reply. Nothing is decoded before its size and
declared shape are known to fit.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from flwr.app import Message, RecordDict

from fedledger.errors import (
    AccountError,
    AuditError,
    CallError,
    ContentTooLarge,
    LedgerError,
    LedgerUnavailable,
    ModelError,
    NotChecked,
    StoreError,
    UpdateRejected,
)
from fedledger.formats import parse_json
from fedledger.records import CallRequest, Signatures, SigningRequest, StatementRequest
from fedledger.references import model_record

from ....ledger_plugins.accounts import decode_transaction
from ....ledger_plugins.base import Block, Event, Ledger, SignedTransaction
from ....ledger_plugins.contracts import cid_text
from ....ledger_plugins.contracts.identities.nodes import check_node_proof
from ....ledger_plugins.openings import veil
from ....ledger_plugins.signing import Call, Statement, plain_values
from ..evidence.carriers import (
    decoded_transaction,
    read_call,
    read_statement,
    statement_values,
)
from ..evidence.documents import Anchor
from ..evidence.reasons import UNAVAILABLE
from ..phase import Answer, Content, FilledRecord, Given, Phase, Signed, read_answer, record_forms
from ..round import Round
from .history import History
from .opened import OPENING, opened, opening_of

__all__ = [
    "Arrived",
    "Checked",
    "Placed",
    "Unplaced",
    "check_arrival",
    "check_binding",
    "check_reply",
    "fill",
    "find_call",
    "most_common_form",
    "named_content",
    "read_reply",
    "signatures_in",
    "signing_request",
    "unavailable",
]

T = TypeVar("T")

Placed = Callable[[Call, str], tuple[SignedTransaction, Event]]
"""Finds a call on the ledger by its hash; see `find_call`."""

_MAX_JSON = 64 * 1024


class Unplaced(UpdateRejected):
    """A reply names a call that is not on the ledger, or not yet."""

    def __init__(self, transaction: str) -> None:
        super().__init__("ledger", f"{transaction} is none of this round's calls on the ledger")


@dataclass(frozen=True, slots=True, eq=False)
class Checked(Generic[T]):
    """A reply that passed every check.

    Attributes:
        answer: what it says.
        transactions: the signed calls, in the phase's order.
        statements: an anchor for each signed statement, in the phase's order.
        named: whether the calls are on the ledger already: their client has sent them itself.
        opening: what the call's CID opens to, where submissions are sealed; else b"".
        node_proof: what ties it to a SuperNode, or b"".
    """

    answer: Answer[T]
    transactions: tuple[SignedTransaction, ...]
    statements: tuple[Anchor, ...]
    named: bool = False
    opening: bytes = b""
    node_proof: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """A reply whose signatures are right; nobody has looked at its content.

    Attributes:
        message: the reply.
        party: the account that signed it.
        signatures: what it signed, as it came.
        signed: the values, by the name of call or statement.
        transactions: the signed calls, in the phase's order.
        statements: an anchor for each signed statement, in the phase's order.
        node_proof: what ties it to a SuperNode, or b"".
    """

    message: Message
    party: str
    signatures: Signatures
    signed: dict[str, dict[str, Any]]
    transactions: tuple[SignedTransaction, ...]
    statements: tuple[Anchor, ...]
    node_proof: bytes

    def blame(self, error: UpdateRejected) -> None:
        """Put its party into what is wrong with it, where that is certain."""
        if not self.signatures.named:  # what is on the ledger anybody can name
            error.party = self.party  # it has signed for this round, whatever else is wrong


def signing_request(  # noqa: PLR0917 - what is asked, then where and whom
    round: Round,
    protocol: str,
    phase: Phase[Any],
    subject: Any,
    ledger: Ledger,
    clients: Sequence[str],
    seen: Block | None,
    *,
    by_reference: bool = False,
) -> SigningRequest:
    """Return what clients are asked to sign in a phase.

    Args:
        round: the round.
        protocol: name of its protocol.
        phase: the phase.
        subject: what is asked about.
        ledger: has the nonces, and says what a call costs.
        clients: the accounts that the request is for.
        seen: the block that they name, where a call of the phase names one.
        by_reference: whether arrays that they answer go to their stores.
    """
    calls = []
    for call in phase.calls:
        terms = ledger.terms(call.contract, call.function)
        fees = terms.gas, terms.max_fee_per_gas, terms.max_priority_fee_per_gas
        calls.append(CallRequest(call.name, terms.to, *fees))
    return SigningRequest(
        protocol=protocol,
        phase=phase.name,
        task=round.terms.task,
        round=round.number,
        chain_id=round.terms.chain_id,
        contract=round.terms.contract,
        calls=calls,
        statements=[StatementRequest(one.name, one.type) for one in phase.statements],
        clients=clients,
        nonces=[ledger.nonce(client) for client in clients] if calls else [0] * len(clients),
        details=phase.details(round, subject),
        seen=seen.hash if seen else "",
        sealed=round.terms.sealed,
        by_reference=by_reference and phase.layout(round) is not None,
    )


def check_reply(  # noqa: PLR0917 - the reply, then what it answers
    message: Message,
    asked: RecordDict,
    phase: Phase[T],
    subject: Any,
    round: Round,
    request: SigningRequest,
    history: History,
    placed: Placed | None = None,
) -> Checked[T]:
    """Return what a reply says, once everything about it is right.

    What is signed is taken out of it: Flower's strategies see their own records alone.

    Args:
        message: the reply.
        asked: the content of the message that it answers.
        phase: the phase.
        subject: what was asked about.
        round: the round.
        request: what the client was asked to sign, for all accounts that it may have.
        history: the ledger's blocks.
        placed: finds the calls that a reply only names; None: they have to come with it.

    Raises:
        Unplaced: it names a call that is not on the ledger, or not yet.
        UpdateRejected: with the reason.
    """
    arrived = check_arrival(message, phase, round, request, history, placed)
    return read_reply(arrived, asked, phase, subject, round)


def check_arrival(  # noqa: PLR0917 - the reply, then what it answers
    message: Message,
    phase: Phase[Any],
    round: Round,
    request: SigningRequest,
    history: History,
    placed: Placed | None = None,
) -> Arrived:
    """Return a reply, once everything about it is right that needs no content; see `check_reply`.

    Raises:
        Unplaced: it names a call that is not on the ledger, or not yet.
        UpdateRejected: with the reason.
    """
    if message.has_error():
        raise UpdateRejected("client-error", f"code {message.error.code}: {message.error.reason}")
    signatures = Signatures.taken_from(message.content)
    if signatures.phase != phase.name:
        raise UpdateRejected("phase", f"answers phase {signatures.phase!r}, not {phase.name!r}")
    transactions, blocks = _transactions(signatures, phase, placed)
    parties = {transaction.sender for transaction in transactions}
    signed: dict[str, dict[str, Any]] = {}
    for call, asked_call, transaction in zip(phase.calls, request.calls, transactions, strict=True):
        signed[call.name] = read_call(call, transaction, asked_call.contract, round.domain)
    anchors = []
    for statement, values, signature in _statements(signatures, phase):
        parties.add(read_statement(statement, round.domain, values, signature))
        signed[statement.name] = values
        plain = plain_values(values)
        anchors.append(
            Anchor(
                carrier="signature", name=statement.name, signature=signature.hex(), values=plain
            )
        )
    if len(parties) != 1:
        raise UpdateRejected("signature", f"signed by {len(parties)} accounts, one was expected")
    [party] = parties
    if party not in round.positions(phase.by):
        raise UpdateRejected(
            "unregistered", f"{party} is none of the {phase.by} of task {round.terms.task}"
        )
    arrived = Arrived(message, party, signatures, signed, transactions, tuple(anchors), b"")
    try:
        _check_terms(signatures, transactions, request, party)
        for call, block in zip(phase.calls, blocks, strict=True):
            history.check(signed[call.name], block)
        proof = check_binding(signatures.node_proof, phase.name, party, signed, round)
    except UpdateRejected as error:
        arrived.blame(error)
        raise
    return replace(arrived, node_proof=proof)


def read_reply(
    arrived: Arrived, asked: RecordDict, phase: Phase[T], subject: Any, round: Round
) -> Checked[T]:
    """Return what a reply says whose content is there; see `check_reply`.

    Raises:
        UpdateRejected: with the reason.
    """
    message, party, signed = arrived.message, arrived.party, arrived.signed
    try:
        content = _content(message, asked, phase, signed, round)
        read, opening = _opened(arrived.signatures, party, content, signed, round)
        value = read_answer(phase, Given(party, content, read), round, subject)
    except UpdateRejected as error:
        arrived.blame(error)
        raise
    position, named = round.positions(phase.by)[party], arrived.signatures.named
    statements, proof = arrived.statements, arrived.node_proof
    signatures = signatures_in(statements)
    answer = Answer(party, position, value, content, signed, 0, message, signatures)
    return Checked(answer, arrived.transactions, statements, named, opening, proof)


def signatures_in(anchors: Sequence[Anchor]) -> dict[str, bytes]:
    """Return of each statement among anchors its signature, by the statement's name."""
    return {one.name: bytes.fromhex(one.signature) for one in anchors if one.signature}


def named_content(arrived: Arrived, asked: RecordDict) -> str | None:
    """Return the CID of the content that a reply only names; None where the reply has it.

    Args:
        arrived: the reply; what it names it has signed, or has veiled.
        asked: the content of the message that it answers.
    """
    reply = arrived.message.content
    name = model_record(reply, asked)
    if name is None or reply.array_records[name]:
        return None
    if arrived.signatures.veiled:
        return cid_text(arrived.signatures.veiled[0])
    cids = [values["cid"] for values in arrived.signed.values() if "cid" in values]
    return cid_text(cids[0]) if cids else None


def fill(arrived: Arrived, asked: RecordDict, phase: Phase[Any], round: Round, data: bytes) -> None:
    """Put a content where a reply has an empty record; then it is as if it had come with it.

    Raises:
        UpdateRejected: "arrays": it is no model of the phase's layout; "opening": there is no key
            to what is veiled.
    """
    reply = arrived.message.content
    name, layout = model_record(reply, asked), phase.layout(round)
    assert name is not None and layout is not None  # noqa: S101, PT018 - it has named a content
    try:
        if arrived.signatures.veiled:
            data = veil(arrived.signatures.veiled[1], data)
        reply[name] = FilledRecord(data, layout)
    except (CallError, ModelError) as error:
        found = UpdateRejected("arrays" if isinstance(error, ModelError) else OPENING, str(error))
        arrived.blame(found)
        raise found from error


def unavailable(arrived: Arrived, error: StoreError) -> UpdateRejected:
    """Return why a reply does not count whose content did not come.

    It is its party's, who has signed its CID, whoever brought the reply.
    """
    code = "oversized" if isinstance(error, ContentTooLarge) else UNAVAILABLE
    found = UpdateRejected(code, str(error))
    found.party = arrived.party
    return found


def check_binding(proof: bytes, phase: str, party: str, signed: Signed, round: Round) -> bytes:
    """Return what ties an answer to the SuperNode of its account; b"" where nobody asks for it.

    Args:
        proof: signature of the node's key.
        phase: name of the phase.
        party: the account.
        signed: what it signed.
        round: the round.

    Raises:
        UpdateRejected: "binding": the account had published no key, or that key did not sign this.
    """
    if not round.terms.binding:
        return b""
    public = round.terms.node_keys.get(party)
    if public is None:
        raise UpdateRejected("binding", "its account had published no key when the round opened")
    try:
        check_node_proof(public, proof, round.domain, phase, party, signed)
    except AccountError as error:
        raise UpdateRejected("binding", str(error)) from error
    return proof


def most_common_form(contents: Sequence[RecordDict]) -> object:
    """Return the form of records that most replies have; the smallest one of equals."""
    forms = Counter(record_forms(content) for content in contents)
    return min(forms, key=lambda form: (-forms[form], form)) if forms else None


def _transactions(
    signatures: Signatures, phase: Phase[Any], placed: Placed | None
) -> tuple[tuple[SignedTransaction, ...], list[int | None]]:
    """Return the calls, and of each that is on the ledger the block."""
    given = signatures.transactions
    if len(given) != len(phase.calls):
        raise UpdateRejected("calls", f"{len(given)} calls signed, {len(phase.calls)} asked for")
    if not signatures.named:
        try:
            return tuple(decode_transaction(raw) for raw in given), [None] * len(given)
        except LedgerError as error:
            raise UpdateRejected("signature", str(error)) from error
    if placed is None:
        raise UpdateRejected("calls", "calls are named, and nobody looks for them")
    found = [
        placed(call, "0x" + digest.hex()) for call, digest in zip(phase.calls, given, strict=True)
    ]
    return tuple(transaction for transaction, _ in found), [event.block for _, event in found]


def find_call(
    ledger: Ledger, call: Call, transaction: str, *, since: int
) -> tuple[SignedTransaction, Event]:
    """Return a call that its client has sent itself, and the event by which the ledger repeats it.

    Args:
        ledger: the ledger.
        call: the call that it has to be.
        transaction: its hash, as the client says.
        since: a block before which it is none of this round.

    Raises:
        Unplaced: it is not on the ledger, the contract has refused it, or the ledger cannot be
            reached now, which is nobody's fault and no reason to drop anybody.
        UpdateRejected: "signature": the ledger shows another one.
    """
    try:
        found = decoded_transaction(ledger, transaction)
        party = {call.party: found.sender}
        events = ledger.matching(call.contract, call.event, party, since=since)
    except (LedgerUnavailable, NotChecked) as error:
        raise Unplaced(transaction) from error
    except (AuditError, LedgerError) as error:
        raise UpdateRejected("signature", str(error)) from error
    for event in events:
        if event.transaction == transaction:
            return found, event
    raise Unplaced(transaction)


def _opened(
    signatures: Signatures, party: str, content: Content, signed: Signed, round: Round
) -> tuple[Signed, bytes]:
    """Return what was signed as the phase reads it, and the opening where it is sealed."""
    names = [cid_text(values["cid"]) for values in signed.values() if "cid" in values]
    if not (round.terms.sealed and content.data and names):
        if signatures.openings or signatures.veiled:
            raise UpdateRejected(OPENING, "nothing of this phase is sealed")
        return signed, b""
    if len(signatures.openings) != 1:
        raise UpdateRejected(OPENING, f"{len(signatures.openings)} openings, one is asked for")
    [data] = signatures.openings
    opening = opening_of(data, party, round.domain)
    if names != [opening.cid]:
        raise UpdateRejected(OPENING, f"what was signed is {names[0]}, the opening {opening.cid}")
    return opened(signed, opening.content), data


def _statements(
    signatures: Signatures, phase: Phase[Any]
) -> Iterator[tuple[Statement, dict[str, Any], bytes]]:
    if len(signatures.statements) != len(phase.statements):
        raise UpdateRejected(
            "statements",
            f"{len(signatures.statements)} statements signed, {len(phase.statements)} asked for",
        )
    for statement, (text, signature) in zip(phase.statements, signatures.statements, strict=True):
        yield statement, statement_values(statement, _json(text)), signature


def _content(
    message: Message,
    asked: RecordDict,
    phase: Phase[Any],
    signed: dict[str, dict[str, Any]],
    round: Round,
) -> Content:
    content = phase.read(message.content, asked, signed, round)
    cap = phase.max_bytes(round)
    if len(content.data) > cap:
        raise UpdateRejected("oversized", f"{len(content.data)} bytes, {cap} allowed")
    return content


def _check_terms(
    signatures: Signatures,
    transactions: Sequence[SignedTransaction],
    request: SigningRequest,
    party: str,
) -> None:
    """A call with other fees could wait for ever, one with another nonce block the account.

    What its client has sent itself does neither.
    """
    if signatures.named:
        return
    if party not in request.clients:
        raise UpdateRejected("signature", f"the node signed as {request.clients} before")
    first = request.nonces[list(request.clients).index(party)]
    for step, (call, transaction) in enumerate(zip(request.calls, transactions, strict=True)):
        terms, nonce = transaction.unsigned.terms, transaction.unsigned.nonce
        given = (terms.gas, terms.max_fee_per_gas, terms.max_priority_fee_per_gas, nonce)
        wanted = (call.gas, call.max_fee_per_gas, call.max_priority_fee_per_gas, first + step)
        if given != wanted:
            raise UpdateRejected(
                "terms", f"gas, fees and nonce are {given}, asked for were {wanted}"
            )


def _json(text: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON:
        raise UpdateRejected("statements", f"{len(text)} characters of values")
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UpdateRejected("statements", f"the values are no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UpdateRejected("statements", "the values are no object")
    return found
