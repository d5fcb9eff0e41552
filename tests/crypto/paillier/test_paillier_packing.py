"""Rounding and packing: unbiased, exact in sums, and refused where a slot could run over."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.paillier import entropy

from fedledger.crypto.paillier import Packing
from fedledger.crypto.paillier.packing import MOST_WEIGHT
from fedledger.errors import ConfigError, CryptoError, InvalidUpdate

PACKING = Packing(2048, 16, 1.0, 256, 256)


def values_of(name, count, scale=1.0):
    drawn = np.frombuffer(entropy(name).draw(4 * count), "<i4") / 2.0**31
    return (drawn * scale).astype(np.float32)


@pytest.mark.parametrize(
    ("bits", "clients", "slot", "slots"),
    [(16, 256, 24, 85), (8, 16, 12, 170), (16, 10, 20, 102), (8, 10, 12, 170), (24, 2, 25, 81)],
)
def test_as_many_values_as_fit_share_a_ciphertext(bits, clients, slot, slots):
    """A slot has a value's bits and those that the clients take, and no more."""
    packing = Packing(2048, bits, 1.0, clients, clients)
    assert (packing.slot, packing.slots) == (slot, slots)
    assert packing.ciphertexts(1) == packing.ciphertexts(slots) == 1
    assert packing.ciphertexts(slots + 1) == 2


@pytest.mark.parametrize("bits", range(8, 25))
@pytest.mark.parametrize("weight", [1, 2, 3, 7, 256, 2**20])
def test_at_the_bound_a_slot_is_full_and_holds(bits, weight):
    """All values at the clip, all the weight that there may be: nothing runs over, or is wasted."""
    packing = Packing(2048, bits, 1.0, 1, weight)
    most = 2 * packing.offset * weight
    assert most < 2**packing.slot <= 2 * most
    count = packing.slots + 1
    for end in (1, -1):
        rounded = packing.quantise(np.full(count, end, np.float32), entropy("clip").draw)
        assert set(rounded.tolist()) == {end * packing.offset}
        total = [weight * one for one in packing.pack(rounded)]
        assert max(total) < 2**2047
        assert set(packing.unpack(total, count, weight).tolist()) == {end * packing.offset * weight}
    with pytest.raises(ConfigError, match=f"a total weight of {weight}"):
        packing.check_weights([weight + 1])
    assert packing.check_weights([weight]) == weight


def test_sums_that_could_run_over_are_refused_beforehand():
    """The error says how many clients and how much weight there may be."""
    packing = Packing(2048, 16, 1.0, 10, 40)
    assert packing.check_weights([4] * 10) == 40
    for weights in ([1] * 11, [5, 36], [41], [4] * 9 + [5]):
        with pytest.raises(ConfigError, match="at most 10 clients and a total weight of 40"):
            packing.check_weights(weights)
    none: list[list[Any]] = [[], [0], [1, -1], [1.0], [True], [None], ["1"]]
    for weights in none:
        with pytest.raises(ConfigError, match="whole weight of at least 1"):
            packing.check_weights(weights)


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 7},
        {"bits": 25},
        {"bits": 16.0},
        {"bits": True},
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": math.nan},
        {"clip": math.inf},
        {"clip": True},
        {"clip": "1"},
        {"clip": None},
        {"clip": 10**400},
        {"clip": 5e-324},
        {"clients": 0},
        {"clients": 257},
        {"clients": -1},
        {"total_weight": 255},
        {"total_weight": MOST_WEIGHT + 1},
        {"key_bits": 24},
        {"key_bits": None},
        {"key_bits": -2048},
    ],
)
def test_settings_that_make_no_packing_are_refused(changes):
    """Each is named, before anything is computed."""
    fields = {"key_bits": 2048, "bits": 16, "clip": 1.0, "clients": 256, "total_weight": 256}
    with pytest.raises(ConfigError, match="packing"):
        Packing(**(fields | changes))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 65_535, 65_536, 70_000])
def test_what_is_not_finite_is_refused(value, at):
    """It is named by its place, wherever it stands."""
    values = np.zeros(70_001, np.float32)
    values[at] = value
    with pytest.raises(InvalidUpdate, match=f"value {at} is {value}"):
        PACKING.quantise(values, entropy("finite").draw)


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.zeros((2, 2), np.float32), np.zeros(0, np.float32), np.zeros(2, int)]
)
def test_other_arrays_are_refused(values):
    """One row of float32, at least one value."""
    with pytest.raises(InvalidUpdate, match="one row of float32"):
        PACKING.quantise(values, entropy("rows").draw)


def test_rounding_is_up_as_often_as_the_fraction_says():
    """Of all draws exactly that part goes up: the expectation is the value."""
    packing = Packing(2048, 8, 127.0, 1, 1)  # a step is 1
    draws = np.arange(0, 2**32, 2**20, dtype=np.uint64).astype("<u4").tobytes()
    for value in (0.25, 3.5, -0.25, -7.125, 126.0, 126.75):
        rounded = packing.quantise(np.full(4096, value, np.float32), lambda _: draws)
        assert set(rounded.tolist()) <= {math.floor(value), math.floor(value) + 1}
        assert rounded.mean() == value


def test_no_draw_takes_a_value_beyond_the_clip():
    """At the clip, beyond it and just below it, with the draws that round up most."""
    for bits, clip in product((8, 16, 24), (1.0, 0.1, 3.3, 1e-30, 1e30)):
        packing = Packing(2048, bits, clip, 1, 1)
        below = np.nextafter(np.float32(clip), np.float32(0))
        values = np.array([clip, -clip, below, -below, 3e38, -3e38], np.float32)
        for byte in (b"\0", b"\xff"):
            rounded = packing.quantise(values, byte.__mul__)
            assert np.abs(rounded).max() == packing.offset


def test_it_is_the_same_again_where_a_seed_says_so_and_only_there():
    """A seeded generator repeats its rounding; entropy does not; chunks do not matter."""
    values = values_of("again", 70_000)
    one, other = (np.random.default_rng(5).bytes for _ in range(2))
    assert (PACKING.quantise(values, one) == PACKING.quantise(values, other)).all()
    drawn = entropy("one stream").draw
    assert (PACKING.quantise(values, drawn) != PACKING.quantise(values, drawn)).any()
    whole = entropy("chunks").draw(4 * values.size)
    parts = iter([whole[: 4 * 65_536], whole[4 * 65_536 :]])
    alone = PACKING.quantise(values[65_536:], lambda _: whole[4 * 65_536 :])
    assert (PACKING.quantise(values, lambda _: next(parts))[65_536:] == alone).all()


@pytest.mark.hypothesis
@examples(150)
@given(
    st.integers(8, 24),
    st.floats(1e-6, 1e6),
    st.integers(1, 300),
    st.integers(64, 3072),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
)
def test_sums_are_exact(bits, clip, count, key_bits, weights):
    """Whatever the widths: packed, weighed, summed and unpacked is the sum of rounded values."""
    packing = Packing(key_bits, bits, clip, len(weights), sum(weights))
    rows = [
        packing.quantise(values_of(f"{k}", count, 1.2 * clip), entropy(f"{k}").draw)
        for k in range(len(weights))
    ]
    packed = [packing.pack(row) for row in rows]
    total = [
        sum(weight * one for weight, one in zip(weights, column, strict=True))
        for column in zip(*packed, strict=True)
    ]
    assert all(0 <= one < 2 ** (key_bits - 1) for one in total)
    wanted = sum(weight * row.astype(np.int64) for weight, row in zip(weights, rows, strict=True))
    found = packing.unpack(total, count, sum(weights))
    assert (found == wanted).all()
    mean = packing.mean(found, sum(weights))
    assert mean.dtype == np.float32
    clipped = [np.clip(values_of(f"{k}", count, 1.2 * clip), -clip, clip) for k in range(len(rows))]
    exact = np.average(np.array(clipped, np.float64), axis=0, weights=weights)
    assert np.abs(mean - exact).max() <= (1 + 1e-6 * packing.offset) / packing.scale


def test_a_million_values_take_little_memory_and_come_back():
    """They are packed by chunks of whole plaintexts."""
    values = np.tile(values_of("million", 1000), 1000)
    rounded = PACKING.quantise(values, np.random.default_rng(1).bytes)
    plaintexts = PACKING.pack(rounded)
    assert len(plaintexts) == PACKING.ciphertexts(values.size) == 11_765
    assert (PACKING.unpack(plaintexts, values.size, 1) == rounded).all()


# Hostile sums -----------------------------------------------------------------------------------

ROUNDED = PACKING.quantise(values_of("sums", 100), entropy("sums").draw)
PLAIN = PACKING.pack(ROUNDED)


def test_rounded_values_beyond_the_clip_are_not_packed():
    """Neither are arrays of another kind: what is packed is what was rounded."""
    for bad in (PACKING.offset + 1, -PACKING.offset - 1, 2**31 - 1, -(2**31)):
        with pytest.raises(CryptoError, match="beyond the clip"):
            PACKING.pack(np.array([0, bad], np.int32))
    for other in (ROUNDED.astype(np.int64), ROUNDED.reshape(2, -1), ROUNDED[:0]):
        with pytest.raises(CryptoError, match="one row of rounded values"):
            PACKING.pack(other)


@pytest.mark.parametrize(
    ("plaintexts", "said"),
    [
        ([], "do not hold"),
        (PLAIN[:1], "do not hold"),
        ([*PLAIN, 0], "do not hold"),
        ([PLAIN[0] | 1 << 2040, PLAIN[1]], "above its slots"),
        ([PLAIN[0], -1], "above its slots"),
        ([PLAIN[0] | 0xFFFFFF, PLAIN[1]], "no sum of the weight 1"),
        ([PLAIN[0], PLAIN[1] | 1 << 24 * 15], "no sum of the weight 1"),
        ([3 * one for one in PLAIN], "no sum of the weight 1"),
    ],
)
def test_what_is_no_sum_is_refused(plaintexts, said):
    """Too few, too many, bits above the slots, more than the weight allows, values in padding."""
    with pytest.raises(CryptoError, match=said) as caught:
        PACKING.unpack(plaintexts, 100, 1)
    assert caught.value.what.startswith("plaintext")


@pytest.mark.parametrize("weight", [0, -1, 257, 1.0, None])
def test_a_weight_that_no_sum_has_is_refused(weight):
    """From 1 to the packing's total weight."""
    with pytest.raises(ConfigError, match="no sum has the weight"):
        PACKING.unpack(PLAIN, 100, weight)
