"""Batches: fresh randomness, exact sums, and refusal of what is no ciphertext."""

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import gmpy2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.paillier import ONE, TWO, encrypted, entropy, toy

from fedledger.crypto.paillier import (
    Comb,
    Packing,
    add,
    check,
    decrypt,
    encrypt,
    from_bytes,
    to_bytes,
)
from fedledger.crypto.paillier.blinding import WINDOWS, window
from fedledger.crypto.paillier.packing import MOST_WEIGHT
from fedledger.errors import CryptoError

SECRET = toy(512)
KEY = SECRET.public
N, N2 = KEY.n, KEY.n2
BATCH = encrypted(SECRET, list(range(40)))

# Blinding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("uses", [0, 1, 20, 200, 10**9])
def test_a_table_gives_powers(uses):
    """The same as by squaring, for every width of digits, from 0 to the largest exponent."""
    comb, most = Comb(KEY, uses), 2**KEY.blinding_bits - 1
    for x in (0, 1, 2, most, most - 1, most >> 1, 1 << KEY.blinding_bits - 1, int(KEY.h % most)):
        assert comb.power(x) == pow(KEY.h, x, N2)


def test_the_digit_follows_from_what_a_table_is_for():
    """It takes no more products than any other, made and used; more uses, wider digits."""
    for bits in (1024, 1536):
        chosen = [window(bits, uses) for uses in (0, 10, 100, 1000, 10_000, 10**6)]
        assert chosen == sorted(chosen)
        assert (chosen[0], chosen[-1]) == (WINDOWS[0], WINDOWS[-1])
    assert window(1024, 1177) == 8


@pytest.mark.parametrize("x", [-1, 2**256, 2**257])
def test_other_exponents_are_refused(x):
    """Negative, or longer than the blinding of this key."""
    with pytest.raises(CryptoError, match="x has 0 to 256 bits") as caught:
        Comb(KEY).power(x)
    assert caught.value.what == "blinding"


@pytest.mark.parametrize("h", [0, 1, N, 7 * SECRET.p, N2, -5])
def test_a_table_of_what_is_no_base_is_refused(h):
    """A key that nobody checked does no harm."""
    with pytest.raises(CryptoError, match=r"h: it is not in Z\*"):
        Comb(type(KEY)(KEY.bits, N, h))


# Encrypting -------------------------------------------------------------------------------------


def test_a_ciphertext_is_the_formulas():
    """(1 + m·n)·hˣ mod n², with the x that its maker gets for its proof."""
    assert len(BATCH.ciphertexts) == len(BATCH.blindings) == 40
    for m, (c, x) in enumerate(zip(BATCH.ciphertexts, BATCH.blindings, strict=True)):
        assert c == (1 + m * N) * pow(KEY.h, x, N2) % N2
        assert 0 <= x < 2**KEY.blinding_bits
        assert type(c) is type(x) is int


def test_randomness_is_fresh_every_time():
    """Of one message no two ciphertexts are alike, in a batch or from batch to batch."""
    comb, drawn = Comb(KEY), entropy("fresh")
    batches = [encrypt(comb, [5] * 50, drawn, ONE) for _ in range(2)]
    assert len({c for batch in batches for c in batch.ciphertexts}) == 100
    assert len({x for batch in batches for x in batch.blindings}) == 100


def test_blindings_have_all_their_bits():
    """Half as many as n, all of them drawn."""
    asked = []

    def draw(count):
        asked.append(count)
        return b"\xff" * count

    found = encrypt(Comb(KEY), [1, 2], SimpleNamespace(draw=draw), ONE)
    assert sum(asked) == 2 * KEY.blinding_bits // 8
    assert found.blindings == [2**KEY.blinding_bits - 1] * 2


def test_blindings_are_not_shown():
    """They open their ciphertexts, so they are in no repr and are not pickled."""
    assert repr(BATCH) == "Encrypted(40 ciphertexts)"
    for kept in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            kept(BATCH)


@pytest.mark.parametrize("m", [-1, N, N + 1, 2**600, 1.0, None, "1"])
def test_messages_out_of_range_are_refused(m):
    """Modulo n they would be others. Nothing is encrypted then."""
    with pytest.raises(CryptoError, match="from 0 to n-1") as caught:
        encrypt(Comb(KEY), [0, m, 1], entropy("range"), ONE)
    assert caught.value.what == "plaintext 1"


def test_cores_change_nothing():
    """One thread or two: the same ciphertexts, messages and errors."""
    comb, plaintexts = Comb(KEY), list(range(100))
    one, two = (encrypt(comb, plaintexts, entropy("cores"), cores) for cores in (ONE, TWO))
    assert one.ciphertexts == two.ciphertexts
    assert decrypt(SECRET, one.ciphertexts, TWO) == plaintexts
    assert decrypt(SECRET, one.ciphertexts, ONE) == plaintexts

    def fail(item):
        if item in {30, 70}:
            raise CryptoError(f"item {item}", "fails")
        return item

    for cores in (ONE, TWO):
        assert cores.each(str, plaintexts) == [str(one) for one in plaintexts]
        assert cores.each(str, []) == []
        with pytest.raises(CryptoError, match="item 30"):
            cores.each(fail, plaintexts)
        assert not gmpy2.get_context().allow_release_gil, "others' numbers are left as they are"


# Sums -------------------------------------------------------------------------------------------


@pytest.mark.hypothesis
@examples(40)
@given(
    st.integers(8, 24),
    st.sampled_from([128, 256, 512]),
    st.integers(1, 40),
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
    st.booleans(),
)
def test_the_average_is_the_plaintext_average_to_the_last_bit(bits, key, count, weights, plain):
    """Encrypted, multiplied and opened gives exactly the weighted sum of the rounded values."""
    secret = toy(key)
    weights = [1] * len(weights) if plain else weights
    packing = Packing(key, bits, 2.0, len(weights), packing_weight := sum(weights))
    assert packing.check_weights(weights) == packing_weight
    rows, batches = [], []
    for client in range(len(weights)):
        values = np.random.default_rng(client).normal(0, 1, count).astype(np.float32)
        rows.append(packing.quantise(values, np.random.default_rng(client).bytes))
        batches.append(encrypted(secret, packing.pack(rows[-1]), f"{client}").ciphertexts)
    total = add(secret.public, iter(batches), None if plain else weights)
    found = packing.unpack(decrypt(secret, total, ONE), count, sum(weights))
    wanted = sum(w * row.astype(np.int64) for w, row in zip(weights, rows, strict=True))
    assert (found == wanted).all()
    assert (packing.mean(found, sum(weights)) == packing.mean(wanted, sum(weights))).all()


@pytest.mark.parametrize("weights", [[1], [2], [3, 1], [5, 4, 2], [255, 256, 1], [MOST_WEIGHT, 1]])
def test_weights_are_powers(weights):
    """The product is that of each ciphertext to its weight, whichever bits those have."""
    batches = [encrypted(SECRET, [7, k], f"{k}").ciphertexts for k in range(len(weights))]
    wanted = [1, 1]
    for batch, weight in zip(batches, weights, strict=True):
        wanted = [w * pow(c, weight, N2) % N2 for w, c in zip(wanted, batch, strict=True)]
    found = add(KEY, batches, weights)
    assert found == wanted
    assert all(type(c) is int for c in found)
    assert decrypt(SECRET, found, ONE)[0] == 7 * sum(weights) % N


@pytest.mark.parametrize(
    ("batches", "weights", "what"),
    [
        ([], None, "batches"),
        ([], [1], "batches"),
        ([[]], None, "batch 0"),
        ([[1], [1, 1]], None, "batch 1"),
        ([[1], []], None, "batch 1"),
        ([[1], [1]], [1], "weight 1"),
        ([[1]], [1, 1], "batches"),
        ([[1]], [0], "weight 0"),
        ([[1], [1]], [1, -1], "weight 1"),
        ([[1]], [True], "weight 0"),
        ([[1]], [1.0], "weight 0"),
        ([[1]], [MOST_WEIGHT + 1], "weight 0"),
    ],
)
def test_sums_of_what_does_not_go_together_are_refused(batches, weights, what):
    """No batch, other lengths, other numbers of weights, weights that are none."""
    with pytest.raises(CryptoError) as caught:
        add(KEY, batches, weights)
    assert caught.value.what == what


# Bytes of others --------------------------------------------------------------------------------

DATA = to_bytes(KEY, BATCH.ciphertexts)


def test_bytes_come_back():
    """Each ciphertext has the key's width, small ones too."""
    assert len(DATA) == 40 * KEY.width == 40 * 128
    assert from_bytes(KEY, DATA, 40) == BATCH.ciphertexts
    assert to_bytes(KEY, [1]) == bytes(127) + b"\1"
    assert from_bytes(KEY, bytes(127) + b"\1", 1) == [1]


@pytest.mark.parametrize(
    ("data", "count"),
    [(b"", 40), (DATA[:-1], 40), (DATA + b"\0", 40), (DATA, 39), (DATA, 41), (DATA[:128], 40)],
)
def test_another_length_is_refused(data, count):
    """Shorter, longer, or another number of ciphertexts than there have to be."""
    with pytest.raises(CryptoError, match="do not hold") as caught:
        from_bytes(KEY, data, count)
    assert caught.value.what == "ciphertexts"


@pytest.mark.parametrize("bad", [0, N2, N2 + 1, 2**1024 - 1, N, SECRET.p, SECRET.q * 99, N2 - N])
@pytest.mark.parametrize("at", [0, 17, 39])
def test_numbers_that_are_no_ciphertexts_are_refused(bad, at):
    """The first is named; it says nothing of the factors."""
    given = list(BATCH.ciphertexts)
    given[at] = bad
    for read in (
        lambda: check(KEY, given),
        lambda: from_bytes(KEY, to_bytes(KEY, given), 40),
        lambda: decrypt(SECRET, given, ONE),
    ):
        with pytest.raises(CryptoError, match=r"not in Z\*_") as caught:
            read()
        assert caught.value.what == f"ciphertext {at}"
        assert str(bad) not in str(caught.value) or bad == 0


def test_two_that_share_the_factors_between_them_are_found():
    """A multiple of p and one of q: their product alone would be 0 modulo n."""
    given = list(BATCH.ciphertexts)
    given[5], given[9] = SECRET.p, SECRET.q
    with pytest.raises(CryptoError) as caught:
        check(KEY, given)
    assert caught.value.what == "ciphertext 5"


def test_what_are_ciphertexts_pass():
    """All of Z*_{n²}: a negative one is none, and no batch is checked in vain."""
    check(KEY, BATCH.ciphertexts)
    check(KEY, [1, N2 - 1, N - 1, N + 1])
    others: list[Any] = [-1, 1.0, None, "1"]
    for none in others:
        with pytest.raises(CryptoError, match="ciphertext 1"):
            check(KEY, [1, none])


@pytest.mark.hypothesis
@examples(60)
@given(st.binary(max_size=600), st.integers(0, 5))
def test_any_bytes_are_a_batch_or_refused(data, count):
    """Nothing but this library's error comes of them."""
    try:
        found = from_bytes(KEY, data, count)
    except CryptoError:
        return
    assert to_bytes(KEY, found) == data
