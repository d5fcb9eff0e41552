"""Keys of packed Paillier: what makes one, what is refused, and what is never shown."""

import copy
import math
import pickle
from dataclasses import replace

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.base_only import environment, python
from support.examples import examples
from support.paillier import entropy, toy

from fedledger.crypto.paillier import PublicKey, SecretKey
from fedledger.crypto.paillier.keys import SIZES, TOY_SIZES
from fedledger.errors import CryptoError

SECRET = toy(512)
KEY = SECRET.public


@pytest.mark.parametrize("bits", SIZES)
def test_a_new_key_is_what_the_definition_says(bits):
    """Primes of half the size, 3 mod 4, without common factors; h is -y² to the power n."""
    secret = SecretKey.create(bits, entropy(f"new {bits}"))
    p, q, public = secret.p, secret.q, secret.public
    assert p * q == public.n
    assert public.n.bit_length() == public.bits == bits
    assert p.bit_length() == q.bit_length() == bits // 2
    assert gmpy2.is_prime(p)
    assert gmpy2.is_prime(q)
    assert p % 4 == q % 4 == 3
    assert math.gcd(p - 1, q - 1) == 2
    assert math.gcd(public.n, (p - 1) * (q - 1)) == 1
    assert all((p - 1) // 2 % r and (q - 1) // 2 % r for r in range(3, 2**16, 2))
    assert pow(public.h, (p - 1) * (q - 1), public.n2) == 1, "an n-th power"
    assert gmpy2.jacobi(public.h, p) == gmpy2.jacobi(public.h, q) == -1, "of -y², no square"
    assert (public.width, public.blinding_bits) == (bits // 4, bits // 2)
    public.check()
    assert PublicKey.decode(public.encode()) == public


def test_two_keys_have_nothing_in_common():
    """Another draw, another modulus; another draw for the same modulus, another h."""
    assert math.gcd(toy(512).public.n, toy(512, "b").public.n) == 1
    again = PublicKey.of_modulus(KEY.n, entropy("another y"))
    assert again.n == KEY.n
    assert again.h != KEY.h
    assert again.digest != KEY.digest
    SecretKey(SECRET.p, SECRET.q, again, toy=True)


@pytest.mark.parametrize("bits", [0, 64, 512, 1024, 2047, 2049, 4096])
def test_keys_that_hide_nothing_are_refused_unless_they_are_asked_for(bits):
    """Making, reading or checking a small key takes a word for it."""
    with pytest.raises(CryptoError, match="2048 or 3072 bits") as caught:
        SecretKey.create(bits, entropy("small"))
    assert caught.value.what == "key size"
    small = toy(256).public
    for refused in (small.check, lambda: PublicKey.decode(small.encode())):
        with pytest.raises(CryptoError, match="2048 or 3072 bits"):
            refused()
    with pytest.raises(CryptoError, match="2048 or 3072 bits"):
        SecretKey(toy(256).p, toy(256).q, small)


@pytest.mark.parametrize("bits", [*TOY_SIZES[:6], 1024, 4096, 65])
def test_sizes_of_toys(bits):
    """Multiples of 16 from 64 to 1024; nothing else, even as a toy."""
    if bits in TOY_SIZES:
        secret = SecretKey.create(bits, entropy(f"toy {bits}"), toy=True)
        assert secret.public.n.bit_length() == bits
        assert PublicKey.decode(secret.public.encode(), toy=True) == secret.public
    else:
        with pytest.raises(CryptoError, match="key size"):
            SecretKey.create(bits, entropy("toy"), toy=True)


P, Q, N = SECRET.p, SECRET.q, SECRET.public.n
SMALL = next(n for n in range(2**511 // 105 * 105 + 105, 2**512, 105) if n % 4 == 1)
NO_RESIDUE = next(a for a in range(2, 100) if gmpy2.jacobi(a, N) == -1)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("public key", {"n": float(N)}),
        ("public key", {"h": None}),
        ("public key", {"bits": True}),
        ("key size", {"bits": 511}),
        ("key size", {"bits": 2**70}),
        ("key size", {"bits": -512}),
        ("modulus", {"n": -N}),
        ("modulus", {"n": 0}),
        ("modulus", {"bits": 496}),
        ("modulus", {"n": N * 4}),
        ("modulus", {"n": N + 1}),
        ("modulus", {"n": N + 2}),
        ("modulus", {"n": SMALL}),
        ("modulus", {"n": int(gmpy2.next_prime(2**511))}),
        ("modulus", {"n": int(gmpy2.next_prime(3 * 2**254)) ** 2}),
        ("h", {"h": 0}),
        ("h", {"h": 1}),
        ("h", {"h": -KEY.h}),
        ("h", {"h": KEY.n2}),
        ("h", {"h": KEY.n2 + 1}),
        ("h", {"h": KEY.n2 - 1}),
        ("h", {"h": 1 + N}),
        ("h", {"h": N}),
        ("h", {"h": P}),
        ("h", {"h": 5 * Q}),
        ("h", {"h": NO_RESIDUE}),
    ],
)
def test_what_cannot_be_a_key_is_refused(what, changes):
    """Of each part what can be seen without the factors is checked, and named."""
    with pytest.raises(CryptoError) as caught:
        replace(KEY, **changes).check(toy=True)
    assert caught.value.what == what


DATA = KEY.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DATA[:10],
        DATA[:24],
        DATA[:27],
        DATA[:-1],
        DATA + b"\0",
        b"F" + DATA[1:],
        DATA.replace(b"key 1", b"key 2"),
        DATA[:24] + b"\xff" * 4 + DATA[28:],
        DATA[:24] + (256).to_bytes(4, "big") + DATA[28:],
        DATA[:28] + bytes(len(DATA) - 28),
        DATA[:28] + b"\xff" * (len(DATA) - 28),
    ],
)
def test_bytes_that_are_no_key_are_refused(data):
    """Wrong label, version, size, length or numbers: one error, whatever they are."""
    with pytest.raises(CryptoError):
        PublicKey.decode(data, toy=True)


@pytest.mark.hypothesis
@examples(100)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_every_byte_of_a_key_counts(at, by):
    """A changed byte is refused, or is another key: never the same, and no other error."""
    data = bytearray(DATA)
    data[at] ^= by
    try:
        found = PublicKey.decode(bytes(data), toy=True)
    except CryptoError:
        return
    assert found.digest != KEY.digest
    assert found.encode() == bytes(data)


def primes_like(bits, wanted):
    """Return the first primes above 3·2^(bits-2) that somebody wants."""
    found = gmpy2.mpz(3) << (bits - 2)
    while True:
        found = gmpy2.next_prime(found)
        if wanted(found):
            yield int(found)


def made(p, q):
    """A public key of any modulus: its maker can say what it likes."""
    return PublicKey.of_modulus(p * q, entropy("anybody"))


def test_factors_that_are_none_are_refused():
    """Another product, composites, 1 mod 4, primes next to each other, smooth or common p-1."""
    mixed = primes_like(256, lambda p: p % 4 == 3)
    near, next_to_it = next(mixed), next(mixed)
    one, other = primes_like(256, lambda p: p % 4 == 1), toy(512, "d")
    three = next(primes_like(256, lambda p: p % 12 == 7))  # 3 divides (p-1)/2
    composite = toy(256).p * next(primes_like(128, lambda p: p % 4 == 1))
    for p, q, said in (
        (other.p, other.q, None),
        (near, next_to_it, "far from each other"),
        (next(one), next(one), "3 mod 4"),
        (three, P, "small factors"),
        (composite, P, "no prime"),
        (1, N, "whole numbers above 1"),
        (-P, -Q, "whole numbers above 1"),
        (float(P), Q, "whole numbers above 1"),
        (None, Q, "whole numbers above 1"),
    ):
        public = KEY if "whole" in (said or "") else made(p, q)
        if said is None:
            SecretKey(p, q, public, toy=True)
            with pytest.raises(CryptoError, match="is not the modulus"):
                SecretKey(P, Q, public, toy=True)
            continue
        with pytest.raises(CryptoError, match=said) as caught:
            SecretKey(p, q, public, toy=True)
        assert caught.value.what == "secret key"
        assert f"{P}"[:9] not in str(caught.value)


def test_an_h_that_is_no_power_is_found_by_who_has_the_factors():
    """Others cannot tell it from a right one: it would put its message into every ciphertext."""
    wrong = replace(KEY, h=KEY.h * (1 + 5 * N) % KEY.n2)
    wrong.check(toy=True)
    with pytest.raises(CryptoError, match="no n-th power") as caught:
        SecretKey(P, Q, wrong, toy=True)
    assert caught.value.what == "h"


def test_a_secret_key_is_never_shown_copied_or_pickled():
    """Neither factor is in any text of it; it has no fields to encode, and one copy."""
    shown = [repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET!r:>200}", repr([SECRET])]
    for factor in (P, Q):
        for form in (str(factor), f"{factor:x}", f"{factor:X}"):
            assert not any(form[:12] in text for text in shown)
    for kept in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            kept(SECRET)
    assert not hasattr(SECRET, "__dict__")
    assert not hasattr(SECRET, "encode")
    assert len(repr(KEY)) < 60


def test_a_broken_key_can_be_shown():
    """Its repr is short and raises nothing, whatever somebody put into it."""
    for n in (0, -5, 2**100_000):
        assert len(repr(PublicKey(2048, n, 0))) < 60


@pytest.mark.parametrize("c", [0, -1, KEY.n2, KEY.n2 + 1, N, P, Q * 12345, N * P, 2.5, None, "2"])
def test_what_is_no_ciphertext_is_not_opened(c):
    """Zero, what is out of range, and what shares a factor with n."""
    with pytest.raises(CryptoError, match=r"Z\*_") as caught:
        SECRET.decrypt(c)
    assert caught.value.what == "ciphertext"


@pytest.mark.hypothesis
@examples(60)
@given(st.sampled_from([64, 96, 128, 512]), st.data())
def test_messages_come_back(bits, data):
    """Of every size of key, from 0 to n-1, whatever the blinding."""
    secret = toy(bits)
    key = secret.public
    edge = st.sampled_from([0, 1, key.n - 1])
    message = data.draw(edge | st.integers(0, key.n - 1))
    x = data.draw(st.integers(0, 2**key.blinding_bits - 1))
    assert secret.decrypt((1 + message * key.n) * pow(key.h, x, key.n2) % key.n2) == message


def test_without_the_packages_it_says_what_to_install(tmp_path):
    """The extra is named in one sentence."""
    program = (
        "import json\nfrom fedledger.errors import ConfigError\n"
        "said = []\n"
        "for name in ('SecretKey', 'encrypt', 'decrypt_number'):\n"
        "    try:\n"
        "        from fedledger.crypto import paillier; getattr(paillier, name)\n"
        "    except ConfigError as error:\n"
        "        said.append(str(error))\n"
        "print(json.dumps(said))"
    )
    said = python(program, env=environment(tmp_path / "site"))
    assert len(said) == 3
    assert all("pip install 'fedledger[paillier]'" in one for one in said)
