"""`phe` opens what ours encrypts, and back; it is imported in one module."""

import math
from pathlib import Path

import phe
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.paillier import ONE, entropy, toy

import fedledger.crypto.paillier
from fedledger.crypto.paillier import (
    Comb,
    SecretKey,
    decrypt_number,
    encrypt_number,
    phe_public,
    phe_secret,
)
from fedledger.errors import CryptoError

SECRET = toy(1024)
COMB = Comb(SECRET.public, 100)
THEIRS = phe_secret(SECRET)

NUMBERS = st.integers(-(2**900), 2**900) | st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.hypothesis
@examples(30)
@given(NUMBERS)
def test_each_opens_what_the_other_encrypted(value):
    """Whole numbers and floats, exactly, of both signs."""
    ours = encrypt_number(COMB, value, entropy(f"{value}"), ONE)
    assert THEIRS.decrypt(ours) == value
    assert decrypt_number(SECRET, ours) == value
    assert decrypt_number(SECRET, phe_public(SECRET.public).encrypt(value)) == value


def test_sums_of_both_open_under_both():
    """What phe computes with both kinds opens, at a size that is used."""
    secret = SecretKey.create(2048, entropy("interop"))
    ours = encrypt_number(Comb(secret.public, 2), 2.5, entropy("sum"), ONE)
    total = (ours + phe_public(secret.public).encrypt(-7)) * 3 + 1
    assert phe_secret(secret).decrypt(total) == decrypt_number(secret, total) == -12.5


def test_precision_is_phes():
    """A float is rounded where a precision says so."""
    found = decrypt_number(SECRET, encrypt_number(COMB, math.pi, entropy("pi"), ONE, 0.01))
    assert 0 < abs(found - math.pi) < 0.01


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, True, 2**1024])
def test_what_is_no_number_or_too_large_is_refused(value):
    """Before anything is encrypted."""
    with pytest.raises(CryptoError) as caught:
        encrypt_number(COMB, value, entropy("bad"), ONE)
    assert caught.value.what == "value"


def test_hostile_numbers_are_refused():
    """Another key, no ciphertext, an exponent that fills the memory, a message phe never makes."""
    public, other = phe_public(SECRET.public), phe_public(toy(1024, "other").public)
    n = SECRET.public.n
    good = encrypt_number(COMB, 1, entropy("good"), ONE).ciphertext(be_secure=False)
    for what, number in (
        ("ciphertext", other.encrypt(1)),
        ("ciphertext 0", phe.EncryptedNumber(public, 0, 0)),
        ("ciphertext 0", phe.EncryptedNumber(public, n * n, 0)),
        ("ciphertext 0", phe.EncryptedNumber(public, SECRET.p, 0)),
        ("exponent", phe.EncryptedNumber(public, good, 10**12)),
        ("exponent", phe.EncryptedNumber(public, good, -(10**12))),
        ("exponent", phe.EncryptedNumber(public, good, 0.5)),
        ("message", phe.EncryptedNumber(public, 1 + n * (n // 2), 0)),
    ):
        with pytest.raises(CryptoError) as caught:
            decrypt_number(SECRET, number)
        assert caught.value.what == what


def test_phe_is_imported_in_one_module_alone():
    """It is under the GPL; nothing else of the library names it."""
    package = Path(fedledger.crypto.paillier.__file__).parent
    root = package.parents[1]
    rooms = ["fedledger", "crypto", "ledger_plugins", "strategies", "clients", "experiments"]
    importing = [
        path.relative_to(root)
        for room in rooms
        for path in (root / room).rglob("*.py")
        if any(
            line.lstrip().startswith(("import phe", "from phe"))
            for line in path.read_text(encoding="utf-8").splitlines()
        )
    ]
    assert importing == [Path("crypto/paillier/interop.py")]
