"""Dealing a threshold key, its public half, and what is refused as one."""

import copy
import pickle
from dataclasses import replace

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import entropy, scene

from fedledger.crypto.paillier import PublicKey
from fedledger.crypto.threshold import MOST_TRAINERS, KeyShare, ThresholdKeys, deal
from fedledger.errors import CryptoError

SCENE = scene()
KEYS = SCENE.keys
HEAD = 26 + 4 + len(KEYS.public.encode())


def test_what_is_dealt_is_what_the_formulas_say():
    """Shares lie on a polynomial whose value at 0 is 1/n modulo p'·q'; v and v_i are theirs."""
    p, q, n, delta = SCENE.p, SCENE.q, SCENE.n, 120
    order = (p // 2) * (q // 2)
    secrets = [int.from_bytes(share.encode(), "big") for share in SCENE.shares]
    for points in ((1, 2, 3), (2, 4, 5), (1, 3, 5)):
        total = 0
        for one in points:
            term = secrets[one - 1]
            for other in points:
                if other != one:
                    term = term * -other * pow(one - other, -1, order)
            total += term
        assert total * n % order == 1
    assert list(KEYS.verification) == [pow(KEYS.v, delta * one, n) for one in secrets]
    assert pow(KEYS.v, order, n) == 1
    assert all(pow(KEYS.v, order // one, n) != 1 for one in (p // 2, q // 2))
    assert KEYS.theta * 4 * delta**2 % n == 1
    KEYS.check(toy=True)


def test_a_key_comes_back_and_has_one_form():
    """Decoding gives the same key; its digest is that of its bytes."""
    again = ThresholdKeys.decode(KEYS.encode(), toy=True)
    assert again == KEYS
    assert (again.digest, again.encode()) == (KEYS.digest, KEYS.encode())
    assert (again.trainers, again.threshold, again.delta) == (5, 3, 120)


def test_dealing_forgets_what_it_made_the_key_from():
    """No value that is returned has a factor of n, nor 1/n modulo the order, in it."""
    keys, shares = deal(128, 3, 2, entropy("forget"), toy=True)
    numbers = [keys.public.n, keys.public.h, keys.v, *keys.verification]
    numbers += [int.from_bytes(share.encode(), "big") for share in shares]
    assert all(gmpy2.gcd(one, keys.public.n) == 1 for one in numbers[1:])
    assert set(vars(keys)) <= {
        "public",
        "threshold",
        "v",
        "verification",
        "delta",
        "theta",
        "digest",
    }
    assert set(KeyShare.__slots__) == {"_secret", "keys", "trainer"}


def test_a_share_shows_nothing_and_is_not_copied():
    """Its text has no secret, in no base; pickle and copy refuse it."""
    share = SCENE.shares[1]
    secret = int.from_bytes(share.encode(), "big")
    text = f"{share!r} {share} {KEYS!r}"
    assert str(secret)[:12] not in text
    assert f"{secret:x}"[:12] not in text
    assert "trainer 2" in text
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            attempt(share)


def test_a_share_comes_back():
    """Its bytes give the same share again."""
    share = SCENE.shares[4]
    again = KeyShare.decode(share.encode(), 5, KEYS)
    assert (again.exponent, again.trainer) == (share.exponent, 5)


@pytest.mark.parametrize("trainer", [1, 2, 3, 4, 5])
def test_a_dealers_wrong_share_is_seen(trainer):
    """A share that is off by one, another trainer's, zero or too large does not fit to v_i."""
    right = int.from_bytes(SCENE.shares[trainer - 1].encode(), "big")
    for wrong in (right + 1, right - 1, int.from_bytes(SCENE.shares[trainer % 5].encode(), "big")):
        with pytest.raises(CryptoError, match=f"verification key {trainer}: the dealer's fault"):
            KeyShare(trainer, wrong, KEYS)
    for odd in (0, -right, SCENE.n, right + SCENE.n, True, float(3)):
        with pytest.raises(CryptoError, match="1 to n-1"):
            KeyShare(trainer, odd, KEYS)
    with pytest.raises(CryptoError, match="63 bytes, and it has 64"):
        KeyShare.decode(SCENE.shares[trainer - 1].encode()[1:], trainer, KEYS)


@pytest.mark.parametrize("trainer", [0, 6, -1, True, 1.0])
def test_a_share_belongs_to_a_trainer(trainer):
    """Trainers are numbered from 1 to l."""
    with pytest.raises(CryptoError, match="no number"):
        KeyShare(trainer, 5, KEYS)


@pytest.mark.parametrize(
    ("trainers", "threshold", "said"),
    [
        (5, 6, "more than all"),
        (5, 2, "no majority"),
        (10, 5, "no majority"),
        (2, 1, "no majority"),
        (5, 0, "no majority"),
        (5, -3, "no majority"),
        (1, 1, "2 to 64"),
        (0, 0, "2 to 64"),
        (MOST_TRAINERS + 1, MOST_TRAINERS, "factorial"),
    ],
)
def test_thresholds_that_cannot_be(trainers, threshold, said):
    """Thresholds above l, up to l/2, and too many trainers: refused before a prime is drawn."""
    with pytest.raises(CryptoError, match=said):
        deal(2048, trainers, threshold, None)


@pytest.mark.parametrize("bits", [1024, 2047, 4096, 0, 512])
def test_sizes_that_cannot_be(bits):
    """Only 2048 and 3072 bits; smaller ones for tests are to be asked for."""
    with pytest.raises(CryptoError, match="2048 or 3072"):
        deal(bits, 5, 3, None)


def changed(**fields):
    return replace(KEYS, **fields)


def verified(at, value):
    numbers = list(KEYS.verification)
    numbers[at] = value
    return changed(verification=tuple(numbers))


WRONG = {
    "t above l": (changed(threshold=6), "threshold: .* more than all"),
    "t half of l": (changed(threshold=2), "threshold: .* no majority"),
    "t too high": (changed(threshold=4), "threshold: fewer than 4"),
    "one key missing": (changed(verification=KEYS.verification[:-1]), "polynomial|roots"),
    "one key twice": (verified(4, KEYS.verification[3]), "verification key 5: .*no polynomial"),
    "two keys exchanged": (
        changed(verification=(*KEYS.verification[1::-1], *KEYS.verification[2:])),
        "polynomial|roots",
    ),
    "v is 0": (changed(v=0), "v: .*Z"),
    "v is 1": (changed(v=1), "v: .*Z"),
    "v is -1": (changed(v=SCENE.n - 1), "v: .*Z"),
    "v is n": (changed(v=SCENE.n), "v: .*Z"),
    "v has a factor": (changed(v=SCENE.p), "v: .*Z"),
    "v is another square": (changed(v=KEYS.v**2 % SCENE.n), "roots|polynomial"),
    "v is no square": (
        changed(v=next(x for x in range(2, 99) if gmpy2.jacobi(x, SCENE.n) == -1)),
        "v: .*no square",
    ),
    "v_2 is 0": (verified(1, 0), "verification key 2: .*Z"),
    "v_2 is 1": (verified(1, 1), "verification key 2: .*Z"),
    "v_2 has a factor": (verified(1, 3 * SCENE.q), "verification key 2: .*Z"),
    "v_2 is another": (verified(1, KEYS.verification[1] * KEYS.v % SCENE.n), "polynomial|roots"),
    "v_5 is another": (verified(4, KEYS.verification[4] * KEYS.v % SCENE.n), "key 5: .*polynomial"),
    "another modulus": (
        changed(public=scene(512, 3, 2).keys.public),
        "Z|square|polynomial|roots",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_keys_that_cannot_be(name):
    """Each is refused by the name of the wrong part, as a value and from its bytes."""
    keys, said = WRONG[name]
    with pytest.raises(CryptoError, match=said):
        keys.check(toy=True)
    with pytest.raises(CryptoError):
        ThresholdKeys.decode(keys.encode(), toy=True)


def test_a_negated_verification_key_is_seen_by_its_trainer():
    """Nobody without the factors tells a square from its negative; who has the share does."""
    keys = verified(1, SCENE.n - KEYS.verification[1])
    secret = int.from_bytes(SCENE.shares[1].encode(), "big")
    with pytest.raises(CryptoError, match="verification key 2: the dealer's fault"):
        KeyShare(2, secret, keys)


def test_a_dealer_cannot_give_shares_that_open_nothing():
    """A polynomial of degree t, or with another value at 0, is seen in the v_i by everybody."""
    n, p, q = SCENE.n, SCENE.p, SCENE.q
    order = (p // 2) * (q // 2)
    for terms in ([pow(n, -1, order), 5, 6, 7], [3, 5, 6], [1 + pow(n, -1, order), 5, 6]):
        secrets = [sum(c * at**k for k, c in enumerate(terms)) % order for at in range(1, 6)]
        numbers = tuple(pow(KEYS.v, 120 * one, n) for one in secrets)
        with pytest.raises(CryptoError, match=r"polynomial|roots"):
            changed(verification=numbers).check(toy=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no threshold keys of version 1"),
        (KEYS.encode()[:25], "no threshold keys of version 1"),
        (b"x" + KEYS.encode()[1:], "no threshold keys of version 1"),
        (KEYS.encode()[:40], "end within"),
        (KEYS.encode()[:-1], "verification keys: .*bytes"),
        (KEYS.encode() + b"\0", "verification keys: .*bytes"),
        (KEYS.encode()[:HEAD] + b"\0\x06\0\x05" + KEYS.encode()[HEAD + 4 :], "more than all"),
        (KEYS.encode()[:HEAD] + b"\0\x02\0\x05" + KEYS.encode()[HEAD + 4 :], "no majority"),
        (KEYS.encode()[:HEAD] + b"\0\x03\0\x04" + KEYS.encode()[HEAD + 4 :], "verification keys"),
        (KEYS.encode()[:HEAD] + b"\xff\xff\xff\xff" + KEYS.encode()[HEAD + 4 :], "2 to 64"),
        (KEYS.encode()[:26] + b"\xff\xff\xff\xff" + KEYS.encode()[30:], "end within"),
    ],
)
def test_bytes_that_are_no_keys(data, said):
    """Wrong labels, lengths and counts, each by its name."""
    with pytest.raises(CryptoError, match=said):
        ThresholdKeys.decode(data, toy=True)


@examples(40)
@given(st.integers(0, len(KEYS.encode()) - 1), st.integers(1, 255))
def test_every_byte_of_a_key_counts(at, by):
    """Whatever byte changes, h's apart, the keys are refused; the digest changes with every one."""
    data = bytearray(KEYS.encode())
    data[at] ^= by
    in_h = HEAD - 128 <= at < HEAD
    if in_h:  # that h is an n-th power is the dealer's word
        other = PublicKey(512, SCENE.n, int.from_bytes(data[HEAD - 128 : HEAD], "big"))
        assert replace(KEYS, public=other).digest != KEYS.digest
        return
    with pytest.raises(CryptoError):
        ThresholdKeys.decode(bytes(data), toy=True)


def test_a_toy_is_said_to_be_one():
    """A key of few bits is refused where nobody asked for a toy."""
    with pytest.raises(CryptoError, match="2048 or 3072"):
        ThresholdKeys.decode(KEYS.encode())


@pytest.mark.parametrize(
    ("agreed", "said"),
    [
        ({"bits": 2048, "trainers": 5, "threshold": 3}, "modulus: it has 512 bits, and 2048"),
        ({"bits": 512, "trainers": 6, "threshold": 3}, "threshold: 3 of 5 .* 3 of 6"),
        ({"bits": 512, "trainers": 5, "threshold": 4}, "threshold: 3 of 5 .* 4 of 5"),
        (
            {"bits": 512, "trainers": 5, "threshold": 3, "modulus": SCENE.n + 2},
            "modulus: it is not the one",
        ),
    ],
)
def test_a_key_of_another_kind_than_agreed(agreed, said):
    """Another modulus or size of it, number of trainers or threshold is refused by its name."""
    KEYS.check_agreed(bits=512, trainers=5, threshold=3)
    KEYS.check_agreed(bits=512, trainers=5, threshold=3, modulus=SCENE.n)
    with pytest.raises(CryptoError, match=said):
        KEYS.check_agreed(**agreed)
