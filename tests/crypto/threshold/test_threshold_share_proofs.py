"""Proofs of decryption shares: they hold for these shares in this place, and for nothing else."""

from dataclasses import replace

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import CORES, entropy, place, scene

from fedledger.crypto.threshold import (
    ShareProof,
    combine,
    lift,
    partial_decryptions,
    prove_shares,
    verify_shares,
)
from fedledger.errors import CryptoError

SCENE = scene()
KEYS, N, BATCH = SCENE.keys, SCENE.n, SCENE.ciphertexts
ALL = SCENE.decrypted(1, 2, 3)
SHARE, NUMBERS = SCENE.shares[1], ALL[2]
PROOF = prove_shares(SHARE, BATCH, NUMBERS, place(KEYS), entropy=entropy("proof"))


def verify(
    numbers=NUMBERS, proof=PROOF, *, keys=KEYS, batch=BATCH, trainer=2, transcript=None, **where
):
    verify_shares(keys, batch, numbers, proof, transcript or place(KEYS, **where), trainer=trainer)


def prove(numbers, batch=BATCH, share=SHARE):
    return prove_shares(share, batch, numbers, place(KEYS), entropy=entropy("again"))


def smaller(number):
    return min(number % N, N - number % N)


def with_number(at, how):
    numbers = list(NUMBERS)
    numbers[at] = smaller(how(numbers[at]))
    return numbers


def test_a_proof_holds_for_all_shares_at_once():
    """One proof of one size, for one ciphertext or many; and from its bytes."""
    verify()
    verify(proof=ShareProof.decode(PROOF.encode(KEYS), KEYS))
    for count in (1, 2, 9):
        batch, numbers = BATCH[:count], NUMBERS[:count]
        proof = prove(numbers, batch)
        verify(numbers, proof, batch=batch)
        assert len(proof.encode(KEYS)) == len(PROOF.encode(KEYS)) == 16 + (512 + 7 + 256) // 8 + 1


def test_a_proof_follows_the_formulas():
    """In plain Python: both commitments of the response give the challenge of the page."""
    transcript = place(KEYS)
    transcript.absorb("begin", "decryption shares 1")
    transcript.absorb("keys", KEYS.digest, 2)
    transcript.absorb("ciphertexts", b"".join(c.to_bytes(128, "big") for c in BATCH))
    transcript.absorb("shares", b"".join(x.to_bytes(64, "big") for x in NUMBERS))
    factors = transcript.challenges("factors", 12)
    a = b = 1
    for c, x, e in zip(BATCH, NUMBERS, factors, strict=True):
        a, b = a * pow(c, 4 * e, N) % N, b * pow(x, 2 * e, N) % N
    z, challenge = PROOF.response, PROOF.challenge
    first = pow(KEYS.v, z, N) * pow(KEYS.verification[1], -challenge, N) % N
    second = pow(a, z, N) * pow(b, -challenge, N) % N
    transcript.absorb("commitments", first.to_bytes(64, "big") + second.to_bytes(64, "big"))
    assert transcript.challenge("challenge") == challenge


@pytest.mark.parametrize("field", ["challenge", "response"])
@pytest.mark.parametrize("by", [1, -1, 2, 1 << 100])
def test_every_field_counts(field, by):
    """A challenge or response that is off by anything does not hold."""
    with pytest.raises(CryptoError, match="share proof"):
        verify(proof=replace(PROOF, **{field: getattr(PROOF, field) + by}))


@examples(50)
@given(st.integers(0, len(PROOF.encode(KEYS)) - 1), st.integers(1, 255))
def test_every_byte_counts(at, by):
    """Whatever byte of the proof changes, it does not hold."""
    data = bytearray(PROOF.encode(KEYS))
    data[at] ^= by
    with pytest.raises(CryptoError, match="share proof"):
        verify(proof=ShareProof.decode(bytes(data), KEYS))


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (ShareProof(-1, PROOF.response), "challenge"),
        (ShareProof(1 << 128, PROOF.response), "challenge"),
        (ShareProof(PROOF.challenge, 0), "response"),
        (ShareProof(PROOF.challenge, -PROOF.response), "response"),
        (ShareProof(PROOF.challenge, 1 << 8 * 97), "response"),
        (ShareProof(float(3), PROOF.response), "challenge"),
    ],
)
def test_fields_out_of_range(proof, said):
    """Each is refused by its name before anything is computed."""
    with pytest.raises(CryptoError, match=said):
        verify(proof=proof)


@pytest.mark.parametrize("data", [b"", PROOF.encode(KEYS)[:-1], PROOF.encode(KEYS) + b"\0"])
def test_bytes_that_are_no_proof(data):
    """A proof has one length."""
    with pytest.raises(CryptoError, match=r"share proof: .*bytes, and it has"):
        ShareProof.decode(data, KEYS)


@pytest.mark.parametrize(
    "where",
    [
        {"chain": 1},
        {"contract": "0xAc"},
        {"task": 8},
        {"round": 4},
        {"account": "0xC2"},
        {"key": bytes(32)},
        {"protocol": "fedledger test 2"},
    ],
    ids=str,
)
def test_a_proof_is_for_one_place(where):
    """Another chain, contract, task, round, account or key: the same proof does not hold."""
    with pytest.raises(CryptoError, match="does not prove"):
        verify(**where)


def test_a_proof_is_of_one_trainer_and_key():
    """It does not hold for another trainer, nor under other keys with the same modulus."""
    with pytest.raises(CryptoError, match="shares of trainer 3"):
        verify(trainer=3)
    with pytest.raises(CryptoError, match="does not prove"):
        verify(keys=replace(KEYS, threshold=4))
    for trainer in (0, 6):
        with pytest.raises(CryptoError, match="no number"):
            verify(trainer=trainer)


def test_a_transcript_serves_once():
    """What proved cannot verify; and a proof after another one is bound to it."""
    used = place(KEYS)
    prove_shares(SHARE, BATCH, NUMBERS, used, entropy=entropy("x"))
    second = prove_shares(SHARE, BATCH, NUMBERS, used.copy(), entropy=entropy("y"))
    with pytest.raises(CryptoError, match="does not prove"):
        verify(transcript=used.copy())
    with pytest.raises(CryptoError, match="does not prove"):
        verify(proof=second)
    verify(proof=second, transcript=used)


@pytest.mark.parametrize("at", [0, 6, 11])
def test_a_proof_is_of_its_ciphertexts(at):
    """Another ciphertext, even one of the same message, another order, or one fewer."""
    batch = list(BATCH)
    batch[at] = batch[at] * KEYS.public.h % N**2
    with pytest.raises(CryptoError, match="does not prove"):
        verify(batch=batch)
    with pytest.raises(CryptoError, match="does not prove"):
        verify([*NUMBERS[1:], NUMBERS[0]], batch=[*BATCH[1:], BATCH[0]])
    with pytest.raises(CryptoError, match="does not prove"):
        verify(NUMBERS[:-1], batch=BATCH[:-1])
    with pytest.raises(CryptoError, match="11 of them for 12"):
        verify(NUMBERS[:-1])


HOWS = {
    "doubled": lambda x: 2 * x,
    "squared": lambda x: x * x,
    "inverted": lambda x: pow(x, -1, N),
    "times v": lambda x: x * KEYS.v,
    "of another trainer": lambda x: ALL[3][NUMBERS.index(x)],
    "one": lambda _x: 1,
    "of order p'": lambda x: x * pow(pow(5, 2 * (SCENE.q // 2), N), 2, N),
}


@pytest.mark.parametrize("name", HOWS)
@pytest.mark.parametrize("at", [0, 7])
def test_a_wrong_share_has_no_proof(name, at):
    """Neither the honest proof nor one made over the wrong share itself holds."""
    numbers = with_number(at, HOWS[name])
    for proof in (PROOF, prove(numbers)):
        with pytest.raises(CryptoError, match="does not prove"):
            verify(numbers, proof)
    single, one = [BATCH[at]], [numbers[at]]
    with pytest.raises(CryptoError, match="does not prove"):
        verify(one, prove(one, single), batch=single)


def test_the_sign_of_a_share_is_fixed():
    """The number n - x, whose square is the same, is refused by its name: a share has one form."""
    numbers = [*NUMBERS[:3], N - NUMBERS[3], *NUMBERS[4:]]
    with pytest.raises(CryptoError, match="number 3 is not from 1"):
        verify(numbers)


def test_a_root_of_one_does_no_harm():
    """The only other factor of small order is known to who knows the factors; it is squared away.

    A trainer that knew it could prove the changed share, and the messages are the same.
    """
    p, q = SCENE.p, SCENE.q
    root = int(gmpy2.invert(q, p)) * q * 2 - 1  # 1 modulo p and -1 modulo q
    assert root * root % N == 1 != root % N != N - 1
    numbers = with_number(4, lambda x: x * root)
    verify(numbers, prove(numbers))
    roots = combine(KEYS, BATCH, {**ALL, 2: numbers}, CORES)
    assert list(lift(KEYS, BATCH, roots, CORES).messages) == SCENE.messages


def test_errors_that_cancel_are_chosen_too_early():
    """Two wrong shares whose errors cancel under the old factors meet new factors."""
    transcript = place(KEYS)
    transcript.absorb("begin", "decryption shares 1")
    transcript.absorb("keys", KEYS.digest, 2)
    transcript.absorb("ciphertexts", b"".join(c.to_bytes(128, "big") for c in BATCH))
    transcript.absorb("shares", b"".join(x.to_bytes(64, "big") for x in NUMBERS))
    first, second = transcript.challenges("factors", 12)[:2]
    numbers = list(NUMBERS)
    numbers[0] = smaller(numbers[0] * pow(3, second, N))
    numbers[1] = smaller(numbers[1] * pow(3, -first, N))
    kept = pow(numbers[0], 2 * first, N) * pow(numbers[1], 2 * second, N) % N
    assert kept == pow(NUMBERS[0], 2 * first, N) * pow(NUMBERS[1], 2 * second, N) % N
    with pytest.raises(CryptoError, match="does not prove"):
        verify(numbers, prove(numbers))
    swapped = [NUMBERS[1], NUMBERS[0], *NUMBERS[2:]]
    with pytest.raises(CryptoError, match="does not prove"):
        verify(swapped, prove(swapped))


def test_the_shares_of_another_polynomial_have_no_proof():
    """A trainer that uses another exponent all through does not prove it against its v_i."""
    other = SCENE.shares[3]
    numbers = partial_decryptions(other, BATCH, CORES)
    with pytest.raises(CryptoError, match="does not prove"):
        verify(numbers, prove(numbers, share=other))


@pytest.mark.parametrize("number", [0, N, SCENE.p, -1, N - 1, N // 2 + 1])
def test_numbers_that_are_no_shares(number):
    """0, n, a factor, negative ones and the larger half are refused by position."""
    with pytest.raises(CryptoError, match="decryption shares: number 2 "):
        verify([*NUMBERS[:2], number, *NUMBERS[3:]])


@pytest.mark.parametrize("wrong", [0, N, N**2, N**2 + 1, -1, SCENE.p, SCENE.q * 9], ids=str)
def test_numbers_that_are_no_ciphertexts(wrong):
    """Out of range, or sharing a factor: each is refused by position, to prover and verifier."""
    batch = [*BATCH[:5], wrong, *BATCH[6:]]
    for call in (lambda: verify(batch=batch), lambda: prove(NUMBERS, batch)):
        with pytest.raises(CryptoError, match="ciphertext 5: it is not in Z"):
            call()


def test_nothing_is_not_proved():
    """No ciphertexts, no proof."""
    with pytest.raises(CryptoError, match="there are none"):
        verify([], batch=[])


def test_a_response_hides_the_share():
    """Two proofs of one statement share nothing; the nonce is longer than what it hides."""
    one, other = (
        prove_shares(SHARE, BATCH, NUMBERS, place(KEYS), entropy=entropy(name)) for name in "ab"
    )
    assert one.challenge != other.challenge
    assert one.response.bit_length() > (SHARE.exponent << 128).bit_length() + 100
    verify(proof=one)
    verify(proof=other)


def test_full_size():
    """2048 bits, where a proof has 305 bytes."""
    made = scene(2048, 3, 2, 3)
    numbers = partial_decryptions(made.shares[2], made.ciphertexts, CORES)
    proof = prove_shares(
        made.shares[2], made.ciphertexts, numbers, place(made.keys), entropy=entropy("full")
    )
    verify_shares(made.keys, made.ciphertexts, numbers, proof, place(made.keys), trainer=3)
    assert len(proof.encode(made.keys)) == 305
    with pytest.raises(CryptoError, match="does not prove"):
        verify_shares(
            made.keys, made.ciphertexts, numbers[::-1], proof, place(made.keys), trainer=3
        )
