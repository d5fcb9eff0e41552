"""Proofs that a client knows the messages in all its ciphertexts, all of them in one.

A ciphertext is c_j = (1 + m_j·n)·h^(x_j) mod n². The proof is Schnorr's for the representation of
C = Π c_j^(e_j) to two bases, with e_j of 128 bits drawn from the key and all ciphertexts: for
M = Σ e_j m_j mod n, whose answer is uniform modulo n, and for X = Σ e_j x_j over the integers,
whose nonce is 128 bits longer than all that it hides.

What is proved: that the prover knew every m_j modulo n. Every number of Z*_{n²} is (1 + m·n)·rⁿ for
one m and one r modulo n, and h has m = 0. Two accepted answers to challenges E ≠ E' on one C give
(E - E')·M(C) modulo n, and with it M(C), since n has no factor of 128 bits. As many runs with other
e_j as there are ciphertexts give linear equations for the m_j, which have one solution but for a
chance of about 2^-128. Nothing is assumed of roots (no strong RSA) or of the order of h. Who made
h and knows its n-th root gets the root r_j of every ciphertext in the same way (r_j to some power
from the answers for X, r_jⁿ from c_j itself): docs/trust.md needs it where roots are published.

What is not proved: a bound on m_j or on a value packed in it, so a client can still scale a slot or
spoil its neighbours; that x_j is short, fresh or random, so a client may blind badly, to its own
harm; that c_j has no factor -1, which opening does not see. Whose ciphertexts they are is what the
caller's transcript says: with an account in it, a copy proves nothing for another account.

What a proof tells beyond its statement: nothing, but for a statistical distance of 2^-128 (the
answer for X), with the hash as a random oracle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import gmpy2

from fedledger.effects import Entropy
from fedledger.errors import CryptoError

from ..paillier.batch import check, to_bytes
from ..paillier.keys import PublicKey
from ..transcript import CHALLENGE_BITS, Label, Transcript
from .arithmetic import power_product

__all__ = ["MOST_CIPHERTEXTS", "PlaintextProof", "prove_plaintexts", "verify_plaintexts"]

MOST_CIPHERTEXTS: Final = 1 << 24
"""Most ciphertexts of one proof: its size does not depend on how many there are."""

_CHALLENGE_BYTES: Final = CHALLENGE_BITS // 8


@dataclass(frozen=True, slots=True)
class PlaintextProof:
    """A proof about a client's ciphertexts.

    Attributes:
        challenge: E, 128 bits.
        message: the answer for M, 0 to n-1.
        blinding: the answer for X.
    """

    challenge: int
    message: int
    blinding: int

    def encode(self, key: PublicKey) -> bytes:
        """Return the proof's bytes, as many for every proof under this key."""
        sizes = (_CHALLENGE_BYTES, key.bits // 8, _blinding_bytes(key))
        numbers = (self.challenge, self.message, self.blinding)
        return b"".join(one.to_bytes(size, "big") for one, size in zip(numbers, sizes, strict=True))

    @classmethod
    def decode(cls, data: bytes, key: PublicKey) -> "PlaintextProof":
        """Return the proof that bytes hold.

        Raises:
            CryptoError: a wrong length.
        """
        middle = _CHALLENGE_BYTES + key.bits // 8
        size = middle + _blinding_bytes(key)
        if len(data) != size:
            raise CryptoError("plaintext proof", f"{len(data)} bytes, and it has {size}")
        parts = data[:_CHALLENGE_BYTES], data[_CHALLENGE_BYTES:middle], data[middle:]
        return cls(*(int.from_bytes(part, "big") for part in parts))


def prove_plaintexts(
    key: PublicKey,
    ciphertexts: Sequence[int],
    messages: Sequence[int],
    blindings: Sequence[int],
    transcript: Transcript,
    *,
    entropy: Entropy,
) -> PlaintextProof:
    """Prove that one knows what is in ciphertexts.

    Args:
        key: the key they were encrypted under.
        ciphertexts: c_1 to c_k.
        messages: m_1 to m_k.
        blindings: x_1 to x_k: secrets.
        transcript: the caller's, for this account and round; it moves on.
        entropy: where nonces are drawn.

    Raises:
        CryptoError: a number is none, or not all three are as many; messages and blindings are
            not compared with the ciphertexts: a proof of wrong ones does not hold.
    """
    n, n2 = gmpy2.mpz(key.n), gmpy2.mpz(key.n2)
    if not len(ciphertexts) == len(messages) == len(blindings):
        raise CryptoError("plaintext proof", "not as many messages and blindings as ciphertexts")
    if any(one < 0 or one.bit_length() > key.blinding_bits for one in blindings):
        raise CryptoError("blindings", f"they have at most {key.blinding_bits} bits")
    factors = _begin(key, ciphertexts, transcript)
    message = sum(e * one for e, one in zip(factors, messages, strict=True))
    blinding = sum(e * one for e, one in zip(factors, blindings, strict=True))
    first, second = entropy.below(key.n), 1 + entropy.below(1 << _nonce_bits(key))
    commitment = (1 + first * n) * gmpy2.powmod_sec(key.h, second, n2) % n2
    challenge = _challenge(key, int(commitment), transcript)
    return PlaintextProof(
        challenge, int((first + challenge * message) % n), int(second + challenge * blinding)
    )


def verify_plaintexts(
    key: PublicKey, ciphertexts: Sequence[int], proof: PlaintextProof, transcript: Transcript
) -> None:
    """Check that whoever made a proof knew what is in ciphertexts.

    Args:
        key: the key they are encrypted under.
        ciphertexts: c_1 to c_k.
        proof: the client's.
        transcript: made as the client made it; it moves on.

    Raises:
        CryptoError: a number is no ciphertext, or the proof does not hold for these.
    """
    n, n2 = gmpy2.mpz(key.n), gmpy2.mpz(key.n2)
    factors = _begin(key, ciphertexts, transcript)
    for what, one, bound in (
        ("challenge", proof.challenge, 1 << CHALLENGE_BITS),
        ("answer for the message", proof.message, key.n),
        ("answer for the blinding", proof.blinding, 1 << 8 * _blinding_bytes(key)),
    ):
        if type(one) is not int or not 0 <= one < bound:
            raise CryptoError("plaintext proof", f"its {what} is out of range")
    combined = power_product(ciphertexts, factors, n2)
    commitment = (1 + proof.message * n) * gmpy2.powmod(key.h, proof.blinding, n2) % n2
    commitment = commitment * gmpy2.powmod(combined, -proof.challenge, n2) % n2
    if _challenge(key, int(commitment), transcript) != proof.challenge:
        raise CryptoError("plaintext proof", "it does not prove these ciphertexts in this place")


def _begin(key: PublicKey, ciphertexts: Sequence[int], transcript: Transcript) -> list[int]:
    """Check and absorb the statement; return the factors. A single ciphertext needs none: 1."""
    if not 0 < len(ciphertexts) <= MOST_CIPHERTEXTS:
        raise CryptoError("ciphertexts", f"there are 1 to {MOST_CIPHERTEXTS}, and not these many")
    check(key, ciphertexts)
    transcript.begin(Label.PLAINTEXTS)
    transcript.absorb("key", key.encode())
    transcript.absorb("ciphertexts", to_bytes(key, ciphertexts))
    count = len(ciphertexts)
    return transcript.challenges("factors", count) if count > 1 else [1]


def _challenge(key: PublicKey, commitment: int, transcript: Transcript) -> int:
    transcript.absorb("commitment", commitment.to_bytes(key.width, "big"))
    return transcript.challenge("challenge")


def _nonce_bits(key: PublicKey) -> int:
    """Return the size of the nonce for X: that of E·X, and 128 bits that hide it."""
    return key.blinding_bits + MOST_CIPHERTEXTS.bit_length() + 3 * CHALLENGE_BITS


def _blinding_bytes(key: PublicKey) -> int:
    return (_nonce_bits(key) + 1 + 7) // 8
