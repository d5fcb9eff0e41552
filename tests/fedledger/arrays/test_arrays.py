"""Models as arrays and vectors: exact where they can be."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.changed import JSON, changed
from support.examples import examples
from support.models import ARRAYS, LAYOUT, model, same

from fedledger.arrays import (
    DTYPES,
    Layout,
    not_finite,
)
from fedledger.errors import ModelError


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


@given(ARRAYS)
def test_layout_survives_json(arrays):
    """A layout written as JSON and read again is the same layout."""
    layout = Layout.from_arrays(arrays)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


PLAIN = {
    "arrays": [
        {"key": "a", "shape": [2, 3], "dtype": "float32"},
        {"key": "b", "shape": [], "dtype": "int64"},
    ]
}


@given(changed(PLAIN, JSON | st.sampled_from(sorted(DTYPES))) | JSON)
@example({"arrays": []})
@example({"arrays": [{"key": "a", "shape": [True], "dtype": "float32"}]})
@example({"arrays": [{"key": "a", "shape": [1.0], "dtype": "float32"}]})
@example({"arrays": [{"key": "a", "shape": [2**60], "dtype": "float32"}]})
@example({"arrays": [{"key": "a", "shape": [1] * 33, "dtype": "float32"}]})
@example({"arrays": [{"key": "a", "shape": [1], "dtype": ["float32"]}]})
@example({"arrays": PLAIN["arrays"][:1] * 2})
def test_other_json_is_no_layout(value):
    """What `to_json` would not write as it stands is refused, with a short message."""
    try:
        layout = Layout.from_json(value)
    except ModelError as error:
        assert len(str(error)) < 500  # noqa: PT017 - of whatever is refused
    else:
        assert json.dumps(layout.to_json()) == json.dumps(value)


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


@examples(300)
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


@examples(200)
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


@given(hnp.arrays(np.float32, 5, elements=st.floats(-1e3, 1e3, width=32)))
def test_difference_undoes_add(update):
    """Adding an update and taking the difference gives it back, up to float32 rounding."""
    old = {"w": np.array([0.5, -1, 2, 0, 100], np.float32)}
    layout = Layout.from_arrays(old)
    back = layout.difference(layout.add(old, update), old)
    np.testing.assert_allclose(back, update, atol=2e-4)


def test_what_is_not_finite_shows_in_the_difference():
    """NaN, infinity and float64 beyond float32 stay visible, without a warning."""
    old = {"w": np.zeros(4), "v": np.array([np.inf])}
    new = {"w": np.array([np.nan, np.inf, 1e300, 1.0]), "v": np.array([1e300])}
    finite = np.isfinite(Layout.from_arrays(old).difference(new, old))
    assert finite.tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("old", [np.inf, -np.inf, np.nan])
def test_a_value_that_is_not_finite_is_replaced_or_stays(dtype, old):
    """There is no difference to infinity: the update brings the new value, or nothing."""
    new = np.array([6.5, -2.0, 0.0, np.inf, -np.inf, np.nan], dtype)
    before, after = {"v": np.full(6, old, dtype)}, {"v": new}
    layout = Layout.from_arrays(before)
    update = layout.difference(after, before)
    tiny = float(np.finfo(np.float32).tiny)
    assert update.tolist() == [6.5, -2.0, tiny, 0, 0, 0]
    moved = layout.add(before, update)["v"]
    assert moved.dtype == dtype
    assert moved[:2].tolist() == [6.5, -2.0]
    assert abs(moved[2]) <= tiny
    np.testing.assert_array_equal(moved[3:], before["v"][3:])


def test_a_scalar_that_is_infinite_is_replaced():
    """An observer's buffer has no dimensions; what stands beside it moves as ever."""
    before = {"max": np.array(-np.inf, np.float32), "w": np.ones((2, 1), np.float32)}
    after = {"max": np.array(3.0, np.float32), "w": np.full((2, 1), 1.5, np.float32)}
    layout = Layout.from_arrays(before)
    moved = layout.add(before, layout.difference(after, before))
    assert {key: value.tolist() for key, value in moved.items()} == {
        "max": 3.0,
        "w": [[1.5], [1.5]],
    }


def test_what_may_not_be_finite_is_where_the_initial_model_is_not():
    """Coordinate by coordinate; without an initial model nothing may."""
    initial = {"v": np.array([np.inf, 0.0]), "w": np.zeros(2), "n": np.array([3])}
    same = {"v": np.array([np.nan, 1.0]), "w": np.ones(2), "n": np.array([4])}
    assert not_finite(same, lambda: initial) is None
    assert not_finite(same) == "v"
    other = {**same, "v": np.array([np.inf, np.inf])}
    assert not_finite(other, lambda: initial) == "v"
    assert not_finite({**same, "w": np.array([0, -np.inf])}, lambda: initial) == "w"
