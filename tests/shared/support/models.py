"""Models as hypothesis strategies, and one with every kind of array."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedledger.arrays import DTYPES, Layout

__all__ = ["ARRAYS", "LAYOUT", "model", "same"]

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
