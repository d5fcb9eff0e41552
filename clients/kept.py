"""What a client has answered, for when it is asked again: one file a phase, beside its journal.

Training twice need not give the same twice. A client whose update is on the ledger, or sealed, must
not answer with another one because a server that was killed, or its own restart, asks once more.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fedledger.effects import OpenFile
from fedledger.errors import AccountError
from fedledger.formats import canonical_json, parse_json
from fedledger.records import SigningRequest

from ..ledger_plugins.beside import FolderBeside

__all__ = ["Kept", "KeptAnswers"]

_KINDS: Mapping[str, type[ConfigRecord] | type[MetricRecord]] = {
    "config": ConfigRecord,
    "metrics": MetricRecord,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """An answer.

    Attributes:
        content: the reply's records, without what is signed.
        values: name of each call and statement to its values, with the opening's CID where sealed.
        opening: what that opens to; b"" where nothing is sealed.
        transactions: the calls as they were signed, where the client sends them itself.
        statements: the statements as they were signed, likewise.
        veiled: CID of what the store has of a sealed content, and the key to it, or ().
    """

    content: RecordDict
    values: Mapping[str, Mapping[str, Any]]
    opening: bytes = b""
    transactions: Sequence[bytes] = ()
    statements: Sequence[tuple[str, bytes]] = ()
    veiled: Sequence[bytes] = ()


class KeptAnswers(FolderBeside):
    """The newest answer of each phase."""

    suffix = ".answers"

    def find(self, request: SigningRequest, account: str) -> Kept | None:
        """Return the answer to a request, or None; a damaged one is logged, and is none.

        Raises:
            AccountError: it cannot be read.
        """
        path = self._path(request)
        try:
            data = self._disk.read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AccountError(f"{path} cannot be read: {error.strerror}") from error
        head, _, blob = data.partition(b"\n")
        try:
            said = parse_json(head)
            if said["key"] != _key(request, account):
                return None
            if said["blob"] != sha256(blob).hexdigest():
                raise ValueError("its arrays are others")  # noqa: TRY301 - the same as what is torn
            return _read(said, blob)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            logger.warning("%s is damaged, so the app answers anew: %r", path, error)
            return None

    def keep(self, request: SigningRequest, account: str, kept: Kept) -> None:
        """Remember an answer, in place of the one before.

        Raises:
            AccountError: it cannot be written.
        """
        said, blob = _written(kept)
        said |= {"key": _key(request, account), "blob": sha256(blob).hexdigest()}
        try:
            self._write(self._path(request), canonical_json(said) + b"\n" + blob)
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be written: {error.strerror}") from error

    def forget(self, request: SigningRequest) -> None:
        """Forget the answer of a phase.

        Raises:
            AccountError: it cannot be removed.
        """
        self._remove(self._path(request))

    def locked(self) -> OpenFile:
        """Let one process of the account at a time answer.

        Raises:
            AccountError: there are no locks here.
        """
        try:
            self._disk.make_folder(self.folder, private=True)
            return self._disk.lock(self.folder / ".lock", wait=True, private=True)
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be locked: {error.strerror}") from error

    def _path(self, request: SigningRequest) -> Path:
        return self.folder / sha256(request.phase.encode()).hexdigest()[:32]


def _key(request: SigningRequest, account: str) -> list[Any]:
    where = [request.chain_id, request.contract, request.task, request.round, request.phase]
    return [*where, account, json.loads(json.dumps(dict(request.details))), request.sealed]


def _written(kept: Kept) -> tuple[dict[str, Any], bytes]:
    blob = bytearray()
    records: list[Any] = []
    for name, arrays in kept.content.array_records.items():
        listed = []
        for key, array in arrays.items():
            place = [len(blob), len(array.data)]
            listed.append([key, array.dtype, list(array.shape), array.stype, place])
            blob += array.data
        records.append([name, "arrays", listed])
    for kind, found in (
        ("config", kept.content.config_records),
        ("metrics", kept.content.metric_records),
    ):
        for name, record in found.items():
            records.append([name, kind, [[key, _plain(value)] for key, value in record.items()]])
    said = {
        "records": records,
        "values": {name: _plain_all(values) for name, values in kept.values.items()},
        "opening": kept.opening.hex(),
        "transactions": [raw.hex() for raw in kept.transactions],
        "statements": [[text, signature.hex()] for text, signature in kept.statements],
        "veiled": [one.hex() for one in kept.veiled],
    }
    return said, bytes(blob)


def _read(said: Mapping[str, Any], blob: bytes) -> Kept:
    content = RecordDict()
    for name, kind, fields in said["records"]:
        if kind == "arrays":
            content[name] = ArrayRecord(
                {
                    key: Array(
                        dtype=dtype,
                        shape=tuple(shape),
                        stype=stype,
                        data=blob[start : start + size],
                    )
                    for key, dtype, shape, stype, (start, size) in fields
                }
            )
        else:
            content[name] = _KINDS[kind]({key: _valued(value) for key, value in fields})
    return Kept(
        content,
        {
            name: {field: _valued(value) for field, value in values.items()}
            for name, values in said["values"].items()
        },
        bytes.fromhex(said["opening"]),
        tuple(bytes.fromhex(raw) for raw in said["transactions"]),
        tuple((text, bytes.fromhex(signature)) for text, signature in said["statements"]),
        tuple(bytes.fromhex(one) for one in said.get("veiled", ())),
    )


def _plain_all(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: bytes, and floats to the bit, in hexadecimal."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _valued(value: Any) -> Any:
    if isinstance(value, list):
        return [_valued(one) for one in value]
    if isinstance(value, dict):
        if value.keys() == {"bytes"}:
            return bytes.fromhex(value["bytes"])
        return float.fromhex(value["float"])
    return value
