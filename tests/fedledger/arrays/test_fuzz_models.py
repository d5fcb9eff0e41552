"""Campaigns against the readers of models: files, Flower's records, layouts."""

import json
import struct
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from support.fuzzing import INPUTS, changed_bytes, changed_json, changed_value, run
from support.models import model, same

from fedledger.arrays import (
    Layout,
    from_record,
    from_safetensors,
    read_record,
    to_record,
    to_safetensors,
)
from fedledger.errors import ModelError
from fedledger.formats import parse_json

MODEL = model() | {"none": np.zeros((0, 4), np.float32)}  # of no values many shapes can be claimed
LAYOUT = Layout.from_arrays(MODEL)
GOOD = to_safetensors(MODEL)
SHAPES = [[], [0], [0, 2**47, 2**47], [2**63], [2**64], [1] * 33, [-1], [0] * 32, [2, 3], [3, 2]]
OTHERS: list[Any] = [
    *SHAPES,
    "F64",
    "F4",
    "C64",
    0,
    1,
    2**63,
    -1,
    None,
    True,
    "",
    {},
    [[1]],
    0.5,
    "\ud800",
]


def split(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def no_values(draw):
    """Return a shape without values, of lengths that few can multiply."""
    lengths = (0, 1, 2, 2**15, 2**31, 2**47, 2**48, 2**63, 2**64)
    shape = [draw.choice(lengths) for _ in range(draw.choice((0, 1, 2, 3, 31, 32, 33, 70)))]
    shape.insert(draw.randrange(len(shape) + 1), 0)
    return shape


def changed_file(draw):
    """Change the bytes of a file, or its header, and keep the header's length right."""
    if draw.randrange(3) == 0:
        return changed_bytes(draw, GOOD)
    header, values = split(GOOD)
    kind = draw.randrange(3)
    if kind == 0:
        header["none"]["shape"] = no_values(draw)
        text = json.dumps(header).encode()
    elif kind == 1:
        text = json.dumps(changed_value(draw, header, OTHERS)).encode()
    else:
        text = changed_json(draw, header)
    values = draw.choice((values, values, b"", values[:-1], values + b"\0", bytes(2**16)))
    return struct.pack("<Q", len(text)) + text + values


@INPUTS
def test_files(inputs, record_property):
    """A file is a model that is written back to the same arrays, or no model, for every reader."""

    def decode(data):
        try:
            arrays = from_safetensors(data)
        except ModelError:
            with pytest.raises(ModelError):
                from_safetensors(data, layout=LAYOUT)
            raise
        assert sum(array.nbytes for array in arrays.values()) <= len(data)
        if not arrays:
            return
        same(from_safetensors(to_safetensors(arrays)), arrays)
        shape = Layout.from_arrays(arrays)
        assert Layout.from_json(shape.to_json()) == shape
        if set(arrays) == set(LAYOUT.keys) and LAYOUT.shapes == tuple(
            arrays[key].shape for key in LAYOUT.keys
        ):
            flat = shape.flatten(arrays)
            assert flat.shape == (shape.size,)

    found = run(inputs, changed_file, decode)
    record_property("files", dict(found))
    assert found[""] > inputs / 100
    assert found["ModelError"] > inputs / 2


@INPUTS
def test_records(inputs, record_property):
    """A record is the arrays that it declares, or no model."""
    good = to_record(MODEL)
    dtypes = [*LAYOUT.dtypes, "float32", "<f4", "object", "datetime64[s]", "V8", ""]
    shapes = [tuple(shape) for shape in SHAPES]

    def make(draw):
        record = ArrayRecord()
        shapes[0] = tuple(no_values(draw))
        for key, array in good.items():
            record[key] = Array(
                dtype=draw.choice(dtypes) if draw.randrange(8) == 0 else array.dtype,
                shape=draw.choice(shapes) if draw.randrange(8) == 0 else array.shape,
                stype="numpy.ndarray" if draw.randrange(20) else "torch",
                data=changed_bytes(draw, array.data) if draw.randrange(5) == 0 else array.data,
            )
        if draw.randrange(20) == 0:
            del record["bias"]
        return record

    def decode(record):
        arrays = read_record(record)
        for key, array in arrays.items():
            assert (array.shape, array.dtype.name) == (record[key].shape, record[key].dtype)
            assert array.nbytes <= len(record[key].data)
        checked = from_record(record, LAYOUT)
        assert list(checked) == list(LAYOUT.keys)
        same({key: arrays[key] for key in checked}, checked)

    found = run(inputs, make, decode)
    record_property("records", dict(found))
    assert found[""] > inputs / 50
    assert found["ModelError"] > inputs / 4


@INPUTS
def test_layouts(inputs, record_property):
    """A layout in JSON is one that arrays can have, or none."""

    def decode(data):
        try:
            plain = parse_json(data)
        except ValueError:
            raise ModelError("no JSON") from None
        layout = Layout.from_json(plain)
        assert Layout.from_json(layout.to_json()) == layout
        if layout.nbytes < 2**20:
            arrays = {
                key: np.zeros(shape, dtype)
                for key, shape, dtype in zip(layout.keys, layout.shapes, layout.dtypes, strict=True)
            }
            layout.check(arrays)
            assert layout.flatten(arrays).shape == (layout.size,)

    found = run(inputs, lambda draw: changed_json(draw, LAYOUT.to_json()), decode)
    record_property("layouts", dict(found))
    assert found[""] > inputs / 50


def test_what_a_header_claims_is_looked_at_before_it_is_built():
    """800,000 empty arrays in 42 MiB, or just more than a model may have: no time, no memory."""
    empty = b'":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    for count, layout in [(800_000, None), (800_000, LAYOUT), (60_000, LAYOUT), (70_000, None)]:
        text = b"{" + b",".join(b'"%06d' % number + empty for number in range(count)) + b"}"
        data = struct.pack("<Q", len(text)) + text
        tracemalloc.start()
        start = time.process_time()
        with pytest.raises(ModelError, match="above"):
            from_safetensors(data, layout=layout)
        assert time.process_time() - start < 1
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(0, 2**47, 2**47), (2**47, 0, 2**47), (2**24, 2**24), (2**48,)])
def test_no_shape_is_taken_that_numpy_cannot_multiply(shape):
    """Nor by a layout, nor by a record, with or without values."""
    for refused in (
        lambda: Layout(("w",), (shape,), ("float32",)),
        lambda: read_record(
            ArrayRecord({"w": Array("float32", shape, "numpy.ndarray", Array(np.zeros(0)).data)})
        ),
    ):
        with pytest.raises(ModelError, match="is not a shape"):
            refused()
    assert Layout(("w",), ((0, 2**46),), ("float32",)).size == 0
