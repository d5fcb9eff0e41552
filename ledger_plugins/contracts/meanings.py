"""What values on a ledger mean, and their forms in Python: a CID is text, a share a fraction.

A record's fields and the parameters of a façade's methods are typed with the names below, with
plain types (int, bool, str, bytes: as the ABI's decoding gives them), and with tuples or sequences
of either. A field goes by its own name in the ABI, `to_round` as `toRound`, or by another one:
`Annotated[Address, Named("from")]`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from fedledger.errors import CallError, ConfigError, InvalidCid

from ..storage.cid import cid_from_bytes, cid_to_bytes
from .interface import Parameter

__all__ = [
    "MILLION",
    "Address",
    "BlockHash",
    "Cid",
    "Field",
    "Hash32",
    "Meaning",
    "Named",
    "Ppm",
    "Seconds",
    "abi_name",
    "cid_text",
    "fields_of",
    "fraction_to_ppm",
    "meaning_of",
]

MILLION = 1_000_000

_HASH = re.compile(r"0x[0-9a-f]{64}")


def cid_text(raw: bytes) -> str:
    """Return a CID from the ledger as text.

    A contract checks only a CID's length and first byte. Bytes that are no CID of this library
    become "f" and hexadecimal digits (multibase base16): no store finds them, and one hostile
    client cannot make everybody else's submissions unreadable.
    """
    try:
        return cid_from_bytes(raw)
    except InvalidCid:
        return "f" + raw.hex()


def fraction_to_ppm(fraction: float) -> int:
    """Return a fraction from 0 to 1 in parts per million, rounded to the nearest.

    Raises:
        CallError: no number from 0 to 1.
    """
    try:
        value = float(fraction)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(fraction, bool | str) or not 0 <= value <= 1:
        raise CallError(f"{fraction!r}: a fraction from 0 to 1 wanted")
    return round(value * MILLION)


def _ppm_to_fraction(ppm: int) -> float:
    return ppm / MILLION


def _hash_text(raw: bytes) -> str:
    return "0x" + raw.hex()


def _hash_bytes(text: str) -> bytes:
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise CallError(f"{text!r:.80}: a block's hash wanted, 0x and 64 hexadecimal digits")
    return bytes.fromhex(text[2:])


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a value means: the types that it has in an ABI, and its form in Python.

    Attributes:
        kinds: regular expression of the ABI types.
        read: makes the Python form of what the ABI's decoding gives.
        write: makes of it what the ABI's encoding takes; CallError or InvalidCid when it does not
            fit.
    """

    kinds: str
    read: Callable[[Any], Any] = _same
    write: Callable[[Any], Any] = _same


@dataclass(frozen=True, slots=True)
class Named:
    """The ABI's name of a field or parameter, where Python calls it something else."""

    name: str


Address = Annotated[str, Meaning("address")]
"""An address, checksummed."""

BlockHash = Annotated[str, Meaning("bytes32", _hash_text, _hash_bytes)]
"""A block's hash as text, "0x…"; on the ledger it is 32 bytes."""

Cid = Annotated[str, Meaning("bytes", cid_text, cid_to_bytes)]
"""A CID as text; on the ledger it is binary."""

Hash32 = Annotated[bytes, Meaning("bytes32")]
"""A digest of 32 bytes."""

Ppm = Annotated[float, Meaning(r"uint\d+", _ppm_to_fraction, fraction_to_ppm)]
"""A fraction from 0 to 1; on the ledger it is in parts per million."""

Seconds = Annotated[int, Meaning(r"uint\d+")]
"""A duration, or a time since 1970, in whole seconds."""

_PLAIN: Mapping[Any, Meaning] = {
    bool: Meaning("bool"),
    bytes: Meaning(r"bytes\d*"),
    int: Meaning(r"u?int\d+"),
    str: Meaning("string|address"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A record's field or a method's parameter that holds a value of an ABI.

    Attributes:
        name: its name.
        key: the value's name in the ABI.
        meaning: how the value is read and written.
    """

    name: str
    key: str
    meaning: Meaning


def abi_name(name: str) -> str:
    """Return a Python name as the ABIs spell it: `to_round` is `toRound`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def fields_of(
    hints: Mapping[str, Any], parameters: Sequence[Parameter], who: str, where: str
) -> tuple[Field, ...]:
    """Return the values of an ABI that names and types ask for.

    Args:
        hints: name to type, as `typing.get_type_hints` gives it with extras.
        parameters: what the ABI has.
        who: whose names they are, for error messages ("Submission").
        where: what `parameters` belong to ("TrainingTask.UpdateSubmitted").

    Raises:
        ConfigError: the ABI has no value of a name, or has it as another type.
    """
    kinds = {one.name: one.kind for one in parameters}
    found = []
    for name, hint in hints.items():
        named = [one.name for one in get_args(hint)[1:] if isinstance(one, Named)]
        key = named[0] if named else abi_name(name)
        if key not in kinds:
            raise ConfigError(f"{who}.{name}: {where} has no {key!r} but {', '.join(kinds)}")
        found.append(Field(name, key, meaning_of(hint, kinds[key], f"{who}.{name}: {where}.{key}")))
    return tuple(found)


def meaning_of(hint: Any, kind: str, where: str) -> Meaning:
    """Return what a value of ABI type `kind` means that is declared as `hint`.

    Raises:
        ConfigError: no such value can be had from the ABI; `where` says which.
    """
    meaning = _meaning(hint)
    if meaning is None or not re.fullmatch(meaning.kinds, kind):
        raise ConfigError(f"{where} is {kind}, which {_spelt(hint)} cannot hold")
    return meaning


def _spelt(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _meaning(hint: Any) -> Meaning | None:
    """Return what a type means; None: it is none that a contract's values have."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        said = [one for one in arguments[1:] if isinstance(one, Meaning)]
        return said[0] if said else _meaning(arguments[0])
    if origin is Sequence or (origin is tuple and arguments[1:] == (...,)):
        item = _meaning(arguments[0])
        return item and _array(item)
    return _PLAIN.get(hint)


def _array(item: Meaning) -> Meaning:
    def read(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(item.read(value) for value in values)

    def write(values: Any) -> Any:
        """Leave what is no list of values to the ABI's encoding, which refuses it."""
        if isinstance(values, str | bytes) or not isinstance(values, Sequence):
            return values
        return tuple(item.write(value) for value in values)

    return Meaning(rf"({item.kinds})\[\d*\]", read, write)
