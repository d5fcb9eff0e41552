"""The messages of a key's set-up: envelopes that one trainer opens, and the trial."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import CORES, scene

from fedledger.crypto.threshold import (
    KeyShare,
    Opening,
    check_trial,
    combine,
    lift,
    open_share,
    partial_decryptions,
    seal_share,
    trial_ciphertext,
)
from fedledger.crypto.threshold.ceremony import ENVELOPE_EXTRA
from fedledger.errors import CryptoError

SCENE = scene()
KEYS, SHARE = SCENE.keys, SCENE.shares[1]
PRIVATE = bytes(range(32))
PUBLIC = X25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
CONTEXT = b"chain 1, contract 2, task 3"
ENVELOPE = seal_share(SHARE, PUBLIC, CONTEXT)


def opened(envelope=ENVELOPE, private=PRIVATE, keys=KEYS, trainer=2, context=CONTEXT):
    return open_share(envelope, private, keys, trainer, context)


def test_the_trainer_opens_its_share():
    """It is the same share; the envelope has one length and shows nothing of it; none repeats."""
    assert opened().encode() == SHARE.encode()
    assert len(ENVELOPE) == KEYS.width + ENVELOPE_EXTRA
    assert SHARE.encode()[:8] not in ENVELOPE
    assert seal_share(SHARE, PUBLIC, CONTEXT) != ENVELOPE


@pytest.mark.parametrize(
    "other",
    [
        {"trainer": 3},
        {"context": b"chain 1, contract 2, task 4"},
        {"context": b""},
        {"private": bytes(32)},
        {"keys": replace(KEYS, v=KEYS.v + 1)},
        {"keys": scene(512, 7, 5).keys},
    ],
    ids=["trainer", "task", "no context", "another's key", "other keys", "keys of others"],
)
def test_nobody_opens_it_elsewhere(other):
    """Another trainer, task, secret key or other keys: it does not open."""
    with pytest.raises(CryptoError, match="envelope: it is not for trainer"):
        opened(**other)


@examples(40)
@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
@example(31, 128)  # the bit that X25519 itself ignores
def test_every_byte_of_an_envelope_counts(at, by):
    """Whatever byte changes, it does not open."""
    data = bytearray(ENVELOPE)
    data[at] ^= by
    with pytest.raises(CryptoError, match="envelope"):
        opened(bytes(data))


@pytest.mark.parametrize("data", [b"", ENVELOPE[:-1], ENVELOPE + b"\0", bytes(len(ENVELOPE))])
def test_bytes_that_are_no_envelope(data):
    """Wrong lengths, and a sender's key of small order."""
    with pytest.raises(CryptoError, match="envelope"):
        opened(data)


@pytest.mark.parametrize(
    "recipient", [b"", PUBLIC[:-1], PUBLIC + b"\0", bytes(32), b"\1" + bytes(31)]
)
def test_nothing_is_sealed_to_what_is_no_key(recipient):
    """Wrong lengths, and points of small order, to which everybody would have the secret."""
    with pytest.raises(CryptoError, match="recipient"):
        seal_share(SHARE, recipient, CONTEXT)


@pytest.mark.parametrize("private", [b"", bytes(31), bytes(33)])
def test_what_is_no_secret_key(private):
    """A secret key has 32 bytes; it is not in the text."""
    with pytest.raises(CryptoError, match="X25519 key has 32 bytes"):
        opened(private=private)


@pytest.mark.parametrize("trainer", [0, 6])
def test_there_are_no_other_trainers(trainer):
    """A number that is no trainer's opens nothing."""
    with pytest.raises(CryptoError, match="no number"):
        opened(trainer=trainer)


def test_a_dealers_wrong_share_is_refused_when_it_is_opened():
    """An envelope that opens to another share than v_i's: the dealer is named, the share is not."""
    wrong = object.__new__(KeyShare)
    wrong.keys, wrong.trainer = KEYS, 2
    wrong._secret = int.from_bytes(SHARE.encode(), "big") ^ 1
    with pytest.raises(CryptoError, match="verification key 2: the dealer's fault") as caught:
        opened(seal_share(wrong, PUBLIC, CONTEXT))
    assert str(wrong._secret)[:12] not in str(caught.value)


def test_the_trial_is_everybodys_and_opens():
    """Message and ciphertext follow from the keys; any t trainers open it; others differ."""
    ciphertext, message = trial_ciphertext(KEYS)
    assert trial_ciphertext(KEYS) == (ciphertext, message)
    assert trial_ciphertext(replace(KEYS, threshold=4)) != (ciphertext, message)
    shares = {
        at: partial_decryptions(SCENE.shares[at - 1], [ciphertext], CORES) for at in (1, 4, 5)
    }
    opening = lift(KEYS, [ciphertext], combine(KEYS, [ciphertext], shares, CORES), CORES)
    check_trial(KEYS, opening)
    for messages in ((message + 1,), (), (message, message)):
        with pytest.raises(CryptoError, match="trial"):
            check_trial(KEYS, Opening(messages, opening.roots))
