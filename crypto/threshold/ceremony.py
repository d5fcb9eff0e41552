"""The messages of a key's set-up, as pure functions: envelopes of shares, and a trial before use.

The dealer seals each share to its trainer's X25519 key by HPKE (RFC 9180, base mode: X25519,
HKDF-SHA256, AES-256-GCM). An envelope is bound to the caller's context (chain, contract, task), to
the keys and to the trainer, by HPKE's info: elsewhere it does not open. Who sealed it, it does not
say, and need not: the share in it fits to v_i, or is refused.
"""

from typing import Final

import gmpy2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fedledger.errors import CryptoError

from ..transcript import Label, Transcript
from .keys import ThresholdKeys
from .opening import Opening
from .shares import KeyShare

__all__ = ["ENVELOPE_EXTRA", "check_trial", "open_share", "seal_share", "trial_ciphertext"]

ENVELOPE_EXTRA: Final = 32 + 16
"""Bytes of an envelope beyond the share: the sender's key of one use, and the tag."""

_MAGIC: Final = b"fedledger key share 1"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal_share(share: KeyShare, recipient: bytes, context: bytes) -> bytes:
    """Return the envelope that only the trainer can open, of `keys.width + ENVELOPE_EXTRA` bytes.

    Args:
        share: the trainer's.
        recipient: its X25519 public key, 32 bytes.
        context: where the key is used: chain, contract and task, in the caller's encoding.

    Raises:
        CryptoError: the recipient's key is none.
    """
    public = _public(recipient)
    info = envelope_info(share.keys, share.trainer, recipient, context)
    try:
        return _SUITE.encrypt(share.encode(), public, info=info)
    except ValueError as error:  # a point of small order
        raise CryptoError("recipient", "it is no X25519 key that can be sealed to") from error


def open_share(
    envelope: bytes, private: bytes, keys: ThresholdKeys, trainer: int, context: bytes
) -> KeyShare:
    """Return the share in an envelope, checked against v_i.

    Args:
        envelope: what `seal_share` gave.
        private: the trainer's X25519 secret key, 32 bytes.
        keys: the keys whose digest the trainer knows.
        trainer: its number, 1 to l.
        context: as the dealer's.

    Raises:
        CryptoError: it does not open with this key in this place, or its share does not fit to v_i.
    """
    keys.check_trainer(trainer)
    if len(private) != 32:
        raise CryptoError("private key", "an X25519 key has 32 bytes")
    if len(envelope) != keys.width + ENVELOPE_EXTRA:
        raise CryptoError(
            "envelope", f"{len(envelope)} bytes, and it has {keys.width + ENVELOPE_EXTRA}"
        )
    key = X25519PrivateKey.from_private_bytes(private)
    info = envelope_info(keys, trainer, key.public_key().public_bytes_raw(), context)
    try:
        opened = _SUITE.decrypt(envelope, key, info=info)
    except (InvalidTag, ValueError) as error:
        raise CryptoError(
            "envelope", f"it is not for trainer {trainer} with this key, these keys and this task"
        ) from error
    return KeyShare.decode(opened, trainer, keys)


def trial_ciphertext(keys: ThresholdKeys) -> tuple[int, int]:
    """Return the ciphertext that all trainers open before the first round, and what is in it.

    Message and blinding follow from the keys' digest, so it is the same for everybody.
    """
    transcript = Transcript("fedledger threshold ceremony 1")
    transcript.begin(Label.TRIAL)
    transcript.absorb("keys", keys.digest)
    public = keys.public
    message = int.from_bytes(transcript.draw("message", keys.width + 16), "big") % public.n
    blinding = int.from_bytes(transcript.draw("blinding", public.blinding_bits // 8), "big")
    power = gmpy2.powmod(public.h, blinding, public.n2)
    return int((1 + message * public.n) * power % public.n2), message


def check_trial(keys: ThresholdKeys, opening: Opening) -> None:
    """Check that the trial ciphertext was opened to what is in it.

    Raises:
        CryptoError: it was not: the shares behind the keys do not open.
    """
    if opening.messages != (trial_ciphertext(keys)[1],):
        raise CryptoError("trial", "the trainers opened the trial ciphertext to another message")


def envelope_info(keys: ThresholdKeys, trainer: int, recipient: bytes, context: bytes) -> bytes:
    """Return HPKE's info for an envelope: what it is bound to (docs/formats.md)."""
    parts = (_MAGIC, context, keys.digest, trainer.to_bytes(2, "big"), recipient)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _public(recipient: bytes) -> X25519PublicKey:
    if len(recipient) != 32:
        raise CryptoError("recipient", "an X25519 key has 32 bytes")
    return X25519PublicKey.from_public_bytes(recipient)
