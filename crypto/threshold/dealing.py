"""The dealer: makes a threshold key and forgets what it was made from (formulas: `keys`)."""

from math import factorial
from typing import Any

import gmpy2

from fedledger.effects import Entropy
from fedledger.errors import CryptoError

from ..paillier.keys import SIZES, TOY_SIZES, PublicKey
from .keys import ThresholdKeys, check_threshold
from .primes import safe_prime
from .shares import KeyShare

__all__ = ["deal"]


def deal(
    bits: int, trainers: int, threshold: int, entropy: Entropy, *, toy: bool = False
) -> tuple[ThresholdKeys, tuple[KeyShare, ...]]:
    """Return a new key, and the shares of trainers 1 to l: each belongs to that trainer alone.

    The factors, the exponent and the polynomial are in no value returned. Python does not wipe
    memory, so the dealer is a process of its own that ends afterwards: never the aggregator's.
    2048 bits take about a second, 3072 about four.

    Args:
        bits: size of the modulus, 2048 or 3072.
        trainers: l, 2 to `MOST_TRAINERS`.
        threshold: t, more than half of the trainers.
        entropy: where everything is drawn.
        toy: make a key for tests, of fewer bits, which hides nothing.

    Raises:
        CryptoError: sizes that do not go together.
    """
    check_threshold(threshold, trainers)
    if bits not in SIZES and not (toy and bits in TOY_SIZES):
        raise CryptoError("key size", f"a modulus has {' or '.join(map(str, SIZES))} bits")
    p, q = _factors(bits // 2, entropy)
    keys, secrets = _split(p, q, trainers, threshold, entropy)
    keys.check(toy=toy)
    return keys, tuple(KeyShare(at, one, keys) for at, one in enumerate(secrets, 1))


def _factors(bits: int, entropy: Entropy) -> tuple[int, int]:
    """Return two safe primes that are far from each other (FIPS 186-5, A.1.3)."""
    while True:
        p, q = safe_prime(bits, entropy), safe_prime(bits, entropy)
        far = abs(p - q).bit_length() > bits - min(100, bits // 4)
        if far and p not in {q // 2, 2 * q + 1}:
            return p, q


def _split(
    p: int, q: int, trainers: int, threshold: int, entropy: Entropy
) -> tuple[ThresholdKeys, list[int]]:
    n, order = p * q, (p // 2) * (q // 2)
    while True:
        coefficients = [int(gmpy2.invert(n, order))]
        coefficients += [entropy.below(order) for _ in range(threshold - 1)]
        secrets = [_value(coefficients, at, order) for at in range(1, trainers + 1)]
        v = _generator(p, q, entropy)
        scale = factorial(trainers)
        verification = [int(gmpy2.powmod(v, scale * one, n)) for one in secrets]
        if 0 not in secrets and 1 not in verification:
            public = PublicKey.of_modulus(n, entropy)
            return ThresholdKeys(public, threshold, int(v), tuple(verification)), secrets


def _value(coefficients: list[int], at: int, order: int) -> int:
    value = 0
    for one in reversed(coefficients):
        value = (value * at + one) % order
    return value


def _generator(p: int, q: int, entropy: Entropy) -> Any:
    """Return a generator of the squares modulo p·q: one that is 1 modulo neither."""
    while True:
        v = gmpy2.powmod(1 + entropy.below(p * q - 1), 2, p * q)
        if gmpy2.gcd(v * (v - 1), p * q) == 1:
            return v
