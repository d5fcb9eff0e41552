"""Proofs that a trainer's decryption shares are right, all of them in one.

Statement, for trainer i, ciphertexts c_1 to c_k and decryption shares x_1 to x_k: there is one
exponent u with v_i = v^u and x_j² = c_j^(4u) modulo n, for every j. The proof is Chaum's and
Pedersen's of equal discrete logarithms (CRYPTO 1992; in this group: Shoup, EUROCRYPT 2000, section
3) between v_i to the base v and B = Π x_j^(2e_j) to the base A = Π c_j^(4e_j), where the e_j of 128
bits are drawn from the keys, the trainer, all ciphertexts and all shares.

Why that is enough: A, B, v and v_i are squares modulo n. Their group is cyclic of order p'·q', v
generates it, so u is one number modulo p'·q', and but for 1 every element has an order above
2^128. If x_j² is not c_j^(4u) for some j, then B = A^u holds for one e_j in 2^128 at most, given
the others; if B is not A^u, one challenge in 2^128 at most has an answer. That needs safe primes
and a square v, which are the dealer's word, as is all of the key.

What is not proved: the sign of x_j (only the smaller of x and n - x is taken, and its square is
what counts), and anything about the ciphertexts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import gmpy2

from fedledger.effects import Entropy
from fedledger.errors import CryptoError

from ..paillier.batch import to_bytes
from ..transcript import CHALLENGE_BITS, Label, Transcript
from .arithmetic import power_product, reduced
from .keys import ThresholdKeys
from .shares import KeyShare, check_ciphertexts, check_numbers, check_range, encode_numbers

__all__ = ["ShareProof", "prove_shares", "verify_shares"]

_CHALLENGE_BYTES: Final = CHALLENGE_BITS // 8
_SHARES: Final = "decryption shares"


@dataclass(frozen=True, slots=True)
class ShareProof:
    """A proof of one trainer's decryption shares.

    Attributes:
        challenge: E, 128 bits.
        response: z = r + E·u, with r drawn from so many numbers that z hides u: all but 2^-128.
    """

    challenge: int
    response: int

    def encode(self, keys: ThresholdKeys) -> bytes:
        """Return the proof's bytes, as many for every proof under these keys."""
        response = self.response.to_bytes(_response_bytes(keys), "big")
        return self.challenge.to_bytes(_CHALLENGE_BYTES, "big") + response

    @classmethod
    def decode(cls, data: bytes, keys: ThresholdKeys) -> "ShareProof":
        """Return the proof that bytes hold.

        Raises:
            CryptoError: a wrong length.
        """
        size = _CHALLENGE_BYTES + _response_bytes(keys)
        if len(data) != size:
            raise CryptoError("share proof", f"{len(data)} bytes, and it has {size}")
        head, tail = data[:_CHALLENGE_BYTES], data[_CHALLENGE_BYTES:]
        return cls(int.from_bytes(head, "big"), int.from_bytes(tail, "big"))


def prove_shares(
    share: KeyShare,
    ciphertexts: Sequence[int],
    numbers: Sequence[int],
    transcript: Transcript,
    *,
    entropy: Entropy,
) -> ShareProof:
    """Prove a trainer's decryption shares. One ciphertext is a list of one.

    Args:
        share: the trainer's.
        ciphertexts: c_1 to c_k.
        numbers: x_1 to x_k, as `partial_decryptions` gave them.
        transcript: the caller's, for this account and round; it moves on.
        entropy: where r is drawn.

    Raises:
        CryptoError: a number is none.
    """
    keys = share.keys
    n = keys.public.n
    _check(keys, ciphertexts, numbers)
    factors = _begin(keys, share.trainer, ciphertexts, numbers, transcript)
    base = _base(keys, ciphertexts, factors)
    nonce = entropy.below(1 << _nonce_bits(keys))
    commitments = [int(gmpy2.powmod_sec(one, 1 + nonce, n)) for one in (keys.v, base)]
    challenge = _challenge(keys, commitments, transcript)
    return ShareProof(challenge, 1 + nonce + challenge * share.exponent)


def verify_shares(
    keys: ThresholdKeys,
    ciphertexts: Sequence[int],
    numbers: Sequence[int],
    proof: ShareProof,
    transcript: Transcript,
    *,
    trainer: int,
) -> None:
    """Check a trainer's decryption shares.

    Args:
        keys: the threshold key.
        ciphertexts: c_1 to c_k.
        numbers: x_1 to x_k.
        proof: the trainer's.
        transcript: made as the trainer made it; it moves on.
        trainer: whose they are, 1 to l.

    Raises:
        CryptoError: a number is none, or the proof does not hold for these.
    """
    factors = _begin(keys, trainer, ciphertexts, numbers, transcript)
    n, challenge, response = gmpy2.mpz(keys.public.n), proof.challenge, proof.response
    if type(challenge) is not int or not 0 <= challenge < 1 << CHALLENGE_BITS:
        raise CryptoError("share proof", f"its challenge is no number of {CHALLENGE_BITS} bits")
    if type(response) is not int or not 0 < response < 1 << 8 * _response_bytes(keys):
        raise CryptoError("share proof", "its response is out of range")
    base = _base(keys, ciphertexts, factors)
    power = gmpy2.powmod(power_product(numbers, factors, n), 2, n)
    if gmpy2.gcd(base * power, n) != 1:
        _check(keys, ciphertexts, numbers)  # which says what shares a factor with n
    commitments = [
        int(gmpy2.powmod(one, response, n) * gmpy2.powmod(other, -challenge, n) % n)
        for one, other in ((keys.v, keys.verification[trainer - 1]), (base, power))
    ]
    if _challenge(keys, commitments, transcript) != challenge:
        raise CryptoError(
            "share proof", f"it does not prove these decryption shares of trainer {trainer}"
        )


def _begin(
    keys: ThresholdKeys,
    trainer: int,
    ciphertexts: Sequence[int],
    numbers: Sequence[int],
    transcript: Transcript,
) -> list[int]:
    """Check ranges, absorb the statement, return the factors. A single ciphertext needs none: 1."""
    keys.check_trainer(trainer)
    n2 = keys.public.n2
    if not ciphertexts or not all(0 < one < n2 for one in ciphertexts):
        check_ciphertexts(keys, ciphertexts)  # which says why
    check_range(_SHARES, keys, numbers, len(ciphertexts))
    transcript.begin(Label.SHARES)
    transcript.absorb("keys", keys.digest, trainer)
    transcript.absorb("ciphertexts", to_bytes(keys.public, ciphertexts))
    transcript.absorb("shares", encode_numbers(keys, numbers))
    return transcript.challenges("factors", len(numbers)) if len(numbers) > 1 else [1]


def _check(keys: ThresholdKeys, ciphertexts: Sequence[int], numbers: Sequence[int]) -> None:
    check_ciphertexts(keys, ciphertexts)
    check_numbers(_SHARES, keys, numbers, len(ciphertexts))


def _base(keys: ThresholdKeys, ciphertexts: Sequence[int], factors: Sequence[int]) -> Any:
    n = keys.public.n
    return gmpy2.powmod(power_product(reduced(ciphertexts, n), factors, n), 4, n)


def _challenge(keys: ThresholdKeys, commitments: Sequence[int], transcript: Transcript) -> int:
    transcript.absorb("commitments", encode_numbers(keys, commitments))
    return transcript.challenge("challenge")


def _nonce_bits(keys: ThresholdKeys) -> int:
    """Return the size of r: that of E·Δ·s_i, and 128 bits that hide it."""
    return keys.public.bits + keys.delta.bit_length() + 2 * CHALLENGE_BITS


def _response_bytes(keys: ThresholdKeys) -> int:
    return (_nonce_bits(keys) + 1 + 7) // 8
