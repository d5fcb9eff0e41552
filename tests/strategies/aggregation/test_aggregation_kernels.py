"""The compiled parts: exact distances, a network that sorts, bits that never change."""

import hashlib
import os
import platform
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import ConfigError, InvalidUpdate
from fedledger.strategies.aggregation import get_rule, rules, threads
from fedledger.strategies.aggregation.kernels.columns import mean_of_nearest
from fedledger.strategies.aggregation.kernels.compiled.network import (
    BLOCK,
    MERGE,
    SORT,
    merges,
    odd_even_merge_sort,
)
from fedledger.strategies.aggregation.kernels.distances import squared_distances
from fedledger.strategies.aggregation.kernels.rows import read_rows


def float64_distances(x):
    wide = np.asarray(x, dtype=np.float64)
    return np.array([((wide - row) ** 2).sum(axis=1) for row in wide])


def check_distances(x):
    found = squared_distances(read_rows(x))
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, float64_distances(x), rtol=1e-6, atol=0)


@examples(40)
@given(
    n=st.integers(1, 13),
    d=st.sampled_from([1, 3, 16, 575, 576, 577, 2304, 2305, 75000]),
    common=st.sampled_from([0.0, 1.0, 1e4]),
    exponent=st.sampled_from([-40, -25, -15, -5, 0, 5, 15, 25, 37]),
    seed=st.integers(0, 2**32 - 1),
)
def test_distances_are_right_to_one_in_a_million_at_every_scale(n, d, common, exponent, seed):
    """From denormal to nearly infinite, with or without a part that all rows share."""
    rng = np.random.default_rng(seed)
    shared = common * 10.0**exponent * rng.standard_normal(d)
    with np.errstate(over="ignore", under="ignore"):
        x = (shared + 10.0**exponent * rng.uniform(-1, 1, (n, d))).astype(np.float32)
    check_distances(np.clip(x, -3e38, 3e38))


def test_distances_within_a_group_of_colluders_are_right():
    """Rows that differ by 10⁻⁶ among rows that differ by 1, and rows that do not differ at all."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((12, 3000)).astype(np.float32)
    x[5:8] = x[4] + 1e-6 * rng.standard_normal((3, 3000))
    x[9] = x[8]
    check_distances(x)
    assert squared_distances(read_rows(x))[8, 9] == 0


def adversarial_rows(kind, n, d, seed):
    """Rows whose distances a kernel gets wrong that rounds or cancels where it must not."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    if kind == "near duplicates":
        x = x[0] * (1 + 2.0**-22 * rng.integers(-2, 3, (n, d)))
    elif kind == "common offset":
        x = 1e3 + 1e-2 * x
    elif kind == "one at 1e30":
        x[n // 2] *= 1e30
    elif kind == "some at 1e-20":
        x[::2] *= 1e-20
    elif kind == "colluders":
        x[n // 2 :] = x[-1] + 1e-5 * x[n // 2 :]
    elif kind == "correlated":
        x = x[0] + 0.05 * x
    elif kind == "one huge coordinate":
        x[:, d // 3] = 1e18 * rng.integers(0, 2, n)
    elif kind == "mostly shared":
        x[:, : d // 2] = x[0, : d // 2]
    return x.astype(np.float32)


KINDS = [
    *("near duplicates", "common offset", "one at 1e30", "some at 1e-20", "colluders"),
    *("correlated", "one huge coordinate", "mostly shared"),
]


@given(kind=st.sampled_from(KINDS), n=st.integers(2, 30), seed=st.integers(0, 2**32 - 1))
def test_distances_withstand_rows_made_to_spoil_them(kind, n, seed):
    """Right to 10⁻⁶ for every remainder of panels, whatever cancels or leaves float32's range."""
    check_distances(adversarial_rows(kind, n, 4 * 576 + 77, seed))


@pytest.mark.parametrize("n", range(2, 10))
def test_a_value_that_is_not_finite_is_found_in_every_row(n):
    """In the last row of a panel that is not full as well, and at both ends of a row."""
    for row, at, value in product(range(n), (0, 1151, 1200), (np.nan, np.inf, -np.inf)):
        x = np.ones((n, 1201), dtype=np.float32)
        x[row, at] = value
        with pytest.raises(InvalidUpdate, match=f"coordinate {at} is") as caught:
            squared_distances(read_rows(x))
        assert caught.value.row == row


def nearest_in_float64(x, count):
    wide = np.sort(x.astype(np.float64), axis=0)
    median = np.median(wide, axis=0)
    kept = np.argsort(np.abs(wide - median), axis=0, kind="stable")[:count]
    return np.take_along_axis(wide, kept, axis=0).mean(axis=0).astype(np.float32)


@pytest.mark.parametrize(("n", "count"), [(5, 1), (6, 2), (9, 4), (18, 6), (23, 3), (28, 27)])
def test_the_nearest_are_told_apart_where_float32_sums_tie(n, count):
    """Values a few units in the last place apart: bit for bit what float64 keeps."""
    rng = np.random.default_rng(n)
    x = (1 + 2.0**-24 * rng.integers(-9, 9, (n, 4000))).astype(np.float32)
    x[:, 3000:] = rng.choice([-1, -0.5, 0, 0.5, 1], (n, 1000))
    np.testing.assert_array_equal(
        mean_of_nearest(read_rows(x), count), nearest_in_float64(x, count)
    )


def test_the_nearest_are_told_apart_where_float32_sums_overflow():
    """Values whose sum is no float32 any more."""
    x = np.random.default_rng(4).uniform(2e38, 3.4e38, (9, 640)).astype(np.float32)
    found = mean_of_nearest(read_rows(x), 3)
    np.testing.assert_allclose(found, nearest_in_float64(x, 3), rtol=2e-7)


def test_distances_do_not_drift_where_all_differences_are_equal():
    """Rounding that always goes the same way stays within the bound."""
    x = np.array([[0.0], [0.1], [1 / 3]], dtype=np.float32).repeat(200_000, axis=1)
    check_distances(x)


@pytest.mark.parametrize("wires", range(1, 15))
def test_the_network_sorts_every_sequence_of_zeros_and_ones(wires):
    """By the zero-one principle it then sorts everything."""
    network = odd_even_merge_sort(wires)
    for bits in product((0, 1), repeat=wires):
        values = list(bits)
        for low, high in network:
            if values[low] > values[high]:
                values[low], values[high] = values[high], values[low]
        assert values == sorted(bits)


def exchange(values, pairs):
    for low, high in pairs:
        if values[low] > values[high]:
            values[low], values[high] = values[high], values[low]
    return values


def test_blocks_are_sorted_and_merged():
    """Four values sort; two sorted fours merge."""
    for bits in product((0, 1), repeat=BLOCK):
        assert exchange(list(bits), SORT) == sorted(bits)
    for low, high in product(range(BLOCK + 1), repeat=2):
        values = [0] * (BLOCK - low) + [1] * low + [0] * (BLOCK - high) + [1] * high
        assert exchange(list(values), MERGE) == sorted(values)


@pytest.mark.parametrize(
    ("blocks", "first", "last"), [(8, 2, 5), (8, 3, 3), (25, 12, 12), (1, 0, 0)]
)
def test_leaving_out_what_nobody_needs_leaves_the_needed_blocks_right(blocks, first, last):
    """The pruned program still puts the right values into the needed blocks."""
    program = merges(blocks, first, last)
    assert blocks == 1 or np.count_nonzero(program[:, 2]) > 0
    assert len(program) <= len(odd_even_merge_sort(blocks))
    rng = np.random.default_rng(blocks)
    for _ in range(200):
        values = rng.integers(0, 50, (blocks, BLOCK))
        expected = np.sort(values, axis=None).reshape(blocks, BLOCK)[first : last + 1]
        values.sort(axis=1)
        for low, high, which in program:
            both = np.sort(values[[low, high]], axis=None).reshape(2, BLOCK)
            values[low] = both[0] if which != 2 else -1  # what is not written back is garbage
            values[high] = both[1] if which != 1 else -1
        np.testing.assert_array_equal(values[first : last + 1], expected)


@pytest.mark.parametrize("name", rules.names())
def test_the_number_of_threads_changes_no_bit(name):
    """One thread, two, three or more give the same bytes, over many pieces of work."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((11, 300_001)).astype(np.float32)
    results = []
    for count in (1, 2, 3, 8):
        with threads(count):
            results.append(get_rule(name)(x, byzantine=2).tobytes())
    assert len(set(results)) == 1


def test_at_least_one_thread():
    """A limit of none is refused."""
    with pytest.raises(ConfigError, match="at least 1 thread"), threads(0):
        pass


PROGRAM = """
import hashlib, sys, numpy as np
from fedledger.strategies.aggregation import get_rule, rules
from fedledger.strategies.aggregation.kernels.distances import squared_distances
from fedledger.strategies.aggregation.kernels.rows import read_rows
x = np.load(sys.argv[1])
digest = hashlib.sha256(squared_distances(read_rows(x)).tobytes())
for name in rules.names():
    digest.update(get_rule(name)(x, byzantine=2).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"}, reason="names x86-64 processors"
)
@pytest.mark.parametrize("processor", ["generic", pytest.param("haswell", marks=pytest.mark.soak)])
def test_another_processor_computes_the_same_bits(processor, tmp_path):
    """Narrow vectors, no fused multiply-add in hardware: distances and results stay the same."""
    x = np.random.default_rng(3).standard_normal((13, 3333)).astype(np.float32)
    x[3] = x[2]
    x[4] *= np.float32(1e30)
    x[5:7] *= np.float32(1e-20)
    x[:, 1000:2000] = np.round(x[:, 1000:2000])
    np.save(tmp_path / "x.npy", x)
    digest = hashlib.sha256(squared_distances(read_rows(x)).tobytes())
    for name in rules.names():
        digest.update(get_rule(name)(x, byzantine=2).tobytes())
    features = {"generic": "", "haswell": "+avx2,+fma"}[processor]
    environment = os.environ | {
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "x.npy")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest.hexdigest()
