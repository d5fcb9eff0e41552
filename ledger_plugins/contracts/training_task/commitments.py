"""Named commitments of a publication: a mapping here, ascending pairs of 32 bytes on the ledger.

A new kind of commitment is a new name: the contract, its ABI and this module stay as they are.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from fedledger.errors import CallError

from ..meanings import Meaning

__all__ = ["NO_COMMITMENTS", "Commitments", "commitment_pairs", "read_commitments"]

NO_COMMITMENTS: Mapping[str, bytes] = MappingProxyType({})
"""What most publications have."""

_SIZE = 32


def commitment_pairs(commitments: Mapping[str, bytes]) -> list[tuple[bytes, bytes]]:
    """Return commitments as `publishAggregate` takes them.

    Args:
        commitments: values of 32 bytes by name; a name is 1 to 32 letters of printable ASCII.

    Raises:
        CallError: a name or value that does not fit.
    """
    for name, value in commitments.items():
        if not isinstance(name, str) or not _is_name(name):
            raise CallError(f"commitment {name!r}: 1 to {_SIZE} letters of printable ASCII wanted")
        if not isinstance(value, bytes) or len(value) != _SIZE:
            raise CallError(f"commitment {name!r}: {_SIZE} bytes wanted")
    return [(name.encode().ljust(_SIZE, b"\0"), commitments[name]) for name in sorted(commitments)]


def read_commitments(pairs: Sequence[Sequence[bytes]]) -> Mapping[str, bytes]:
    """Return the commitments that an AggregatePublished event says, by name; it cannot be changed.

    The contract checks only that names ascend. One that is no text is given as "0x" and 64
    hexadecimal digits, which is longer than any name: an event that cannot be read would stop every
    reader.
    """
    return MappingProxyType({_text(name): value for name, value in pairs})


Commitments = Annotated[
    Mapping[str, bytes], Meaning(r"bytes32\[2\]\[\]", read_commitments, commitment_pairs)
]
"""Values of 32 bytes by name: what records and calls have."""


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= _SIZE and name.isascii() and name.isprintable()


def _text(raw: bytes) -> str:
    name = raw.rstrip(b"\0").decode("latin-1")
    return name if _is_name(name) else "0x" + raw.hex()
