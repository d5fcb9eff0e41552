"""How what was signed travels: a transaction of the ledger, or by itself, or a signed statement.

Whoever reads an answer gets names and values. A batch of statements under one root would be one
more carrier here, and no phase would notice.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fedledger.errors import (
    AccountError,
    AuditError,
    CallError,
    LedgerError,
    NotChecked,
    UpdateRejected,
)

from ....ledger_plugins.accounts import decode_transaction, recover_digest
from ....ledger_plugins.base import Ledger, SignedTransaction
from ....ledger_plugins.contracts.values import normalise
from ....ledger_plugins.signing import Call, Domain, Statement, plain_values
from .documents import Anchor

__all__ = ["decoded_transaction", "open_anchor", "read_call", "read_statement", "statement_values"]


def read_call(
    call: Call, transaction: SignedTransaction, contract: str, domain: Domain
) -> dict[str, Any]:
    """Return a call's arguments by name, once it is one for this task and round.

    Args:
        call: the call that is expected.
        transaction: what was signed.
        contract: address of the call's contract.
        domain: chain, task and round.

    Raises:
        UpdateRejected: "calls", "signature" (another chain) or "wrong-round".
    """
    terms = transaction.unsigned.terms
    if terms.chain_id != domain.chain_id:
        raise UpdateRejected(
            "signature", f"signed for chain {terms.chain_id}, not {domain.chain_id}"
        )
    if terms.to != contract:
        raise UpdateRejected("calls", f"the transaction calls {terms.to}, not {call.contract}")
    try:
        values = call.decode(transaction.unsigned.data)
    except (LedgerError, ValueError) as error:
        raise UpdateRejected("calls", f"not a {call.name} call: {error}") from error
    signed = values.get("task", domain.task), values.get("round", domain.round)
    if signed != (domain.task, domain.round):
        raise UpdateRejected(
            "wrong-round",
            f"signed for task {signed[0]} round {signed[1]}, "
            f"expected task {domain.task} round {domain.round}",
        )
    return values


def read_statement(
    statement: Statement, domain: Domain, values: Mapping[str, Any], signature: bytes
) -> str:
    """Return who signed a statement.

    Raises:
        UpdateRejected: "statements" or "signature".
    """
    try:
        digest = statement.digest(domain, values)
    except CallError as error:
        raise UpdateRejected("statements", str(error)) from error
    try:
        return recover_digest(digest, signature)
    except AccountError as error:
        raise UpdateRejected("signature", str(error)) from error


def statement_values(statement: Statement, plain: Any) -> dict[str, Any]:
    """Return a statement's values from JSON, in the one form that each type has.

    Raises:
        UpdateRejected: "statements": not an object of these fields.
    """
    fields = dict(statement.fields)
    if not isinstance(plain, dict) or set(plain) != set(fields):
        raise UpdateRejected("statements", f"{statement.name} has the fields {sorted(fields)}")
    values = dict(plain)
    for name, kind in fields.items():
        if kind.startswith("bytes"):
            try:
                values[name] = bytes.fromhex(values[name])
            except (TypeError, ValueError) as error:
                raise UpdateRejected("statements", f"{name} is no hexadecimal") from error
        try:
            values[name] = normalise(kind, values[name], f"{statement.name}.{name}")
        except CallError as error:
            raise UpdateRejected("statements", str(error)) from error
    return values


def open_anchor(
    anchor: Anchor, signed: Call | Statement, ledger: Ledger, domain: Domain
) -> tuple[str, dict[str, Any]]:
    """Return who signed what an anchor holds fast, and the values.

    Raises:
        AuditError: it holds nothing of the kind.
        NotChecked: the ledger does not show the transaction; that it has its event says another.
        UpdateRejected: what was signed is for another round, chain or contract.
    """
    if anchor.name != signed.name:
        raise AuditError(f"{anchor.name} is anchored where {signed.name} was asked for")
    opener = _CARRIERS.get(anchor.carrier)
    if opener is None:
        raise AuditError(f"carrier {anchor.carrier!r} is unknown")
    said = {name for name, value in anchor if value is not None}
    if said != {"carrier", "name", *_FIELDS[anchor.carrier]}:
        raise AuditError(f"an anchor by {anchor.carrier} has no {', '.join(sorted(said))}")
    return opener(anchor, signed, ledger, domain)


def decoded_transaction(ledger: Ledger, transaction: str) -> SignedTransaction:
    """Return a transaction whose event the ledger has; its word for sender and hash is not enough.

    Raises:
        NotChecked: the ledger does not show it, as nodes do that forget old transactions.
        AuditError: it shows another one.
    """
    try:
        raw = ledger.transaction(transaction).raw
    except KeyError as error:
        raise NotChecked(
            f"the ledger has an event of transaction {transaction} and does not show the "
            "transaction itself: ask a node that keeps all of them"
        ) from error
    decoded = decode_transaction(raw)
    if decoded.hash != transaction:
        raise AuditError(f"transaction {transaction} hashes to {decoded.hash}")
    return decoded


def _open_transaction(
    anchor: Anchor, signed: Call | Statement, ledger: Ledger, domain: Domain
) -> tuple[str, dict[str, Any]]:
    if not isinstance(signed, Call) or anchor.transaction is None:
        raise AuditError(f"{signed.name} is not what a transaction carries")
    transaction = decoded_transaction(ledger, anchor.transaction)
    contract = ledger.terms(signed.contract, signed.function).to
    return transaction.sender, read_call(signed, transaction, contract, domain)


def _open_signed_call(
    anchor: Anchor, signed: Call | Statement, ledger: Ledger, domain: Domain
) -> tuple[str, dict[str, Any]]:
    if not isinstance(signed, Call) or anchor.transaction is None:
        raise AuditError(f"{signed.name} is not what a signed call carries")
    try:
        transaction = decode_transaction(bytes.fromhex(anchor.transaction))
    except (LedgerError, ValueError) as error:
        raise AuditError(f"the signed call {signed.name} is none: {error}") from error
    if transaction.raw.hex() != anchor.transaction:
        raise AuditError(f"the signed call {signed.name} is not written in its one form")
    contract = ledger.terms(signed.contract, signed.function).to
    return transaction.sender, read_call(signed, transaction, contract, domain)


def _open_signature(
    anchor: Anchor,
    signed: Call | Statement,
    ledger: Ledger,  # noqa: ARG001 - every carrier takes the same
    domain: Domain,
) -> tuple[str, dict[str, Any]]:
    if not isinstance(signed, Statement) or anchor.signature is None:
        raise AuditError(f"{signed.name} is not what a signature carries")
    values = statement_values(signed, anchor.values)
    if plain_values(values) != anchor.values:
        raise AuditError(f"the values of {signed.name} are not written in their one form")
    try:
        signature = bytes.fromhex(anchor.signature)
    except ValueError as error:
        raise AuditError(f"the signature of {signed.name} is no hexadecimal") from error
    if signature.hex() != anchor.signature:
        raise AuditError(f"the signature of {signed.name} is not written in its one form")
    return read_statement(signed, domain, values, signature), values


_CARRIERS: dict[
    str, Callable[[Anchor, Call | Statement, Ledger, Domain], tuple[str, dict[str, Any]]]
] = {
    "transaction": _open_transaction,
    "signed-call": _open_signed_call,
    "signature": _open_signature,
}
_FIELDS = {
    "transaction": ("transaction",),
    "signed-call": ("transaction",),
    "signature": ("signature", "values"),
}
