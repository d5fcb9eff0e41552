"""Keys and shape of what strategies and clients tell each other, beyond Flower's own records.

A phase's message carries Flower's usual records ("arrays", "config"). What the client needs to sign
offline stands in that config record, each field under its name after "fedledger.": a record of its
own would make two, and there are mods that want exactly one. The reply carries what the client
signed in a `ConfigRecord` under `LEDGER`. The app between, and mods inside `signing_mod`, see
neither; mods outside it may copy, merge and rename records, as long as the fields come through.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flwr.app import ConfigRecord, RecordDict

from fedledger.errors import ConfigError, UpdateRejected
from fedledger.formats import parse_json

__all__ = [
    "ARRAYS",
    "CANDIDATES",
    "CONFIG",
    "LEDGER",
    "LOSS",
    "SEEN",
    "VERSION",
    "CallRequest",
    "Signatures",
    "SigningRequest",
    "StatementRequest",
    "all_of",
    "fields_of",
    "with_fields",
    "without_fields",
    "without_request",
]

LEDGER = "fedledger"
CONFIG = "config"
ARRAYS = "arrays"
CANDIDATES = "candidate-"
"""Prefix of the candidate models in a message that asks for votes, followed by three digits."""
LOSS = "loss"
VERSION = 6
SEEN = "seen"
"""Argument of a call by which its signer names a block that it knows: its hash, 32 bytes."""

_PREFIX = f"{LEDGER}."
_BLOCK_HASH = re.compile(r"0x[0-9a-f]{64}")
_MOST = 64  # calls or statements of one answer

T = TypeVar("T")

_FIELDS = frozenset(
    (
        "version",
        "protocol",
        "phase",
        "task",
        "round",
        "chain-id",
        "contract",
        "calls",
        "contracts",
        "gas",
        "max-fee-per-gas",
        "max-priority-fee-per-gas",
        "statements",
        "types",
        "clients",
        "nonces",
        "details",
        "seen",
        "header-form",
        "headers",
        "node-keys",
        "sealed",
        "by-reference",
    )
)

_MARKS = frozenset(("version", "phase", "carrier"))
_SIGNED = _MARKS | {"transactions", "values", "signatures", "openings", "node-proof", "veiled"}
_RELAYED, _NAMED = "transaction", "ledger"
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call that a client shall sign.

    Attributes:
        name: contract and function: "TrainingTask.submitUpdate".
        contract: the contract's address.
        gas: gas limit.
        max_fee_per_gas: EIP-1559 fee cap in wei.
        max_priority_fee_per_gas: EIP-1559 tip in wei.
    """

    name: str
    contract: str
    gas: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """One typed statement that a client shall sign (EIP-712).

    Attributes:
        name: the statement's name.
        type: its type as EIP-712 encodes it; a client signs the one it knows and no other.
    """

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What the strategy asks a client to sign in a phase, and all it needs to do so offline.

    Attributes:
        protocol: name of the protocol.
        phase: name of the phase.
        task: number of the training task on the ledger.
        round: the round, from 1.
        chain_id: EIP-155 chain id.
        contract: address of the TrainingTask contract: the domain of statements.
        calls: the calls to sign, in order; they take a run of nonces.
        statements: the statements to sign, in order.
        clients: addresses this message may be meant for: all registered ones until the node's
            account is known, then only that one.
        nonces: the ledger's next nonce of each of `clients`.
        details: what the phase itself says to its clients (JSON values).
        seen: hash of the block that calls with an argument `SEEN` name; "" where none has it.
        header_form: how the chain's headers are hashed; "": nobody can check that from outside.
        headers: the headers up to that block, oldest first, from one on that the client knows.
        node_keys: of each of `clients` the SHA-256 of its SuperNode's key, or b"" where there is
            none; () where answers need not be tied to nodes.
        sealed: whether a call names an opening in its content's place.
        by_reference: whether the model goes to the client's store, and its record stays empty.
    """

    protocol: str
    phase: str
    task: int
    round: int
    chain_id: int
    contract: str
    calls: Sequence[CallRequest] = ()
    statements: Sequence[StatementRequest] = ()
    clients: Sequence[str] = ()
    nonces: Sequence[int] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    seen: str = ""
    header_form: str = ""
    headers: Sequence[bytes] = ()
    node_keys: Sequence[bytes] = ()
    sealed: bool = False
    by_reference: bool = False

    def to_record(self) -> ConfigRecord:
        """Return it as a Flower record."""
        return _without_empty_lists(
            {
                "version": VERSION,
                "protocol": self.protocol,
                "phase": self.phase,
                "task": self.task,
                "round": self.round,
                "chain-id": self.chain_id,
                "contract": self.contract,
                "calls": [call.name for call in self.calls],
                "contracts": [call.contract for call in self.calls],
                "gas": [call.gas for call in self.calls],
                "max-fee-per-gas": [call.max_fee_per_gas for call in self.calls],
                "max-priority-fee-per-gas": [call.max_priority_fee_per_gas for call in self.calls],
                "statements": [statement.name for statement in self.statements],
                "types": [statement.type for statement in self.statements],
                "clients": list(self.clients),
                "nonces": list(self.nonces),
                "details": json.dumps(dict(self.details), sort_keys=True),
                "seen": self.seen,
                "header-form": self.header_form,
                "headers": list(self.headers),
                "node-keys": list(self.node_keys),
                "sealed": int(self.sealed),
                "by-reference": int(self.by_reference),
            }
        )

    def added_to(self, content: RecordDict) -> RecordDict:
        """Return a message's content with this request in its config; the content itself stays."""
        fields = {_PREFIX + key: value for key, value in self.to_record().items()}
        return with_fields(content, fields)

    @classmethod
    def of(cls, content: RecordDict) -> "SigningRequest | None":
        """Return the request in a message's content, or None where there is none.

        Raises:
            ConfigError: as `from_record`.
        """
        fields = fields_of(content, _PREFIX)
        if not fields:  # until version 3 it was a record of its own
            record = content.config_records.get(LEDGER)
            return None if record is None else cls.from_record(record)
        return cls.from_record(fields)

    @classmethod
    def from_record(cls, record: ConfigRecord) -> "SigningRequest":
        """Read it from a message.

        Raises:
            ConfigError: another version of the protocol, or a field is missing or of another type.
        """
        if record.get("version") != VERSION:
            raise ConfigError(
                f"the server speaks version {record.get('version')!r} of the signing protocol, "
                f"this client version {VERSION}: install the same fedledger on both"
            )
        if unknown := set(record) - _FIELDS:
            raise ConfigError(f"signing request: unknown field {min(unknown)!r}")
        fees = ("gas", "max-fee-per-gas", "max-priority-fee-per-gas")
        calls: list[list[Any]] = [all_of(record, name, str) for name in ("calls", "contracts")]
        calls += [all_of(record, name, int) for name in fees]
        types = [all_of(record, "statements", str), all_of(record, "types", str)]
        clients, nonces = all_of(record, "clients", str), all_of(record, "nonces", int)
        node_keys = all_of(record, "node-keys", bytes)
        if len(node_keys) not in (0, len(clients)):
            raise ConfigError("signing request: one node's key is needed for each client")
        if len(clients) != len(nonces):
            raise ConfigError("signing request: one nonce is needed for each client")
        if len(set(map(len, calls))) > 1 or len(set(map(len, types))) > 1:
            raise ConfigError("signing request: lists of unequal length")
        return cls(
            protocol=_one(record, "protocol", str),
            phase=_one(record, "phase", str),
            task=_one(record, "task", int),
            round=_one(record, "round", int),
            chain_id=_one(record, "chain-id", int),
            contract=_one(record, "contract", str),
            calls=tuple(CallRequest(*call) for call in zip(*calls, strict=True)),
            statements=tuple(StatementRequest(*one) for one in zip(*types, strict=True)),
            clients=tuple(clients),
            nonces=tuple(nonces),
            details=_details(record),
            seen=_hash(record, "seen"),
            header_form=_one(record, "header-form", str),
            headers=tuple(all_of(record, "headers", bytes)),
            node_keys=tuple(node_keys),
            sealed=_one(record, "sealed", int) == 1,
            by_reference=_one(record, "by-reference", int) == 1,
        )


@dataclass(frozen=True, slots=True)
class Signatures:
    """What a client signed in a phase, in the order in which it was asked.

    Attributes:
        phase: name of the phase.
        transactions: a signed EIP-1559 envelope for each call; where they are named, its hash.
        statements: for each statement its values (JSON, see `plain`) and the 65 bytes of signature.
        openings: what the calls' CIDs open to, where submissions are sealed.
        named: whether the client has sent its calls itself: they are on the ledger.
        node_proof: the signature of the SuperNode's key over all of it, or b"".
        veiled: CID of what the store has of a sealed content until it is opened, and the key to it;
            () where the content is in the reply, or in the store itself.
    """

    phase: str
    transactions: Sequence[bytes] = ()
    statements: Sequence[tuple[str, bytes]] = ()
    openings: Sequence[bytes] = ()
    named: bool = False
    node_proof: bytes = b""
    veiled: Sequence[bytes] = ()

    def to_record(self) -> ConfigRecord:
        """Return it as a Flower record."""
        proof = {"node-proof": self.node_proof} if self.node_proof else {}
        return _without_empty_lists(
            {
                **proof,
                "version": VERSION,
                "phase": self.phase,
                "carrier": _NAMED if self.named else _RELAYED,
                "transactions": list(self.transactions),
                "values": [values for values, _ in self.statements],
                "signatures": [signature for _, signature in self.statements],
                "openings": list(self.openings),
                "veiled": list(self.veiled),
            }
        )

    @classmethod
    def taken_from(cls, content: RecordDict) -> "Signatures":
        """Take what is signed out of a reply's content, under whatever name it came.

        Raises:
            UpdateRejected: as `from_record`.
        """
        records = content.config_records
        name = next((name for name in records if set(records[name]) >= _MARKS), LEDGER)
        found = cls.from_record(records.get(name))
        rest = {key: value for key, value in records[name].items() if key not in _SIGNED}
        if rest and name != LEDGER:  # a mod merged it with the app's own
            content[name] = ConfigRecord(rest)
        else:
            del content[name]
        return found

    @classmethod
    def from_record(cls, record: ConfigRecord | None) -> "Signatures":
        """Read it from a reply.

        Raises:
            UpdateRejected: "unsigned": there is none, or it is of another form or version.
        """
        if record is None:
            raise UpdateRejected(
                "unsigned", "nothing is signed; is signing_mod the first of the ClientApp's mods?"
            )
        try:
            transactions = all_of(record, "transactions", bytes)
            values = all_of(record, "values", str)
            signatures = all_of(record, "signatures", bytes)
            openings = all_of(record, "openings", bytes)
            veiled = tuple(all_of(record, "veiled", bytes))
            phase = _one(record, "phase", str)
            proof = _one(record, "node-proof", bytes) if "node-proof" in record else b""
        except ConfigError as error:
            raise UpdateRejected("unsigned", str(error)) from error
        carrier = record.get("carrier")
        if record.get("version") != VERSION or carrier not in (_RELAYED, _NAMED):
            raise UpdateRejected("unsigned", "the signature record is of another form or version")
        if len(values) != len(signatures) or len(transactions) > _MOST or len(values) > _MOST:
            raise UpdateRejected("unsigned", "one signature is needed for each statement")
        if len(openings) > _MOST:
            raise UpdateRejected("unsigned", f"{len(openings)} openings")
        if len(veiled) not in {0, 2}:
            raise UpdateRejected("unsigned", "what is veiled is a CID and a key")
        named = carrier == _NAMED
        if named and any(len(one) != _HASH_BYTES for one in transactions):
            raise UpdateRejected("unsigned", "a transaction on the ledger is named by 32 bytes")
        statements = tuple(zip(values, signatures, strict=True))
        return cls(phase, tuple(transactions), statements, tuple(openings), named, proof, veiled)


def without_request(content: RecordDict) -> RecordDict:
    """Return a message's content as the app's own: without what a `SigningRequest` added."""
    return without_fields(content, _PREFIX)


def with_fields(content: RecordDict, fields: Mapping[str, Any]) -> RecordDict:
    """Return a content with fields added to its config, or in a record of their own."""
    records = content.config_records
    name = CONFIG if CONFIG in records else next(iter(records), LEDGER)
    config = ConfigRecord({**records.get(name, ConfigRecord()), **fields})
    return RecordDict({**content, name: config})


def fields_of(content: RecordDict, prefix: str) -> ConfigRecord:
    """Return the fields that were added to a content's config."""
    return ConfigRecord(
        {
            key.removeprefix(prefix): value
            for record in content.config_records.values()
            for key, value in record.items()
            if key.startswith(prefix)
        }
    )


def without_fields(content: RecordDict, prefix: str) -> RecordDict:
    """Return a content without what was added to its config."""
    plain = RecordDict({**content})
    for name, record in content.config_records.items():
        kept = {key: value for key, value in record.items() if not key.startswith(prefix)}
        plain[name] = ConfigRecord(kept)
        if not kept and name == LEDGER:  # it was made for them
            del plain[name]
    return plain


def _without_empty_lists(fields: dict[str, Any]) -> ConfigRecord:
    """Return a record of these fields; Flower's mod that counts bytes fails at an empty list."""
    return ConfigRecord({key: value for key, value in fields.items() if value != []})


def _one(record: ConfigRecord, key: str, kind: type[T]) -> T:
    value: Any = record.get(key)
    if not _is(value, kind):
        raise ConfigError(f"signing record, field {key!r}: {value!r} is no {_WORDS[kind]}")
    return value  # type: ignore[no-any-return]


def all_of(record: ConfigRecord, key: str, kind: type[T]) -> list[T]:
    """Return a field that is a list; ConfigError where it holds anything else than `kind`."""
    values: Any = record.get(key, [])
    if not isinstance(values, list):
        raise ConfigError(f"signing record, field {key!r}: a list is needed")
    for value in values:
        if not _is(value, kind):
            raise ConfigError(f"signing record, field {key!r}: {value!r} is no {_WORDS[kind]}")
    return values


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind)


_WORDS: dict[type, str] = {int: "whole number", str: "text", bytes: "bytes"}


def _hash(record: ConfigRecord, key: str) -> str:
    found = _one(record, key, str)
    if found and not _BLOCK_HASH.fullmatch(found):
        raise ConfigError(f"signing record, field {key!r}: no hash of a block")
    return found


def _details(record: ConfigRecord) -> dict[str, Any]:
    try:
        found = parse_json(_one(record, "details", str))
    except ValueError as error:
        raise ConfigError(f"signing record, field 'details': no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError("signing record, field 'details': an object is needed")
    return found
