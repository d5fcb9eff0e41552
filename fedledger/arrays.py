"""Models as named arrays: their layout, their one vector, and their bytes.

A model is a mapping of names to NumPy arrays. Its `Layout` fixes names, shapes, dtypes and order,
so that an update is one flat float32 vector and arrays from outside can be checked against it.
Bytes are safetensors, read by a parser that trusts nothing; nothing here is ever unpickled.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from fedledger.errors import ModelError
from fedledger.floats import check_floats
from fedledger.formats import (
    DTYPES,
    MAX_ARRAYS,
    decode_npy,
    decode_safetensors,
    encode_safetensors,
    is_shape,
    safetensors_keys,
    shown,
)

__all__ = [
    "DEFAULT_MAX_BYTES",
    "DTYPES",
    "Arrays",
    "Layout",
    "Vector",
    "from_record",
    "from_safetensors",
    "not_finite",
    "read_record",
    "record_of",
    "to_record",
    "to_safetensors",
]

Arrays = Mapping[str, NDArray[Any]]
Vector = NDArray[np.float32]

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
"""Size cap of a model, as bytes or as a record."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names, shapes and dtypes of a model's arrays, in the order of its flat vector.

    Attributes:
        keys: the names.
        shapes: a shape for each name.
        dtypes: a NumPy dtype name for each name, one of `DTYPES`.

    Raises:
        ModelError: no arrays, lists of unequal length, a name twice, a shape or dtype that no
            model has.
    """

    keys: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise ModelError("a model needs at least one array")
        if len(self.keys) > MAX_ARRAYS:
            raise ModelError(f"a model of {len(self.keys)} arrays, above {MAX_ARRAYS}")
        if len(set(self.keys)) != len(self.keys):
            raise ModelError("a model's keys must differ")
        if not len(self.keys) == len(self.shapes) == len(self.dtypes):
            raise ModelError("a layout needs one shape and one dtype for each key")
        for key, shape, dtype in self._entries():
            if not isinstance(key, str):
                raise ModelError(f"key {key!r} is not a string")
            if dtype not in DTYPES:
                raise ModelError(
                    f"{shown(key)}: dtype {shown(dtype)} is not one of {sorted(DTYPES)}"
                )
            if not is_shape(shape):
                raise ModelError(f"{shown(key)}: {shown(shape)} is not a shape")

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Layout":
        """Return the layout of an initial model, in the mapping's order.

        Raises:
            ModelError: no arrays, or one of a dtype outside `DTYPES`.
        """
        for key, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ModelError(f"{key!r}: {type(array).__name__} is not a NumPy array")
        return cls(
            keys=tuple(arrays),
            shapes=tuple(tuple(array.shape) for array in arrays.values()),
            dtypes=tuple(_dtype_name(array) for array in arrays.values()),
        )

    @property
    def size(self) -> int:
        """Number of values d: the length of the flat vector."""
        return sum(prod(shape) for shape in self.shapes)

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays' values take."""
        return sum(
            prod(shape) * np.dtype(dtype).itemsize
            for shape, dtype in zip(self.shapes, self.dtypes, strict=True)
        )

    def as_float32(self) -> "Layout":
        """Return the layout of this model's updates: the same keys and shapes, all float32."""
        return Layout(self.keys, self.shapes, ("float32",) * len(self.keys))

    def check(self, arrays: Arrays) -> None:
        """Make sure that `arrays` has exactly this layout's keys, shapes and dtypes, in any order.

        Raises:
            ModelError: names the first key that is missing, unexpected or different.
        """
        self._check_keys(arrays)
        for key, shape, dtype in self._entries():
            array = arrays[key]
            if not isinstance(array, np.ndarray):
                raise ModelError(f"{key!r}: {type(array).__name__} is not a NumPy array")
            if _dtype_name(array) != dtype:
                raise ModelError(f"{key!r}: dtype {array.dtype.str!r} instead of {dtype!r}")
            if array.shape != shape:
                raise ModelError(f"{key!r}: shape {array.shape} instead of {shape}")

    def flatten(self, arrays: Arrays) -> Vector:
        """Return the values of `arrays` as one float32 vector of length d, row by row.

        Float64 values and integers of more than 24 bits are rounded to float32; what lies beyond
        its range becomes infinite.

        Raises:
            ModelError: not of this layout.
        """
        self.check(arrays)
        vector = np.empty(self.size, dtype=np.float32)
        with np.errstate(over="ignore"):
            for key, part, _ in self._parts(vector):
                part[...] = arrays[key]
        return vector

    def unflatten(self, vector: Vector) -> dict[str, NDArray[np.float32]]:
        """Return a float32 vector of length d as named float32 arrays (views of it).

        Raises:
            ModelError: of another dtype or length.
        """
        self._check_vector(vector)
        return {key: part for key, part, _ in self._parts(vector)}

    def add(self, arrays: Arrays, update: Vector) -> dict[str, NDArray[Any]]:
        """Return the model `arrays` + `update`, every array in its own dtype.

        Floats are added in float32, or in float64 where that is their dtype; a value that is not
        finite is replaced by the update, unless that is 0. Integers move by the rounded update and
        stop at the ends of their range. A bool is true from 0.5 on.

        Args:
            arrays: a model of this layout.
            update: float32 vector of length d.

        Raises:
            ModelError: not of this layout, or the update has a value that is not finite.
            ConfigError: this thread does not compute as IEEE 754 says.
        """
        check_floats()
        self.check(arrays)
        self._check_vector(update)
        if not np.isfinite(update).all():
            raise ModelError("the update has values that are not finite")
        return {key: _moved(arrays[key], part) for key, part, _ in self._parts(update)}

    def difference(self, new: Arrays, old: Arrays) -> Vector:
        """Return `new` - `old` as one float32 vector of length d.

        Each difference is taken in the arrays' own precision (float32 at least; exactly, for
        integers) and then rounded to float32. A new value that is not finite gives one that is not.
        Where the old value is not finite there is no difference, and what `add` needs stands for
        it: the new value, the smallest normal float32 if it is 0; and 0 if it is not finite either.

        Raises:
            ModelError: one of them is not of this layout.
        """
        self.check(new)
        self.check(old)
        vector = np.empty(self.size, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for key, part, kind in self._parts(vector):
                after, before = new[key], old[key]
                if kind == "f":
                    wide = np.promote_types(after.dtype, np.float32)
                    part[...] = np.subtract(after, before, dtype=wide)
                    if not (finite := np.isfinite(before)).all():
                        part[...] = np.where(finite, part, _replacing(after))
                elif kind == "b":
                    part[...] = after.astype(np.float32) - before
                else:
                    part[...] = _integer_difference(after, before)
        return vector

    def to_json(self) -> dict[str, Any]:
        """Return the layout as values that JSON can hold, for `from_json`."""
        return {
            "arrays": [
                {"key": key, "shape": list(shape), "dtype": dtype}
                for key, shape, dtype in self._entries()
            ]
        }

    @classmethod
    def from_json(cls, value: Any) -> "Layout":
        """Read what `to_json` wrote.

        Raises:
            ModelError: anything else.
        """
        entries = value.get("arrays") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(entries, list):
            raise ModelError("a layout is an object with a list 'arrays'")
        for entry in entries:
            if not isinstance(entry, dict) or set(entry) != {"key", "shape", "dtype"}:
                raise ModelError("an entry of a layout has 'key', 'shape' and 'dtype'")
            if not isinstance(entry["key"], str) or not isinstance(entry["dtype"], str):
                raise ModelError("'key' and 'dtype' of a layout are strings")
            if not isinstance(entry["shape"], list):
                raise ModelError(f"{entry['key']!r}: 'shape' is not a list")
        return cls(
            keys=tuple(entry["key"] for entry in entries),
            shapes=tuple(tuple(entry["shape"]) for entry in entries),
            dtypes=tuple(entry["dtype"] for entry in entries),
        )

    def _entries(self) -> Iterator[tuple[str, tuple[int, ...], str]]:
        return zip(self.keys, self.shapes, self.dtypes, strict=True)

    def _parts(self, vector: Vector) -> Iterator[tuple[str, NDArray[np.float32], str]]:
        """Yield key, view of the vector in the key's shape, and kind of the key's dtype."""
        at = 0
        for key, shape, dtype in self._entries():
            count = prod(shape)
            yield key, vector[at : at + count].reshape(shape), np.dtype(dtype).kind
            at += count

    def _check_keys(self, arrays: Mapping[str, Any]) -> None:
        for key in self.keys:
            if key not in arrays:
                raise ModelError(f"{shown(key)} is missing")
        if len(arrays) != len(self.keys):
            known = set(self.keys)
            extra = next(key for key in arrays if key not in known)
            raise ModelError(f"{shown(extra)} is not in the model")

    def _check_vector(self, vector: Vector) -> None:
        if not isinstance(vector, np.ndarray) or vector.dtype != np.float32:
            raise ModelError("an update is a float32 vector")
        if vector.shape != (self.size,):
            raise ModelError(f"an update of shape {vector.shape} instead of ({self.size},)")


def not_finite(arrays: Arrays, initial: Callable[[], Arrays] | None = None) -> str | None:
    """Return the key of the first array that holds NaN or infinity where it must not, or None.

    Args:
        arrays: the arrays.
        initial: gives a model of their keys and shapes: where it is not finite itself, as the
            observers of quantisation are before they have seen data, nothing has to be.
    """
    for key, array in arrays.items():
        if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
            continue
        if initial is None or not (finite | ~np.isfinite(initial()[key])).all():
            return key
    return None


def to_record(arrays: Arrays) -> ArrayRecord:
    """Return a model as a Flower record, in the mapping's order, every array row by row.

    Raises:
        ModelError: an array of a dtype outside `DTYPES`.
    """
    Layout.from_arrays(arrays)
    return ArrayRecord({key: Array(np.asarray(a, order="C")) for key, a in arrays.items()})


def from_record(
    record: ArrayRecord, layout: Layout, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a record that somebody sent, in the layout's order.

    Nothing is decoded before what the record declares fits the layout and the bytes it brought;
    then the bytes' own header is checked against the same layout. Arrays are read-only views of the
    record's bytes where these lie row by row in this machine's byte order, else copies.

    Args:
        record: the record, trusted in nothing.
        layout: what it has to hold.
        max_bytes: refuse a record of more bytes.

    Raises:
        ModelError: names the key that is missing, unexpected or different.
    """
    layout._check_keys(record)  # noqa: SLF001 - the same module
    total = sum(len(array.data) for array in record.values())
    if total > max_bytes:
        raise ModelError(f"a record of {total} bytes is above the cap of {max_bytes} bytes")
    return {
        key: _unpacked(key, record[key], shape, dtype)
        for key, shape, dtype in layout._entries()  # noqa: SLF001 - the same module
    }


def read_record(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    """Return a record's arrays by key, in its order, of the shapes and dtypes it declares.

    As `from_record`, for a receiver that has no layout yet.

    Raises:
        ModelError: an array's bytes are not what it declares, or of a dtype outside `DTYPES`.
    """
    for key, array in record.items():
        if array.dtype not in DTYPES:
            known = sorted(DTYPES)
            raise ModelError(f"{shown(key)}: dtype {shown(array.dtype)} is not one of {known}")
        if not is_shape(array.shape):
            raise ModelError(f"{shown(key)}: {shown(array.shape)} is not a shape")
    return {key: _unpacked(key, array, array.shape, array.dtype) for key, array in record.items()}


def record_of(data: bytes) -> ArrayRecord:
    """Return the Flower record whose arrays `to_safetensors` wrote, in the same order.

    Args:
        data: the bytes, trusted in nothing; their length is the caller's to bound.

    Raises:
        ModelError: as of `from_safetensors`.
    """
    arrays = from_safetensors(data, max_bytes=len(data))
    return to_record({key: arrays[key] for key in safetensors_keys(data)})


def to_safetensors(arrays: Arrays) -> bytes:
    """Return a model as safetensors: the same bytes for the same arrays in the same order.

    Arrays lie in the mapping's order; a layout restores it when they are read.

    Raises:
        ModelError: an array of a dtype outside `DTYPES`, or a key that safetensors reserves.
    """
    Layout.from_arrays(arrays)
    return encode_safetensors(arrays)


def from_safetensors(
    data: bytes, *, layout: Layout | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> dict[str, NDArray[Any]]:
    """Return the arrays of safetensors bytes that somebody sent.

    Args:
        data: the bytes, trusted in nothing.
        layout: what they have to hold; the result is then in its order, else sorted by name.
        max_bytes: refuse more bytes than this.

    Returns:
        Arrays of their own, by name.

    Raises:
        ModelError: not safetensors of arrays of `DTYPES`, too large, or not of `layout`.
    """
    if len(data) > max_bytes:
        raise ModelError(f"a model of {len(data)} bytes is above the cap of {max_bytes} bytes")
    arrays = decode_safetensors(data, None if layout is None else layout.keys)
    if layout is None:
        return arrays
    layout.check(arrays)
    return {key: arrays[key] for key in layout.keys}


def _unpacked(key: str, array: Array, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    if array.stype != "numpy.ndarray":
        raise ModelError(f"{key!r}: serialised as {shown(array.stype)}, not as 'numpy.ndarray'")
    if array.dtype != dtype:
        raise ModelError(f"{key!r}: dtype {shown(array.dtype)} instead of {dtype!r}")
    if array.shape != shape:
        raise ModelError(f"{key!r}: shape {shown(array.shape)} instead of {shape}")
    return decode_npy(key, array.data, shape, dtype)


def _dtype_name(array: NDArray[Any]) -> str:
    """Return the dtype's name; that of another byte order is its code, which no layout has."""
    return array.dtype.name if array.dtype.isnative else array.dtype.str


def _moved(base: NDArray[Any], step: NDArray[np.float32]) -> NDArray[Any]:
    if base.dtype.kind == "f":
        wide = np.promote_types(base.dtype, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = np.asarray(np.add(base, step, dtype=wide), dtype=base.dtype)
            if (finite := np.isfinite(base)).all():
                return moved
            replaced = np.where(step == 0, base, step.astype(base.dtype))
        return np.asarray(np.where(finite, moved, replaced), dtype=base.dtype)
    if base.dtype.kind == "b":
        return np.asarray(base.astype(np.float32) + step >= np.float32(0.5))
    ends = np.iinfo(base.dtype)
    whole = np.rint(step.astype(np.float64))
    up, down = _whole_steps(whole), _whole_steps(-whole)
    with np.errstate(over="ignore"):
        # In two's complement of 64 bits the room to both ends is exact for every dtype.
        here = base.astype(np.uint64)
        above = np.array(ends.max, dtype=base.dtype).astype(np.uint64) - here
        below = here - np.array(ends.min, dtype=base.dtype).astype(np.uint64)
        moved = here + np.minimum(up, above) - np.minimum(down, below)
    return np.asarray(moved).astype(base.dtype)


def _replacing(new: NDArray[Any]) -> NDArray[np.float32]:
    """Return the steps that put finite values in place of some that are not: 0 leaves those."""
    steps = new.astype(np.float32)
    steps = np.where(steps == 0, np.finfo(np.float32).tiny, steps)
    return np.where(np.isfinite(new), steps, np.float32(0))


def _whole_steps(way: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return non-negative float64 values as uint64, the negative ones as 0, too large ones cut."""
    below = 2.0**64 - 2048  # the largest float64 below 2**64
    steps = np.clip(way, 0, below).astype(np.uint64)
    return np.where(way > below, np.uint64(2**64 - 1), steps)


def _integer_difference(new: NDArray[Any], old: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # modulo 2**64, where the distance always fits
        distance = np.maximum(new, old).astype(np.uint64) - np.minimum(new, old).astype(np.uint64)
    signs = np.where(new < old, np.float32(-1), np.float32(1))
    return np.asarray(distance.astype(np.float32) * signs, dtype=np.float32)
