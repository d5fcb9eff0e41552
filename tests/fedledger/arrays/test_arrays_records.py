"""Models as Flower records, trusted in nothing."""

import struct
import tracemalloc
from io import BytesIO

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.models import ARRAYS, same

from fedledger.arrays import (
    Layout,
    from_record,
    read_record,
    to_record,
)
from fedledger.errors import ModelError


@examples(200)
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


@examples(400)
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
