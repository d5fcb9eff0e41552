"""BLS signatures and proofs of possession, against py_ecc."""

import pickle
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_ecc.bls import G2ProofOfPossession as Oracle
from support.examples import examples

from fedledger.crypto import bls
from fedledger.crypto.bls import BlsKey, check_possession, verify
from fedledger.errors import AccountError, ConfigError

G1Point = pytest.importorskip("py_arkworks_bls12381").G1Point  # no wheel for Linux on aarch64
KEY, OTHER = BlsKey(1234567), BlsKey(bls.ORDER - 1)
INFINITY = b"\xc0" + bytes(47)
OFF_GROUP = b"\x80" + bytes(46) + b"\x04"  # on the curve, in another subgroup: x = 4


def test_frozen_vectors():
    """The same secret gives the same key, signature and proof as ever."""
    assert BlsKey(1).public.hex().startswith("97f1d3a73197d7942695638c4fa9ac0f")  # the generator
    assert KEY.sign(b"a message").hex().startswith("87302aaecd0cc523800168a24903f906")
    assert KEY.prove_possession().hex().startswith("b6f5fd34671a59ac993d690faeeda7e1")


@pytest.mark.parametrize("secret", [1, 2, 1234567, bls.ORDER - 1])
@pytest.mark.parametrize("message", [b"", b"a message", bytes(300)])
def test_it_is_the_standards_suite(secret, message):
    """Keys, signatures and proofs are those of another implementation, both ways."""
    key = BlsKey(secret)
    assert key.public == Oracle.SkToPk(secret)
    assert key.sign(message) == Oracle.Sign(secret, message)
    assert verify(key.public, message, key.sign(message))
    assert key.prove_possession() == Oracle.PopProve(secret)
    check_possession(key.public, key.prove_possession())


def test_a_key_comes_back():
    """A key is made of random bytes, kept as 32, and never shown or pickled."""
    key = BlsKey.create()
    again = BlsKey(int.from_bytes(key.to_bytes(), "big"))
    assert (again.public, again.sign(b"m")) == (key.public, key.sign(b"m"))
    assert key.to_bytes().hex() not in repr(key)
    assert key.public.hex() in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_draw_of_the_entropy_is_never_no_key():
    """Even bytes that are all zero, or all ones, give a secret in its range."""
    for byte in (0, 255):
        drawn = SimpleNamespace(draw=lambda count, byte=byte: bytes([byte]) * count)
        assert len(BlsKey.create(drawn).public) == 48


@pytest.mark.parametrize("secret", [0, -1, bls.ORDER, bls.ORDER + 1, 1.0, "1", True, None])
def test_other_numbers_are_no_secrets(secret):
    """Zero and what is not below the order is refused, and not repeated."""
    with pytest.raises(AccountError, match="above 0 and below"):
        BlsKey(secret)


@pytest.mark.parametrize(
    "public",
    [b"", KEY.public[:-1], KEY.public + b"\0", INFINITY, OFF_GROUP, bytes(48), b"\xff" * 48],
    ids=["empty", "short", "long", "zero", "other group", "uncompressed", "above the field"],
)
def test_what_is_no_key_is_refused(public):
    """Wrong lengths, no point, zero, and a point outside the group: none is a key."""
    with pytest.raises(AccountError, match="no BLS public key"):
        check_possession(public, KEY.prove_possession())
    with pytest.raises(AccountError, match="no BLS public key"):
        verify(public, b"m", KEY.sign(b"m"))


def test_a_signature_is_of_its_message_and_key_alone():
    """Another message, key, or kind of signature does not verify, and nothing else is raised."""
    signature = KEY.sign(b"a message")
    assert not verify(KEY.public, b"a massage", signature)
    assert not verify(OTHER.public, b"a message", signature)
    assert not verify(KEY.public, KEY.public, KEY.prove_possession())
    for bad in (b"", signature[:-1], signature + b"\0", b"\xc0" + bytes(95), bytes(96)):
        assert not verify(KEY.public, b"a message", bad)


def test_a_proof_is_of_its_key_alone():
    """A signature of the key's bytes, or another key's proof, proves no possession."""
    for proof in (KEY.sign(KEY.public), OTHER.prove_possession(), b"", bytes(96)):
        with pytest.raises(AccountError, match="possession does not hold"):
            check_possession(KEY.public, proof)


def test_a_key_chosen_against_anothers_has_no_proof():
    """The rogue key mine - theirs would cancel theirs in a sum; its maker cannot prove it."""
    theirs, mine = G1Point.from_compressed_bytes(KEY.public), BlsKey(99)
    rogue = bytes((G1Point.from_compressed_bytes(mine.public) - theirs).to_compressed_bytes())
    for proof in (mine.prove_possession(), mine.sign(rogue), KEY.prove_possession()):
        with pytest.raises(AccountError, match="possession does not hold"):
            check_possession(rogue, proof)


@pytest.mark.hypothesis
@examples(60)
@given(st.integers(0, 47), st.integers(1, 255), st.integers(0, 95), st.integers(1, 255))
def test_no_change_goes_through(at, by, where, how):
    """Each byte of key and proof counts; whatever they become, the answer is one of ours."""
    public, proof = bytearray(KEY.public), bytearray(KEY.prove_possession())
    public[at] ^= by
    with pytest.raises(AccountError):
        check_possession(bytes(public), bytes(proof))
    proof[where] ^= how
    with pytest.raises(AccountError):
        check_possession(KEY.public, bytes(proof))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    """The extra is named, and where it has no wheel."""
    monkeypatch.setitem(__import__("sys").modules, "py_arkworks_bls12381", None)
    with pytest.raises(ConfigError, match=r"fedledger\[pairing\]"):
        BlsKey(5)
