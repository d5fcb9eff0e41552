"""Proofs that a client knows the messages in its ciphertexts: what they prove, and what not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import CORES, entropy, place, scene

from fedledger.crypto.threshold import (
    PlaintextProof,
    combine,
    lift,
    partial_decryptions,
    prove_plaintexts,
    verify_plaintexts,
)
from fedledger.errors import CryptoError

SCENE = scene()
KEYS, N, BATCH = SCENE.keys, SCENE.n, SCENE.ciphertexts
KEY = KEYS.public
N2 = N * N


def prove(batch=BATCH, messages=SCENE.messages, blindings=SCENE.blindings, *, draws="p", **where):
    return prove_plaintexts(
        KEY, batch, messages, blindings, place(KEYS, **where), entropy=entropy(draws)
    )


PROOF = prove()


def verify(proof=PROOF, batch=BATCH, *, under=KEY, **where):
    verify_plaintexts(under, batch, proof, place(KEYS, **where))


def test_a_proof_holds_for_all_ciphertexts_at_once():
    """One proof of one size, for one ciphertext or many; and from its bytes."""
    verify()
    verify(PlaintextProof.decode(PROOF.encode(KEY), KEY))
    for count in (1, 2, 11):
        proof = prove(BATCH[:count], SCENE.messages[:count], SCENE.blindings[:count])
        verify(proof, BATCH[:count])
        assert len(proof.encode(KEY)) == len(PROOF.encode(KEY)) == 16 + 64 + (256 + 409) // 8 + 1


def test_a_proof_follows_the_formulas():
    """In plain Python: the commitment of the answers gives the challenge of the page."""
    transcript = place(KEYS)
    transcript.absorb("begin", "plaintext knowledge 1")
    transcript.absorb("key", KEY.encode())
    transcript.absorb("ciphertexts", b"".join(c.to_bytes(128, "big") for c in BATCH))
    combined = 1
    for c, e in zip(BATCH, transcript.challenges("factors", 12), strict=True):
        combined = combined * pow(c, e, N2) % N2
    t = (1 + PROOF.message * N) * pow(KEY.h, PROOF.blinding, N2) % N2
    t = t * pow(combined, -PROOF.challenge, N2) % N2
    transcript.absorb("commitment", t.to_bytes(128, "big"))
    assert transcript.challenge("challenge") == PROOF.challenge


def test_who_answers_twice_knows_the_message():
    """From two answers on one commitment follow the message and, with h's root, the blinding's."""
    batch, message, blinding = BATCH[4:5], SCENE.messages[4:5], SCENE.blindings[4:5]
    one = prove(batch, message, blinding, draws="same")
    other = prove(batch, message, blinding, draws="same", round=4)
    inverse = pow(one.challenge - other.challenge, -1, N)
    assert (one.message - other.message) * inverse % N == message[0]
    assert one.blinding - other.blinding == (one.challenge - other.challenge) * blinding[0]


@pytest.mark.parametrize("field", ["challenge", "message", "blinding"])
@pytest.mark.parametrize("by", [1, -1, 2, 1 << 90])
def test_every_field_counts(field, by):
    """An answer that is off by anything does not hold."""
    with pytest.raises(CryptoError, match="plaintext proof"):
        verify(replace(PROOF, **{field: getattr(PROOF, field) + by}))


@examples(50)
@given(st.integers(0, len(PROOF.encode(KEY)) - 1), st.integers(1, 255))
def test_every_byte_counts(at, by):
    """Whatever byte of the proof changes, it does not hold."""
    data = bytearray(PROOF.encode(KEY))
    data[at] ^= by
    with pytest.raises(CryptoError, match="plaintext proof"):
        verify(PlaintextProof.decode(bytes(data), KEY))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"challenge": 1 << 128}, "challenge"),
        ({"challenge": -1}, "challenge"),
        ({"message": N + PROOF.message}, "answer for the message"),
        ({"message": -1}, "answer for the message"),
        ({"blinding": -PROOF.blinding}, "answer for the blinding"),
        ({"blinding": 1 << 8 * 84}, "answer for the blinding"),
        ({"message": 0.5}, "answer for the message"),
    ],
)
def test_fields_out_of_range(fields, said):
    """An answer has one form: beyond its range it is refused, also if it is the same modulo n."""
    with pytest.raises(CryptoError, match=rf"its {said} is out of range"):
        verify(replace(PROOF, **fields))


@pytest.mark.parametrize("data", [b"", PROOF.encode(KEY)[1:], PROOF.encode(KEY) + b"\0"])
def test_bytes_that_are_no_proof(data):
    """A proof has one length."""
    with pytest.raises(CryptoError, match=r"plaintext proof: .*bytes, and it has"):
        PlaintextProof.decode(data, KEY)


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
    with pytest.raises(CryptoError, match="in this place"):
        verify(**where)


def test_copied_ciphertexts_have_no_proof():
    """Another client that sends them, as they are or blinded anew, proves nothing by any proof."""
    with pytest.raises(CryptoError, match="in this place"):
        verify(account="0xC2")
    copied = [c * KEY.h % N2 for c in BATCH]
    for proof in (PROOF, prove(copied, account="0xC2"), prove(copied)):
        with pytest.raises(CryptoError, match="in this place"):
            verify(proof, copied, account="0xC2")


def test_a_proof_is_of_its_key():
    """Another h, or another modulus, takes no proof of this one."""
    with pytest.raises(CryptoError, match="in this place"):
        verify(under=replace(KEY, h=KEY.h * KEY.h % N2))
    other = scene(512, 3, 2).keys.public
    small = [c % other.n for c in BATCH]
    with pytest.raises(CryptoError, match="plaintext proof"):
        verify_plaintexts(other, small, PROOF, place(KEYS))


@pytest.mark.parametrize("at", [0, 5, 11])
def test_a_proof_is_of_its_ciphertexts(at):
    """A ciphertext of another message or blinding, negated, left out, twice, in another order."""
    for change in (1 + N, KEY.h, N2 - 1, pow(3, N, N2)):
        batch = list(BATCH)
        batch[at] = batch[at] * change % N2
        with pytest.raises(CryptoError, match="in this place"):
            verify(PROOF, batch)
        if change != N2 - 1:  # of which a later test says what it does
            with pytest.raises(CryptoError, match="in this place"):
                verify(prove(batch), batch)
    for batch in (BATCH[:-1], [*BATCH, BATCH[0]], [*BATCH[1:], BATCH[0]], BATCH[:1]):
        with pytest.raises(CryptoError, match="in this place"):
            verify(PROOF, batch)


@pytest.mark.parametrize("at", [0, 5, 11])
def test_who_does_not_know_a_message_or_blinding_proves_nothing(at):
    """One wrong message, or one wrong blinding: the proof that is made does not hold."""
    messages, blindings = list(SCENE.messages), list(SCENE.blindings)
    messages[at] = (messages[at] + 1) % N
    blindings[at] ^= 1
    for proof in (prove(messages=messages), prove(blindings=blindings)):
        with pytest.raises(CryptoError, match="in this place"):
            verify(proof)


@pytest.mark.parametrize("wrong", [0, N, 7 * N, N2, N2 + 1, -1, SCENE.p, SCENE.q * 9], ids=str)
@pytest.mark.parametrize("at", [0, 11])
def test_numbers_that_are_no_ciphertexts(wrong, at):
    """0, multiples of n, n² and beyond, what shares a factor: each by position, to both parties."""
    batch = list(BATCH)
    batch[at] = wrong
    with pytest.raises(CryptoError, match=f"ciphertext {at}: it is not in Z"):
        verify(PROOF, batch)
    with pytest.raises(CryptoError, match=f"ciphertext {at}: it is not in Z"):
        prove(batch)


def test_ciphertexts_without_blinding_are_known_and_hide_nothing():
    """1 and 1 + n have a proof: knowing the messages is what it proves, not hiding them."""
    batch, messages = [1, 1 + N], [0, 1]
    verify(prove(batch, messages, [0, 0]), batch)


def test_a_factor_of_small_order_changes_no_message():
    """-1 times a ciphertext may pass when its factor is even; it opens to the same message."""
    passed = []
    for tries in range(8):
        batch = [*BATCH[:2], N2 - BATCH[2]]
        proof = prove(batch, SCENE.messages[:3], SCENE.blindings[:3], round=tries)
        try:
            verify(proof, batch, round=tries)
            passed.append(batch)
        except CryptoError:
            continue
    assert passed
    shares = {at: partial_decryptions(SCENE.shares[at - 1], passed[0], CORES) for at in (1, 2, 3)}
    roots = combine(KEYS, passed[0], shares, CORES)
    assert list(lift(KEYS, passed[0], roots, CORES).messages) == SCENE.messages[:3]


def test_messages_are_not_bounded():
    """A client that multiplies a slot proves it as well: the docstring says so."""
    message, blinding = (1 << 500) + 3, 12345
    batch = [SCENE.encrypted(message, blinding)]
    verify(prove(batch, [message], [blinding]), batch)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"messages": SCENE.messages[:-1]}, "not as many"),
        ({"blindings": SCENE.blindings[:-1]}, "not as many"),
        ({"blindings": [*SCENE.blindings[:-1], -1]}, "blindings: .*256 bits"),
        ({"blindings": [*SCENE.blindings[:-1], 1 << 256]}, "blindings: .*256 bits"),
        ({"batch": [], "messages": [], "blindings": []}, "there are 1 to"),
    ],
)
def test_what_nobody_proves(change, said):
    """Lists of other lengths, blindings that a nonce would not hide, and nothing at all."""
    with pytest.raises(CryptoError, match=said):
        prove(**change)
    with pytest.raises(CryptoError, match="there are 1 to"):
        verify(batch=[])


def test_answers_hide_what_they_answer_for():
    """Two proofs of one statement share nothing, and the nonce for X is longer than E·X."""
    one, other = prove(draws="a"), prove(draws="b")
    assert len({one.challenge, other.challenge, one.message, other.message}) == 4
    bound = 12 << 128 + 128 + KEY.blinding_bits
    assert min(one.blinding, other.blinding) > bound << 100
    verify(one)
    verify(other)


def test_full_size():
    """2048 bits, where a proof has 452 bytes."""
    made = scene(2048, 3, 2, 3)
    key = made.keys.public
    proof = prove_plaintexts(
        key,
        made.ciphertexts,
        made.messages,
        made.blindings,
        place(made.keys),
        entropy=entropy("full"),
    )
    verify_plaintexts(key, made.ciphertexts, proof, place(made.keys))
    assert len(proof.encode(key)) == 452
    with pytest.raises(CryptoError, match="in this place"):
        verify_plaintexts(key, made.ciphertexts[::-1], proof, place(made.keys))
