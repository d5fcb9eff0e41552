"""Decryption by any t of l trainers, against textbook formulas; and what it does not open."""

import itertools
from dataclasses import replace
from math import factorial, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import CORES, place, scene

from fedledger.crypto.threshold import (
    Opening,
    check_opening,
    combine,
    decode_numbers,
    encode_numbers,
    lift,
    partial_decryptions,
)
from fedledger.errors import CryptoError

SCENE = scene()
KEYS, N = SCENE.keys, SCENE.n
ALL = SCENE.decrypted(1, 2, 3, 4, 5)
ROOTS = combine(KEYS, SCENE.ciphertexts, ALL, CORES)
OPENING = lift(KEYS, SCENE.ciphertexts, ROOTS, CORES)


def some(*trainers):
    return {at: ALL[at] for at in trainers}


def opened(made, ciphertexts, *trainers):
    """Open by these trainers."""
    shares = {at: partial_decryptions(made.shares[at - 1], ciphertexts, CORES) for at in trainers}
    return lift(made.keys, ciphertexts, combine(made.keys, ciphertexts, shares, CORES), CORES)


def textbook(c, p, q):
    """Paillier's decryption, 1999: L(c^λ mod n²)/λ modulo n."""
    n, exponent = p * q, (p - 1) * (q - 1)
    return (pow(c, exponent, n * n) - 1) // n * pow(exponent, -1, n) % n


def damgard_jurik(c, p, q, points, trainers):
    """Threshold decryption as in Damgård and Jurik, 2001, section 4.1, with s = 1, by a dealer."""
    n, order = p * q, (p // 2) * (q // 2)
    d = order * pow(order, -1, n)  # 0 modulo m and 1 modulo n
    terms = [d, 1234567, 7654321][: len(points)]
    secrets = {at: sum(a * at**k for k, a in enumerate(terms)) % (n * order) for at in points}
    delta, result = factorial(trainers), 1
    for one in points:
        share = pow(c, 2 * delta * secrets[one], n * n)
        weight = delta * prod(-k for k in points if k != one)
        weight //= prod(one - k for k in points if k != one)
        result = result * pow(share, 2 * weight, n * n) % (n * n)
    return (result - 1) // n * pow(4 * delta**2, -1, n) % n


def test_shares_roots_and_messages_are_those_of_the_formulas():
    """Share, combination and message follow the docstring of `keys`, in plain Python."""
    n, delta, points = N, 120, (1, 2, 3)
    secrets = {at: int.from_bytes(SCENE.shares[at - 1].encode(), "big") for at in points}
    for c, root, message in zip(SCENE.ciphertexts, ROOTS, SCENE.messages, strict=True):
        w = 1
        for one in points:
            share = pow(c, 2 * delta * secrets[one], n)
            assert ALL[one][SCENE.ciphertexts.index(c)] == min(share, n - share)
            weight = delta * prod(-k for k in points if k != one)
            weight //= prod(one - k for k in points if k != one)
            w = w * pow(share, 2 * weight, n) % n
        assert root == min(w, n - w)
        assert pow(w, n, n) == pow(c, 4 * delta**2, n)
        quotient = pow(c, 4 * delta**2, n * n) * pow(w, -n, n * n) % (n * n)
        assert quotient % n == 1
        assert (quotient - 1) // n * KEYS.theta % n == message


def test_messages_are_those_of_the_textbooks():
    """Paillier's own decryption and the threshold scheme modulo n² give the same messages."""
    p, q = SCENE.p, SCENE.q
    assert list(OPENING.messages) == SCENE.messages
    for c, message in zip(SCENE.ciphertexts, SCENE.messages, strict=True):
        assert textbook(c, p, q) == damgard_jurik(c, p, q, (2, 3, 5), 5) == message


@pytest.mark.parametrize("trainers", list(itertools.combinations(range(1, 6), 3)))
def test_any_t_trainers_open_everything(trainers):
    """Every three of five get the same roots and messages, exactly."""
    roots = combine(KEYS, SCENE.ciphertexts, some(*trainers), CORES)
    assert roots == ROOTS
    assert lift(KEYS, SCENE.ciphertexts, roots, CORES) == OPENING


@pytest.mark.parametrize(("trainers", "threshold"), [(2, 2), (3, 2), (4, 3), (7, 5), (10, 6)])
def test_any_majority_opens(trainers, threshold):
    """Other numbers of trainers, the last t of them, all of a sum."""
    made = scene(256, trainers, threshold)
    total = prod(made.ciphertexts) % made.n**2
    found = opened(made, [total], *range(trainers - threshold + 1, trainers + 1))
    assert found.messages == (sum(made.messages) % made.n,)


@pytest.mark.parametrize("bits", [2048, pytest.param(3072, marks=pytest.mark.soak)])
def test_a_key_of_full_size_opens(bits):
    """Two of three trainers open a sum of ciphertexts."""
    made = scene(bits, 3, 2, 3)
    total = prod(made.ciphertexts) % made.n**2
    made.keys.check()
    assert opened(made, [total, made.ciphertexts[2]], 1, 3).messages == (0, made.n - 1)


def test_fewer_than_t_open_nothing():
    """t-1 shares are refused; taken for a smaller threshold, they do not fit."""
    with pytest.raises(CryptoError, match="of 2 trainers, and 3 are needed"):
        combine(KEYS, SCENE.ciphertexts, some(2, 5), CORES)
    for pair in itertools.combinations(range(1, 6), 2):
        with pytest.raises(CryptoError, match="do not fit"):
            combine(replace(KEYS, threshold=2), SCENE.ciphertexts, some(*pair), CORES)


def test_which_shares_count_is_fixed():
    """Of more than t trainers the lowest numbers count, whatever else is given."""
    wrong = {**ALL, 5: [1] * len(ROOTS), 4: ALL[1]}
    assert combine(KEYS, SCENE.ciphertexts, wrong, CORES) == ROOTS


def tampered(at, how):
    """Return shares of 1, 2 and 4 with one of trainer 2's changed."""
    numbers = list(ALL[2])
    numbers[at] = how(numbers[at])
    return {**some(1, 4), 2: numbers}


@pytest.mark.parametrize("at", [0, 5, 11])
@pytest.mark.parametrize(
    "how",
    [lambda x: x * 2 % N, lambda x: x * x % N, lambda _x: 1, lambda x: pow(x, -1, N)],
    ids=["doubled", "squared", "one", "inverse"],
)
def test_one_wrong_share_is_seen(at, how):
    """Wherever it is: the combination is refused, with or without a proof of the share."""
    canonical = lambda x: min(how(x), N - how(x))  # noqa: E731
    with pytest.raises(CryptoError, match="do not fit"):
        combine(KEYS, SCENE.ciphertexts, tampered(at, canonical), CORES)


def test_shares_of_other_ciphertexts_are_seen():
    """Shares in another order, or of another sum, do not fit."""
    turned = {**some(1, 3), 2: [*ALL[2][1:], ALL[2][0]]}
    with pytest.raises(CryptoError, match="do not fit"):
        combine(KEYS, SCENE.ciphertexts, turned, CORES)
    other = [c * c % N**2 for c in SCENE.ciphertexts]
    with pytest.raises(CryptoError, match="do not fit"):
        combine(KEYS, other, some(1, 2, 3), CORES)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (ALL[2][:-1], "11 of them for 12"),
        ([*ALL[2], 1], "13 of them for 12"),
        ([0, *ALL[2][1:]], "number 0 is not from 1"),
        ([*ALL[2][:-1], N - ALL[2][-1]], "number 11 is not from 1"),
        ([N, *ALL[2][1:]], "number 0 is not from 1"),
        ([-5, *ALL[2][1:]], "number 0 is not from 1"),
        ([ALL[2][0], SCENE.p, *ALL[2][2:]], "number 1 shares a factor"),
    ],
)
def test_numbers_that_are_no_shares(numbers, said):
    """A wrong count, 0, n, a negated one, a multiple of a factor: each by trainer and position."""
    with pytest.raises(CryptoError, match=f"shares of trainer 2: .*{said}"):
        combine(KEYS, SCENE.ciphertexts, {**some(1, 3), 2: numbers}, CORES)


@pytest.mark.parametrize("trainer", [0, 6, -1])
def test_nobody_else_gives_shares(trainer):
    """A number that is no trainer's is refused, even beyond the t that count."""
    with pytest.raises(CryptoError, match="trainer: there is no number"):
        combine(KEYS, SCENE.ciphertexts, {**ALL, trainer: ALL[1]}, CORES)


@pytest.mark.parametrize("wrong", [0, N, 2 * N, N**2, N**2 + 1, -1, SCENE.p, 5 * SCENE.q], ids=str)
def test_numbers_that_are_no_ciphertexts(wrong):
    """0, multiples of n, n² and beyond, and multiples of a factor are never decrypted."""
    batch = [SCENE.ciphertexts[0], wrong]
    calls = [
        lambda: partial_decryptions(SCENE.shares[0], batch, CORES),
        lambda: combine(KEYS, batch, {at: ALL[at][:2] for at in (1, 2, 3)}, CORES),
        lambda: lift(KEYS, batch, ROOTS[:2], CORES),
        lambda: check_opening(KEYS, batch, Opening((0, 0), tuple(ROOTS[:2])), place(KEYS)),
    ]
    for call in calls:
        with pytest.raises(CryptoError, match="ciphertext 1: it is not in Z"):
            call()


def test_nothing_is_not_opened():
    """An empty batch is refused everywhere: nothing checked is nothing passed."""
    calls = [
        lambda: partial_decryptions(SCENE.shares[0], [], CORES),
        lambda: combine(KEYS, [], {1: [], 2: [], 3: []}, CORES),
        lambda: lift(KEYS, [], [], CORES),
        lambda: check_opening(KEYS, [], Opening((), ()), place(KEYS)),
    ]
    for call in calls:
        with pytest.raises(CryptoError, match="there are none"):
            call()


def test_ciphertexts_of_small_order_open_to_what_is_in_them():
    """1, -1, 1 + n, and ciphertexts with a factor -1 or without blinding: exact as any other."""
    n2 = N**2
    batch = [1, n2 - 1, 1 + N, n2 - 1 - N, n2 - SCENE.ciphertexts[3], 1 + 5 * N]
    assert opened(SCENE, batch, 1, 3, 5).messages == (0, 0, 1, 1, SCENE.messages[3], 5)


def test_an_opening_proves_itself():
    """Messages and roots verify without any share, however the roots' signs are."""
    check_opening(KEYS, SCENE.ciphertexts, OPENING, place(KEYS))
    for at in range(len(ROOTS)):
        part = slice(at, at + 1)
        one = Opening(OPENING.messages[part], OPENING.roots[part])
        check_opening(KEYS, SCENE.ciphertexts[part], one, place(KEYS))


@examples(60)
@given(st.integers(0, 11), st.integers(1, N - 1), st.booleans())
def test_no_other_message_or_root_verifies(at, by, message):
    """Whatever is added to one message, or multiplied to one root, is seen."""
    messages, roots = list(OPENING.messages), list(OPENING.roots)
    if message:
        messages[at] = (messages[at] + by) % N
    else:
        other = roots[at] * (by + 1) % N
        roots[at] = min(other, N - other)
        if roots[at] in {0, OPENING.roots[at]}:
            return
    with pytest.raises(CryptoError, match=r"opening|roots"):
        check_opening(KEYS, SCENE.ciphertexts, Opening(tuple(messages), tuple(roots)), place(KEYS))
    if not message:
        with pytest.raises(CryptoError, match=f"number {at} "):
            lift(KEYS, SCENE.ciphertexts, roots, CORES)


def test_errors_do_not_cancel():
    """Two messages that are off by amounts that cancel in the sum are refused all the same."""
    messages = list(OPENING.messages)
    messages[3], messages[4] = (messages[3] + 1) % N, (messages[4] - 1) % N
    with pytest.raises(CryptoError, match="not those"):
        check_opening(KEYS, SCENE.ciphertexts, Opening(tuple(messages), OPENING.roots), place(KEYS))
    messages[3], messages[4] = OPENING.messages[4], OPENING.messages[3]
    roots = list(ROOTS)
    roots[3], roots[4] = roots[4], roots[3]
    with pytest.raises(CryptoError, match="not those"):
        check_opening(KEYS, SCENE.ciphertexts, Opening(tuple(messages), tuple(roots)), place(KEYS))


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (OPENING.messages[:-1], "11 of them for 12"),
        ((*OPENING.messages[:-1], N), "number 11 is not from 0"),
        ((*OPENING.messages[:-1], -1), "number 11 is not from 0"),
        ((*OPENING.messages[:-1], OPENING.messages[-1] + N), "number 11 is not from 0"),
        ((*OPENING.messages[:-1], 0.5), "number 11 is not from 0"),
    ],
)
def test_messages_that_are_none(messages, said):
    """A wrong count, or a number beyond 0 to n-1, by its position."""
    with pytest.raises(CryptoError, match=f"messages: .*{said}"):
        check_opening(KEYS, SCENE.ciphertexts, Opening(messages, OPENING.roots), place(KEYS))


def test_lifting_is_done_in_parts():
    """Parties that lift a part each get what one gets from all."""
    parts = [slice(0, 5), slice(5, 6), slice(6, 12)]
    found = [lift(KEYS, SCENE.ciphertexts[one], ROOTS[one], CORES) for one in parts]
    assert sum((one.messages for one in found), ()) == OPENING.messages


def test_numbers_travel_as_bytes():
    """Shares come back from their bytes; another length, 0 or a negated one does not."""
    data = encode_numbers(KEYS, ALL[3])
    assert len(data) == 12 * 64
    assert decode_numbers("shares", KEYS, data, 12) == ALL[3]
    for wrong in (data[:-1], data + b"\0", b"", data[64:]):
        with pytest.raises(CryptoError, match=r"shares: .*bytes, where 12 have 768"):
            decode_numbers("shares", KEYS, wrong, 12)
    for number in (0, N - ALL[3][0], N, 2**512 - 1):
        with pytest.raises(CryptoError, match="number 0 is not from 1"):
            decode_numbers("shares", KEYS, number.to_bytes(64, "big") + data[64:], 12)


def test_roots_of_a_sum_tell_the_product_of_the_blindings_and_no_more():
    """A root is h's root to 4Δ²·Σx_j: what anybody with that sum and h's root computes."""
    n, p, q = N, SCENE.p, SCENE.q
    total = prod(SCENE.ciphertexts[3:6]) % n**2
    found = opened(SCENE, [total], 1, 2, 3)
    base = pow(KEYS.public.h % n, pow(n, -1, (p - 1) * (q - 1)), n)
    w = pow(base, 4 * 120**2 * sum(SCENE.blindings[3:6]), n)
    assert found.roots == (min(w, n - w),)
