"""Models as arrays, vectors and bytes: exact where they can be, and closed to hostile input."""

import json
import struct
import time
import tracemalloc
from io import BytesIO

import numpy as np
import pytest
import safetensors.numpy
from flwr.app import Array, ArrayRecord
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError

from fedledger.arrays import (
    DTYPES,
    Layout,
    from_record,
    from_safetensors,
    read_record,
    to_record,
    to_safetensors,
)
from fedledger.errors import ModelError

DTYPE = st.sampled_from(sorted(DTYPES))
KEY = st.text(st.characters(codec="utf-8"), max_size=8)
SHAPE = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAY = st.tuples(DTYPE, SHAPE).flatmap(lambda pair: hnp.arrays(*pair))
ARRAYS = st.dictionaries(KEY, ARRAY, min_size=1, max_size=4)


def model():
    return {
        "weight": np.array([[1.5, -2.0, 3.25], [0.0, 7.0, -8.0]], dtype=np.float32),
        "bias": np.array([0.5, -0.25], dtype=np.float64),
        "half": np.array([1.0, 2.0], dtype=np.float16),
        "batches": np.array(7, dtype=np.int64),
        "mask": np.array([True, False, True]),
    }


LAYOUT = Layout.from_arrays(model())


def same(one, other):
    assert list(one) == list(other)
    for key in one:
        assert one[key].dtype == other[key].dtype, key
        assert one[key].shape == other[key].shape, key
        assert one[key].tobytes() == other[key].tobytes(), key


# ---- layout


def test_layout_keeps_order_and_counts_values():
    """The order is the initial model's, not the alphabet's; d counts every value."""
    assert LAYOUT.keys == ("weight", "bias", "half", "batches", "mask")
    assert LAYOUT.size == 6 + 2 + 2 + 1 + 3
    assert LAYOUT.nbytes == 24 + 16 + 4 + 8 + 3


def test_flatten_is_row_by_row_in_the_layouts_order():
    """The vector does not depend on memory order or on the mapping's own order."""
    vector = LAYOUT.flatten(model())
    expected = [1.5, -2, 3.25, 0, 7, -8, 0.5, -0.25, 1, 2, 7, 1, 0, 1]
    assert vector.dtype == np.float32
    assert vector.tolist() == expected
    shuffled = dict(reversed(model().items()))
    shuffled["weight"] = np.asfortranarray(shuffled["weight"])
    assert LAYOUT.flatten(shuffled).tolist() == expected


@settings(deadline=None, max_examples=100)
@given(ARRAYS)
def test_flatten_and_unflatten_are_inverse(arrays):
    """Every value comes back at its place, as float32."""
    layout = Layout.from_arrays(arrays)
    vector = layout.flatten(arrays)
    parts = layout.unflatten(vector)
    assert vector.shape == (layout.size,)
    assert list(parts) == list(arrays)
    with np.errstate(over="ignore"):
        for key, part in parts.items():
            assert part.shape == arrays[key].shape
            np.testing.assert_array_equal(part, arrays[key].astype(np.float32))


@settings(deadline=None, max_examples=100)
@given(ARRAYS)
def test_layout_survives_json(arrays):
    """A layout written as JSON and read again is the same layout."""
    layout = Layout.from_arrays(arrays)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"arrays": {}},
        {"arrays": []},
        {"arrays": [], "more": 1},
        {"arrays": ["x"]},
        {"arrays": [{"key": "a", "shape": [1]}]},
        {"arrays": [{"key": "a", "shape": [1], "dtype": "float32", "more": 1}]},
        {"arrays": [{"key": 1, "shape": [1], "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": 1, "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": [-1], "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": [1.0], "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": [True], "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": [2**60], "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": [1] * 33, "dtype": "float32"}]},
        {"arrays": [{"key": "a", "shape": [1], "dtype": "object"}]},
        {"arrays": [{"key": "a", "shape": [1], "dtype": ["float32"]}]},
        {"arrays": [{"key": "a", "shape": [1], "dtype": "float32"}] * 2},
    ],
)
def test_other_json_is_no_layout(value):
    """Anything but what `to_json` writes is refused."""
    with pytest.raises(ModelError):
        Layout.from_json(value)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"a": [1.0]},
        {1: np.zeros(1)},
        {"a": np.zeros(1, dtype=np.complex64)},
        {"a": np.array(["x"])},
        {"a": np.array([None])},
        {"a": np.zeros(1, dtype=">f4")},
        {"a": np.zeros(1, dtype=[("x", "f4")])},
        {"a": np.zeros(1, dtype="M8[s]")},
    ],
)
def test_other_arrays_have_no_layout(arrays):
    """Only floats, integers and bools in this machine's byte order make a model."""
    with pytest.raises(ModelError):
        Layout.from_arrays(arrays)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.pop("bias"), "'bias' is missing"),
        (lambda m: m.update(extra=np.zeros(1)), "'extra' is not in the model"),
        (lambda m: m.update(bias=np.zeros(2, np.float32)), "'bias': dtype '<f4'"),
        (lambda m: m.update(bias=np.zeros(2, ">f8")), "'bias': dtype '>f8'"),
        (lambda m: m.update(bias=np.zeros(3)), r"'bias': shape \(3,\)"),
        (lambda m: m.update(bias=np.zeros((2, 1))), "'bias': shape"),
        (lambda m: m.update(bias=[0.0, 0.0]), "'bias': list"),
    ],
)
def test_check_names_the_key(change, named):
    """A model that differs is refused, with the key and what is wrong with it."""
    arrays = model()
    change(arrays)
    for use in (LAYOUT.check, LAYOUT.flatten, lambda a: LAYOUT.difference(a, model())):
        with pytest.raises(ModelError, match=named):
            use(arrays)


@pytest.mark.parametrize(
    "vector",
    [np.zeros(13, np.float32), np.zeros(14), np.zeros((14, 1), np.float32), [0.0] * 14],
)
def test_other_vectors_are_refused(vector):
    """An update has d float32 values in one dimension."""
    with pytest.raises(ModelError):
        LAYOUT.unflatten(vector)
    with pytest.raises(ModelError):
        LAYOUT.add(model(), vector)


# ---- adding and subtracting


def test_add_keeps_dtypes_and_rounds_integers():
    """Floats move by the update, integers by the rounded update, a bool turns at one half."""
    update = np.array([1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 2.6, -0.4, 0.5, -0.6], np.float32)
    before = model()
    after = LAYOUT.add(before, update)
    LAYOUT.check(after)
    assert after["weight"].tolist() == [[2.5, -1, 4.25], [1, 8, -7]]
    assert after["bias"].tolist() == [1.0, 0.25]
    assert after["half"].tolist() == [1.5, 2.5]
    assert after["batches"] == 10
    assert after["mask"].tolist() == [True, True, False]
    same(before, model())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_add_refuses_what_is_not_finite(value):
    """One NaN would spoil the model for good."""
    update = np.zeros(LAYOUT.size, np.float32)
    update[3] = value
    with pytest.raises(ModelError, match="not finite"):
        LAYOUT.add(model(), update)


INTEGER = st.sampled_from([name for name in sorted(DTYPES) if "int" in name])


@settings(deadline=None, max_examples=300)
@given(st.data(), INTEGER, hnp.array_shapes(min_dims=0, max_dims=1, max_side=3))
def test_integers_move_exactly_and_stop_at_the_ends(data, dtype, shape):
    """Against Python's own integers, over the whole range of every dtype."""
    base = data.draw(hnp.arrays(dtype, shape))
    step = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-(2**70), 2**70, width=32)))
    layout = Layout.from_arrays({"n": base})
    after = layout.add({"n": base}, step.reshape(-1))["n"]
    ends = np.iinfo(dtype)
    expected = [
        min(max(int(b) + round(float(s)), ends.min), ends.max)
        for b, s in zip(base.reshape(-1), step.reshape(-1), strict=True)
    ]
    assert after.dtype == base.dtype
    assert after.reshape(-1).tolist() == expected


@settings(deadline=None, max_examples=200)
@given(st.data(), INTEGER, hnp.array_shapes(min_dims=0, max_dims=1, max_side=3))
def test_integer_differences_are_exact_before_rounding(data, dtype, shape):
    """Two neighbours differ by one, however large they are; nothing wraps around."""
    new, old = (data.draw(hnp.arrays(dtype, shape)) for _ in range(2))
    vector = Layout.from_arrays({"n": new}).difference({"n": new}, {"n": old})
    expected = [int(a) - int(b) for a, b in zip(new.reshape(-1), old.reshape(-1), strict=True)]
    np.testing.assert_array_equal(vector, np.array(expected, dtype=object).astype(np.float32))


def test_small_differences_of_large_values_are_kept():
    """A float64 model's difference is taken before it is rounded to float32."""
    new, old = {"w": np.array([1 + 1e-12])}, {"w": np.array([1.0])}
    assert Layout.from_arrays(new).difference(new, old)[0] == pytest.approx(1e-12, rel=1e-3)


@settings(deadline=None, max_examples=100)
@given(hnp.arrays(np.float32, 5, elements=st.floats(-1e3, 1e3, width=32)))
def test_difference_undoes_add(update):
    """Adding an update and taking the difference gives it back, up to float32 rounding."""
    old = {"w": np.array([0.5, -1, 2, 0, 100], np.float32)}
    layout = Layout.from_arrays(old)
    back = layout.difference(layout.add(old, update), old)
    np.testing.assert_allclose(back, update, atol=2e-4)


def test_what_is_not_finite_shows_in_the_difference():
    """NaN, infinity and float64 beyond float32 stay visible, without a warning."""
    old = {"w": np.zeros(4), "v": np.array([np.inf], np.float32)}
    new = {"w": np.array([np.nan, np.inf, 1e300, 1.0]), "v": old["v"]}
    finite = np.isfinite(Layout.from_arrays(old).difference(new, old))
    assert finite.tolist() == [False, False, False, True, False]


# ---- safetensors


@settings(deadline=None, max_examples=200)
@given(ARRAYS)
def test_safetensors_round_trip_keeps_every_bit(arrays):
    """Arrays come back bit for bit; with a layout also in its order, and give the same bytes."""
    data = to_safetensors(arrays)
    free = from_safetensors(data)
    same({key: free[key] for key in arrays}, arrays)
    back = from_safetensors(data, layout=Layout.from_arrays(arrays))
    same(back, arrays)
    assert to_safetensors({key: np.asarray(a, order="F") for key, a in back.items()}) == data


@settings(deadline=None, max_examples=100)
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
    "entry is a list": packed({"a": []}),
    "field missing": packed({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "unknown dtype": packed({"a": entry("F4")}, bytes(4)),
    "dtype of another kind": packed({"a": entry("BF16", (2,))}, bytes(4)),
    "dtype is a list": packed({"a": entry(["F32"])}, bytes(4)),
    "shape is a number": packed({"a": entry(shape=1)}, bytes(4)),
    "shape is a float": packed({"a": entry(shape=[1.0])}, bytes(4)),
    "shape is NaN": packed({"a": entry(shape=[float("nan")])}, bytes(4)),
    "shape is a bool": packed({"a": entry(shape=[True])}, bytes(4)),
    "shape is negative": packed({"a": entry(shape=[-1, -1])}, bytes(4)),
    "shape overflows": packed({"a": entry(shape=[2**40, 2**40, 0], offsets=[0, 4])}, bytes(4)),
    "shape claims a petabyte": packed({"a": entry(shape=[2**47], offsets=[0, 2**49])}, bytes(4)),
    "shape of 33 dimensions": packed({"a": entry(shape=[1] * 33)}, bytes(4)),
    "one offset": packed({"a": entry(offsets=[0])}, bytes(4)),
    "offsets backwards": packed({"a": entry(offsets=[4, 0])}, bytes(4)),
    "offsets outside": packed({"a": entry(offsets=[4, 8])}, bytes(4)),
    "negative offset": packed({"a": entry(offsets=[-4, 0])}, bytes(4)),
    "values missing": packed({"a": entry()}, bytes(3)),
    "values left over": packed({"a": entry()}, bytes(5)),
    "a gap": packed({"a": entry(), "b": entry(offsets=[5, 9])}, bytes(9)),
    "an overlap": packed({"a": entry(), "b": entry(offsets=[0, 4])}, bytes(4)),
    "a partial overlap": packed({"a": entry(), "b": entry(offsets=[2, 6])}, bytes(6)),
    "metadata is no object": packed({"__metadata__": 1}),
    "metadata of numbers": packed({"__metadata__": {"a": 1}}),
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


VALID = to_safetensors(model())


@settings(deadline=None, max_examples=400)
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


@settings(deadline=None, max_examples=300)
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


# ---- Flower records


@settings(deadline=None, max_examples=200)
@given(ARRAYS)
def test_records_round_trip(arrays):
    """Every allowed dtype and shape survives Flower's record, bit for bit and in order."""
    back = from_record(to_record(arrays), Layout.from_arrays(arrays))
    same(back, arrays)
    assert all(array.dtype.isnative for array in back.values())


def test_to_record_refuses_other_dtypes():
    """What cannot come back is not sent."""
    with pytest.raises(ModelError):
        to_record({"a": np.zeros(1, np.complex64)})


def test_values_are_not_copied():
    """Arrays are read-only views of the record's bytes."""
    record = to_record({"a": np.arange(1000.0)})
    array = from_record(record, Layout(("a",), ((1000,),), ("float64",)))["a"]
    assert not array.flags.writeable
    assert not array.flags.owndata


def npy(array, *, version=None):
    file = BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def record(data, *, dtype="float32", shape=(2, 3), stype="numpy.ndarray"):
    return ArrayRecord({"a": Array(dtype, shape, stype, data)})


ONE = Layout(("a",), ((2, 3),), ("float32",))
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
GOOD = npy(VALUES)


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        npy(VALUES, version=(2, 0)),
        npy(np.asfortranarray(VALUES)),
        npy(VALUES.astype(">f4")),
        npy(np.asfortranarray(VALUES.astype(">f4"))),
    ],
    ids=["plain", "version 2", "Fortran order", "big-endian", "both"],
)
def test_the_same_values_in_other_memory_orders_are_understood(data):
    """Memory order and byte order are the sender's business; the values are the same."""
    back = from_record(record(data), ONE)["a"]
    assert back.tolist() == VALUES.tolist()
    assert back.dtype == np.float32
    assert back.flags.c_contiguous


def header(text, *, values=bytes(24), version=b"\x01\x00"):
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + values


TEXT = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"

LIES = {
    "another stype": record(GOOD, stype="pickle"),
    "declared dtype": record(GOOD, dtype="float64"),
    "declared big-endian dtype": record(npy(VALUES.astype(">f4")), dtype=">f4"),
    "declared object dtype": record(GOOD, dtype="object"),
    "declared shape": record(GOOD, shape=(3, 2)),
    "declared huge shape": record(GOOD, shape=(2**62, 2**62)),
    "data of another shape": record(npy(VALUES.reshape(3, 2))),
    "data of another rank": record(npy(VALUES.reshape(-1))),
    "data of another dtype of the same size": record(npy(VALUES.astype(np.int32))),
    "data of another dtype": record(npy(VALUES.astype(np.float64))),
    "data of objects": record(npy(VALUES.astype(object))),
    "data of records": record(npy(np.zeros((2, 3), dtype=[("x", "f4")]))),
    "data of text": record(npy(np.full((2, 3), "a"))),
    "data is empty": record(b""),
    "data is a pickle": record(b"\x80\x04\x95" + bytes(200)),
    "data is a zip": record(b"PK\x03\x04" + bytes(200)),
    "data is short": record(GOOD[:-1]),
    "data is long": record(GOOD + b"\0"),
    "values only": record(VALUES.tobytes()),
    "version 3": record(header(TEXT, version=b"\x03\x00")),
    "header claims 4 GB": record(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD[10:]),
    "header of 60 kB": record(header(TEXT + b" " * 60_000)),
    "header shape of a terabyte": record(header(TEXT.replace(b"(2, 3)", b"(1099511627776,)"))),
    "header nested deeply": record(header(b"(" * 4000)),
    "header is code": record(header(b"__import__('os').system('true')")),
    "header of another key": record(header(TEXT.replace(b"'shape'", b"'shapes'"))),
    "header with more keys": record(header(TEXT.replace(b", }", b", 'x': 1}"))),
    "header shape negative": record(header(TEXT.replace(b"(2, 3)", b"(-2, -3)"))),
    "header shape of floats": record(header(TEXT.replace(b"(2, 3)", b"(2.0, 3)"))),
    "header shape of Python 2": record(header(TEXT.replace(b"(2, 3)", b"(2L, 3L)"))),
    "header dtype of objects": record(header(TEXT.replace(b"<f4", b"|O"))),
    "header not ASCII": record(header(TEXT.replace(b"False", b"F\xe4lse"))),
    "no arrays": ArrayRecord(),
    "another key": ArrayRecord({"b": Array(VALUES)}),
    "one key too many": ArrayRecord({"a": Array(VALUES), "b": Array(VALUES)}),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_hostile_records_are_refused_quickly(lie):
    """Every way to lie in a record is a ModelError that allocates nothing worth mentioning."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as caught:
            from_record(lie, ONE)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 300


def test_a_bool_of_two_is_refused():
    """A bool has two values; NumPy would compute strange things with a third."""
    data = npy(np.array([True, False]))[:-2] + b"\x02\x00"
    with pytest.raises(ModelError, match="neither 0 nor 1"):
        from_record(record(data, dtype="bool", shape=(2,)), Layout(("a",), ((2,),), ("bool",)))


def test_size_cap_of_a_record():
    """The cap counts the bytes of all arrays together."""
    two = {"a": VALUES, "b": VALUES}
    total = 2 * len(GOOD)
    from_record(to_record(two), Layout.from_arrays(two), max_bytes=total)
    with pytest.raises(ModelError, match="above the cap"):
        from_record(to_record(two), Layout.from_arrays(two), max_bytes=total - 1)


@settings(deadline=None, max_examples=400)
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_fuzzed_records_are_refused_or_read_as_numpy_does(at, patch, cut):
    """A changed array gives a ModelError, or exactly what NumPy itself would load."""
    data = GOOD[:at] + patch + GOOD[at + cut :]
    try:
        back = from_record(record(data), ONE)["a"]
    except ModelError:
        return
    np.testing.assert_array_equal(back, np.load(BytesIO(data), allow_pickle=False))


def test_a_record_is_read_as_it_declares_itself():
    """Without a layout too: keys, order and values; bytes that say something else are refused."""
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array(3, np.int64)}
    record = to_record(arrays)
    found = read_record(record)
    assert list(found) == ["b", "a"]
    assert all(np.array_equal(found[key], arrays[key]) for key in arrays)
    record["b"].dtype = "complex64"
    with pytest.raises(ModelError, match="'b': dtype 'complex64' is not one of"):
        read_record(record)
    record["b"].dtype = "float64"
    with pytest.raises(ModelError, match="do not hold"):
        read_record(record)
