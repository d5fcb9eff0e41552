"""Arithmetic modulo n and n²: many powers at once, products, interpolation by integers.

Only where it is said does anything take the same time for every exponent.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, Final

import gmpy2

from ..paillier.cores import Cores

__all__ = ["inverses", "lagrange", "power_product", "powers", "product", "reduced"]

_FEW: Final = 8  # bases for which single powers are no slower


def powers(
    bases: Sequence[int], exponent: int, modulus: int, cores: Cores, *, secret: bool = False
) -> list[Any]:
    """Return every base to the same power.

    Args:
        bases: numbers below the modulus.
        exponent: positive.
        modulus: odd.
        cores: who computes.
        secret: whether the exponent is one: GMP's `powm_sec` then takes the same time for every
            exponent of its length and every base, about a fifth longer.
    """
    power = gmpy2.powmod_sec if secret else gmpy2.powmod
    return cores.each(lambda base: power(base, exponent, modulus), bases)


def power_product(bases: Sequence[int], exponents: Sequence[int], modulus: int) -> Any:
    """Return the product of bases[i]^exponents[i], by Pippenger's buckets.

    Args:
        bases: numbers below the modulus.
        exponents: as many, not negative.
        modulus: odd.
    """
    n = gmpy2.mpz(modulus)
    if len(bases) <= _FEW:
        pairs = zip(bases, exponents, strict=True)
        return product((gmpy2.powmod(base, one, n) for base, one in pairs), n)
    bits = max(one.bit_length() for one in exponents)
    window = min(range(2, 17), key=lambda w: -(-bits // w) * (len(bases) + 2 ** (w + 1)))
    numbers, mask = [gmpy2.mpz(base) for base in bases], (1 << window) - 1
    result = gmpy2.mpz(1)
    for shift in reversed(range(0, bits, window)):
        result = gmpy2.powmod(result, 1 << window, n)
        buckets: list[Any] = [None] * (mask + 1)
        for base, exponent in zip(numbers, exponents, strict=True):
            digit = exponent >> shift & mask
            found = buckets[digit]
            buckets[digit] = base if found is None else found * base % n
        result = result * _weighted(buckets, n) % n
    return result


def product(values: Iterable[int], modulus: int) -> Any:
    """Return the product of numbers modulo another."""
    result, n = gmpy2.mpz(1), gmpy2.mpz(modulus)
    for one in values:
        result = result * one % n
    return result


def reduced(numbers: Iterable[int], modulus: int) -> list[Any]:
    """Return numbers modulo another; GMP divides sooner than Python."""
    n = gmpy2.mpz(modulus)
    return [gmpy2.mpz(one) % n for one in numbers]


def inverses(values: Sequence[int], modulus: int) -> list[Any]:
    """Return the inverse of each, by one inversion (Montgomery's trick).

    Raises:
        ZeroDivisionError: one has none.
    """
    n, before, running = gmpy2.mpz(modulus), [], gmpy2.mpz(1)
    for one in values:
        before.append(running)
        running = running * one % n
    left, result = gmpy2.invert(running, n), []
    for one, behind in zip(reversed(values), reversed(before), strict=True):
        result.append(left * behind % n)
        left = left * one % n
    return result[::-1]


def lagrange(points: Sequence[int], at: int, scale: int) -> list[int]:
    """Return integers L with scale · f(at) = Σ L[i] · f(points[i]) for every f of low degree.

    Args:
        points: different whole numbers from 1 to l.
        at: a whole number from 0 to l.
        scale: a multiple of l!: then all are whole.
    """
    result = []
    for one in points:
        others = [k for k in points if k != one]
        above, below = prod(at - k for k in others), prod(one - k for k in others)
        whole, rest = divmod(scale * above, below)
        if rest:
            raise ValueError("the scale is no multiple of the factorial")
        result.append(whole)
    return result


def _weighted(buckets: Sequence[Any], n: Any) -> Any:
    """Return the product of bucket d to the power d, by running products from the top."""
    running: Any = None
    result = gmpy2.mpz(1)
    for bucket in reversed(buckets[1:]):
        if bucket is not None:
            running = bucket if running is None else running * bucket % n
        if running is not None:
            result = result * running % n
    return result
