"""Models as bytes: the same ones for the same arrays, and closed to hostile input."""

import json
import struct
import time
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import SafetensorError
from support.changed import JSON, changed
from support.examples import examples
from support.models import ARRAYS, LAYOUT, model, same

from fedledger.arrays import (
    Layout,
    from_safetensors,
    to_safetensors,
)
from fedledger.errors import ModelError


@examples(200)
@given(ARRAYS)
def test_safetensors_round_trip_keeps_every_bit(arrays):
    """Arrays come back bit for bit; with a layout also in its order, and give the same bytes."""
    data = to_safetensors(arrays)
    free = from_safetensors(data)
    same({key: free[key] for key in arrays}, arrays)
    back = from_safetensors(data, layout=Layout.from_arrays(arrays))
    same(back, arrays)
    assert to_safetensors({key: np.asarray(a, order="F") for key, a in back.items()}) == data


@given(ARRAYS)
def test_safetensors_are_those_of_the_reference_library(arrays):
    """The reference library reads ours, and we read what it writes."""
    theirs = safetensors.numpy.load(to_safetensors(arrays))
    same({key: theirs[key] for key in arrays}, arrays)
    back = from_safetensors(safetensors.numpy.save(arrays, {"format": "np"}))
    same({key: back[key] for key in arrays}, arrays)


def test_safetensors_frozen():
    """The bytes never change between versions of this library."""
    data = to_safetensors({"b": np.array([1, 2], np.int16), "a": np.array(0.5, np.float32)})
    header = (
        b'{"b":{"dtype":"I16","shape":[2],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}'
    )
    padded = header + b" " * (-len(header) % 8)
    assert data == struct.pack("<Q", len(padded)) + padded + b"\x01\0\x02\0" + b"\0\0\0\x3f"


def test_layout_is_checked_and_orders_the_result():
    """With a layout, a model of another one is refused, and the layout's order is kept."""
    data = to_safetensors(dict(reversed(model().items())))
    assert tuple(from_safetensors(data, layout=LAYOUT)) == LAYOUT.keys
    with pytest.raises(ModelError, match="'weight' is missing"):
        from_safetensors(to_safetensors({"bias": np.zeros(2)}), layout=LAYOUT)


def test_without_a_layout_the_order_is_that_of_the_names():
    """Whoever makes a layout of a file makes the same one: the reference parser's order varies."""
    names = [f"{number:02}" for number in range(40)]
    data = to_safetensors({name: np.zeros(1, np.float32) for name in reversed(names)})
    assert list(from_safetensors(data)) == names


def test_size_cap_of_safetensors():
    """The cap counts bytes; one more is refused."""
    data = to_safetensors(model())
    from_safetensors(data, max_bytes=len(data))
    with pytest.raises(ModelError, match="above the cap"):
        from_safetensors(data, max_bytes=len(data) - 1)


def test_reserved_and_invalid_keys_are_refused():
    """`__metadata__` would be lost, a lone surrogate cannot be written."""
    for key in ("__metadata__", "\ud800"):
        with pytest.raises(ModelError):
            to_safetensors({key: np.zeros(1)})


def packed(header, values=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


def entry(dtype="F32", shape=(1,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


HOSTILE = {
    "nothing": b"",
    "seven bytes": b"1234567",
    "header longer than the file": struct.pack("<Q", 100) + b"{}",
    "header of 2**64 - 1": b"\xff" * 8 + b"{}",
    "not JSON": packed(b"{x}"),
    "not UTF-8": packed(b'{"\xff":1}'),
    "a list": packed(b"[]"),
    "nested deeply": packed(b'{"a":' * 100_000),
    "list nested deeply": packed(b'{"a":' + b"[" * 100_000),
    "a number of many digits": packed(b'{"a":' + b"9" * 5000 + b"}"),
    "a name twice": packed(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        b"12",
    ),
    "a field twice": packed(
        b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"1"
    ),
    "shape is NaN": packed({"a": entry(shape=[float("nan")])}, bytes(4)),
    "shape overflows": packed({"a": entry(shape=[2**40, 2**40, 0], offsets=[0, 4])}, bytes(4)),
    "shape claims a petabyte": packed({"a": entry(shape=[2**47], offsets=[0, 2**49])}, bytes(4)),
    "shape of 33 dimensions": packed({"a": entry(shape=[1] * 33)}, bytes(4)),
    "a gap": packed({"a": entry(), "b": entry(offsets=[5, 9])}, bytes(9)),
    "an overlap": packed({"a": entry(), "b": entry(offsets=[0, 4])}, bytes(4)),
    "a partial overlap": packed({"a": entry(), "b": entry(offsets=[2, 6])}, bytes(6)),
    "a bool of 2": packed({"a": entry("BOOL", (1,), (0, 1))}, b"\x02"),
    "a pickle": b"\x80\x04\x95" + bytes(40),
    "a zip": b"PK\x03\x04" + bytes(40),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_safetensors_are_refused_quickly(data):
    """Every way to lie is a ModelError, and none makes us allocate what it claims."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(ModelError) as caught:
            from_safetensors(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 2
    assert len(str(caught.value)) < 500


VALUES = bytes(range(16))
GOOD = {
    "a": entry(shape=[2], offsets=[0, 8]),
    "b": entry("I64", [], [8, 16]),
    "__metadata__": {"format": "np"},
}


@given(
    changed(GOOD, JSON | st.sampled_from(["F32", "F4", "BF16", "U8", "I64", 4, 8, 12, 16])),
    st.sampled_from([VALUES, VALUES, VALUES, VALUES[:-1], VALUES + b"\0"]),
)
@example({"a": entry("BF16", [2])}, bytes(4))
@example({"a": entry(shape=[True])}, bytes(4))
@example({"a": entry(shape=[-1, -1])}, bytes(4))
@example({"a": entry(offsets=[4, 0])}, bytes(4))
@example({"a": entry(offsets=[-4, 0])}, bytes(4))
@example({"a": entry()}, bytes(3))
@example({"a": entry()}, bytes(5))
@example({"__metadata__": {"a": 1}}, b"")
def test_another_header_is_refused_or_read_as_the_reference_does(header, values):
    """Whatever a header says of dtypes, shapes and places, it is refused or it is true."""
    data = packed(header, values)
    try:
        arrays = from_safetensors(data)
    except ModelError as error:
        assert len(str(error)) < 500  # noqa: PT017 - of whatever is refused
    else:
        theirs = safetensors.numpy.load(data)
        same({key: arrays[key] for key in theirs}, theirs)
        assert len(theirs) == len(arrays)


VALID = to_safetensors(model())


@examples(400)
@given(st.data())
def test_fuzzed_safetensors_are_refused_or_read_as_the_reference_does(data):
    """A changed file gives a ModelError, or exactly the arrays that the reference library sees."""
    bytes_ = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(bytes_) - 1))
        bytes_[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"[", b"]", b"{", b"}", b",", b"9"])
        )
    try:
        arrays = from_safetensors(bytes(bytes_))
    except ModelError:
        return
    theirs = safetensors.numpy.load(bytes(bytes_))
    same(arrays, {key: theirs[key] for key in arrays})
    assert len(theirs) == len(arrays)


@examples(300)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    """No bytes crash the decoder; what the reference library refuses, we refuse."""
    for candidate in (data, packed(data), packed(b"{" + data + b"}")):
        try:
            from_safetensors(candidate)
        except ModelError:
            continue
        try:
            safetensors.numpy.load(candidate)
        except SafetensorError as error:
            pytest.fail(f"the reference library refuses what we read: {error}")
