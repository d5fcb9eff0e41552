"""Bytes of arrays, `.npy` inside Flower's records and safetensors in stores, and of documents.

What is written here docs/formats.md says in words, so that other languages write the same bytes.
Nothing is ever unpickled, and nothing is allocated by a number that the bytes only claim.

Safetensors are read by the library. They are written here, because these bytes are hashed: an
auditor with another version of the library must get the same ones. `.npy` headers are read here,
because NumPy gives them to Python's parser, which a hostile header can make warn, recurse or fail
in many ways.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from fedledger.errors import ModelError

__all__ = [
    "DTYPES",
    "MAX_ARRAYS",
    "canonical_json",
    "decode_npy",
    "decode_safetensors",
    "encode_safetensors",
    "first_wrong",
    "is_shape",
    "parse_json",
    "safetensors_keys",
    "shown",
]

_CODES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
}
_NAMES = {code: name for name, code in _CODES.items()}

DTYPES = frozenset(_CODES)
"""Names of the dtypes a model's arrays may have."""

MAX_ARRAYS = 65_536
"""Arrays of a model at most: what a reader builds for each must stay small beside their values."""

_MAX_DIMENSIONS = 32
_MAX_VALUES = 2**48
_METADATA = "__metadata__"
_MAX_HEADER = 16 * 1024 * 1024
_NUMBERS = 1024  # bytes of a header that an entry may take besides its name
_NPY_MAX_HEADER = 4096
_NPY_PREFIX = re.compile(rb"\x93NUMPY(?:\x01\x00(..)|\x02\x00(....))", re.DOTALL)
_NPY_HEADER = re.compile(
    rb"\{ ?'descr': ?'([<>=|]?[a-z][0-9]{1,2})', ?'fortran_order': ?(True|False), ?"
    rb"'shape': ?\(([0-9, ]*)\),? ?\} *\n?"
)

_parse: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize


def is_shape(value: object) -> bool:
    """Tell whether `value` is a tuple of whole numbers that can be an array's shape.

    NumPy multiplies the lengths that are not 0, also of an array without values.
    """
    return (
        isinstance(value, tuple)
        and len(value) <= _MAX_DIMENSIONS
        and all(type(length) is int and 0 <= length < _MAX_VALUES for length in value)
        and prod(length or 1 for length in value) < _MAX_VALUES
    )


def shown(value: object) -> str:
    """Return what somebody sent, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def first_wrong(error: ValidationError) -> tuple[str, ErrorDetails]:
    """Return the first thing that is wrong with a document: its field, "a.0.b", and details.

    Of a hostile one everything is wrong, a hundred thousand times; URLs for each take a minute.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), first


def decode_npy(key: str, data: bytes, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return the array that `.npy` bytes hold, if it is the one expected.

    Args:
        key: the array's name, for messages.
        data: the bytes.
        shape: the shape it has to have.
        dtype: the NumPy name of the dtype it has to have, one of `DTYPES`, in any byte order.

    Returns:
        A read-only view of `data`, or a copy where values lie column by column or in the other
        byte order.

    Raises:
        ModelError: not `.npy`, of another shape or dtype, or of more or fewer bytes.
    """
    expected = np.dtype(dtype)
    prefix = _NPY_PREFIX.match(data)
    if prefix is None:
        raise ModelError(f"{key!r}: the data is not in .npy format")
    length = int.from_bytes(prefix[1] or prefix[2], "little")
    start = prefix.end() + length
    wanted = prod(shape) * expected.itemsize
    if length > _NPY_MAX_HEADER or len(data) != start + wanted:
        raise ModelError(f"{key!r}: {len(data)} bytes do not hold {wanted} bytes of values")
    header = _NPY_HEADER.fullmatch(data, prefix.end(), start)
    if header is None:
        raise ModelError(f"{key!r}: the .npy header cannot be read")
    descr, lengths = header[1].decode(), header[3].decode()
    if descr.lstrip("<>=|") != expected.str.lstrip("<>=|"):
        raise ModelError(f"{key!r}: the data's dtype is {descr!r} instead of {expected.str!r}")
    if [part.strip() for part in lengths.split(",") if part.strip()] != [str(n) for n in shape]:
        raise ModelError(f"{key!r}: the data's shape is ({shown(lengths)}) instead of {shape}")
    values = np.frombuffer(data, np.dtype(descr), offset=start)
    _check_bools(key, values)
    values = values.reshape(shape, order="F" if header[2] == b"True" else "C")
    return np.asarray(values, dtype=expected, order="C")


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted members, no white space, ASCII.

    Args:
        value: objects with names that are strings, arrays, strings, numbers, bools and None.

    Raises:
        ValueError: a float that is not finite.
        TypeError: a value that JSON cannot hold.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode()


def parse_json(text: str | bytes) -> Any:
    """Return what JSON from somebody else says.

    Python's own parser recurses as deep as the process allows, and a package that raises that limit
    (py_ecc does) turns a hundred thousand brackets into the process's end.

    Raises:
        ValueError: no JSON, nested deeper than some two hundred levels, or a number of more than
            4300 digits.
    """
    return from_json(text.encode() if isinstance(text, str) else text, allow_inf_nan=False)


def encode_safetensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays of `DTYPES` as safetensors, lying in the mapping's order.

    Raises:
        ModelError: a key that the format reserves, or that is not valid Unicode.
    """
    header: dict[str, Any] = {}
    parts: list[bytes | memoryview] = []
    at = 0
    for key, array in arrays.items():
        if key == _METADATA:
            raise ModelError(f"{key!r} is a reserved name")
        end = at + array.nbytes
        code = _CODES[array.dtype.name]
        header[key] = {"dtype": code, "shape": list(array.shape), "data_offsets": [at, end]}
        values = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        parts.append(values.reshape(-1).view(np.uint8).data)
        at = end
    try:
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ModelError("a key is not valid Unicode") from error
    text += b" " * (-len(text) % 8)  # so that values lie aligned
    if len(text) > _MAX_HEADER:
        raise ModelError(f"a header of {len(text)} bytes is too large")
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def decode_safetensors(data: bytes, keys: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays that safetensors bytes hold, sorted by name.

    Their parser has them in another order in each process, and whoever makes a layout of a file
    must get the same one everywhere.

    Args:
        data: the bytes.
        keys: the names that are expected; a header with room for many others is not parsed.

    Raises:
        ModelError: not safetensors, too many arrays, or an array of a dtype outside `DTYPES`.
    """
    _check_header(data, keys)
    try:
        entries = _parse(data)
    except safetensors.SafetensorError as error:
        raise ModelError(f"not safetensors: {shown(error)}") from error
    arrays: dict[str, NDArray[Any]] = {}
    for key, entry in sorted(entries, key=itemgetter(0)):
        name = _NAMES.get(entry["dtype"])
        if name is None:
            known = sorted(_NAMES)
            raise ModelError(f"{shown(key)}: dtype {shown(entry['dtype'])} is not one of {known}")
        shape = tuple(entry["shape"])
        if not is_shape(shape):
            raise ModelError(f"{shown(key)}: {shown(shape)} is not a shape")
        values = np.frombuffer(entry["data"], np.dtype(name).newbyteorder("<"))
        _check_bools(key, values)
        arrays[key] = np.asarray(values.reshape(shape), dtype=np.dtype(name))
    return arrays


def safetensors_keys(data: bytes) -> list[str]:
    """Return the names of the arrays in safetensors bytes that were decoded, in the header's order.

    Raises:
        ModelError: the header is no JSON.
    """
    text = data[8 : 8 + int.from_bytes(data[:8], "little")]
    try:
        header = parse_json(text)
    except ValueError as error:
        raise ModelError(f"not safetensors: its header is no JSON: {shown(error)}") from error
    return [key for key in header if key != _METADATA]


def _check_header(data: bytes, keys: Collection[str] | None) -> None:
    """Look at the size of a header before the parser makes objects of all that is in it."""
    size = int.from_bytes(data[:8], "little")
    most = _MAX_HEADER
    if keys is not None:  # JSON takes up to twelve bytes for a character
        most = min(most, _NUMBERS + sum(_NUMBERS + 12 * len(key) for key in keys))
    if size > most:
        raise ModelError(f"not safetensors of this model: a header of {size} bytes, above {most}")
    # Each array begins with a brace, besides the whole and the metadata; a name may hold some, too.
    if (found := data.count(b"{", 8, 8 + size) - 2) > MAX_ARRAYS:
        raise ModelError(f"not safetensors: {found} arrays, above {MAX_ARRAYS}")


def _check_bools(key: str, values: NDArray[Any]) -> None:
    if values.dtype == np.bool_ and (values.view(np.uint8) > 1).any():
        raise ModelError(f"{shown(key)}: a bool that is neither 0 nor 1")
