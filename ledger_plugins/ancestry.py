"""Headers as evidence: whoever knows one block of a chain can check that another one follows it.

A header travels as the bytes that its block's hash is the hash of, and the hash of the block before
is among them. So a list of headers, each naming the one before, proves that its last block stands
on its first, whoever sends it. What the blocks hold is not proved.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from eth_hash.auto import keccak

from fedledger.errors import CallError

__all__ = ["FORMS", "MAX_HEADERS", "HeaderForm", "header_hash", "linked"]

MAX_HEADERS = 100_000
"""Headers that one list may have."""

_MAX_BYTES = 2_048
_DOMAIN = b"fedledger block v1"
_HASH = 32


@dataclass(frozen=True, slots=True)
class HeaderForm:
    """How a kind of chain makes its hashes.

    Attributes:
        digest: the hash of a header's bytes.
        parent: the hash of the block before, out of a header's bytes; CallError: they are none.
    """

    digest: Callable[[bytes], bytes]
    parent: Callable[[bytes], bytes]


def _embedded_parent(header: bytes) -> bytes:
    """Return the third of seven framed fields (docs/formats.md)."""
    fields, at = [], 0
    while at < len(header):
        size = int.from_bytes(header[at : at + 4], "big")
        fields.append(header[at + 4 : at + 4 + size])
        at += 4 + size
    if len(fields) != 7 or at != len(header) or fields[0] != _DOMAIN or len(fields[2]) != _HASH:
        raise CallError("a header of the embedded chain is malformed")
    return fields[2]


def _ethereum_parent(header: bytes) -> bytes:
    """Return the first field of an RLP list: 32 bytes behind their length 0xa0."""
    first = header[0] if header else 0
    at = 1 + max(0, first - 0xF7)
    size = int.from_bytes(header[1:at], "big") if first > 0xF7 else first - 0xC0
    if first < 0xC0 or at + size != len(header) or header[at : at + 1] != b"\xa0":
        raise CallError("a header of an Ethereum chain is malformed")
    return header[at + 1 : at + 1 + _HASH]


FORMS: Mapping[str, HeaderForm] = {
    "fedledger": HeaderForm(lambda header: sha256(header).digest(), _embedded_parent),
    "ethereum": HeaderForm(keccak, _ethereum_parent),
}
"""Name to form; a ledger names its own in `Ledger.header_form`."""


def header_hash(form: str, header: bytes) -> str:
    """Return the hash of the block that has this header; CallError for an unknown form."""
    return "0x" + _form(form).digest(header).hex()


def linked(form: str, headers: Sequence[bytes]) -> list[str]:
    """Return the hashes of a list of blocks, and of the one before the first, oldest first.

    Args:
        form: name of the form.
        headers: consecutive headers, oldest first.

    Raises:
        CallError: the form is unknown, a header is malformed, one does not name the one before, or
            there are too many.
    """
    kind = _form(form)
    if len(headers) > MAX_HEADERS or any(len(header) > _MAX_BYTES for header in headers):
        raise CallError(f"more than {MAX_HEADERS} headers, or one of more than {_MAX_BYTES} bytes")
    hashes: list[bytes] = []
    for number, header in enumerate(headers):
        parent = kind.parent(header)
        if not hashes:
            hashes.append(parent)
        if parent != hashes[-1]:
            raise CallError(f"header {number} does not follow the one before")
        hashes.append(kind.digest(header))
    return ["0x" + one.hex() for one in hashes]


def _form(name: str) -> HeaderForm:
    if name not in FORMS:
        raise CallError(f"unknown form of headers {name!r}: known are {', '.join(sorted(FORMS))}")
    return FORMS[name]
