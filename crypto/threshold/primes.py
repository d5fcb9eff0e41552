"""Safe primes: p = 2p' + 1 with p' prime as well."""

from typing import Any, Final

import gmpy2
import numpy as np

from fedledger.effects import Entropy

__all__ = ["safe_prime"]

_CANDIDATES: Final = 1 << 16
_SIEVED_BELOW: Final = 1 << 17
_ROUNDS: Final = 40  # of Miller-Rabin at random bases, after a strong Lucas test


def safe_prime(bits: int, entropy: Entropy) -> int:
    """Return a random safe prime of exactly so many bits, of which the top two are set.

    It is the first one above a random place, among p' ≡ 5 (mod 6); where there is none close to it,
    the search goes on at another place. 1024 bits take about half a second of one core.

    Args:
        bits: 32 or more.
        entropy: where places are drawn.
    """
    top = gmpy2.mpz(3) << (bits - 3)
    while True:
        start = top | int.from_bytes(entropy.draw((bits + 7) // 8), "big") % (1 << (bits - 3))
        start += (5 - start) % 6
        for k in _sieved(start, bits):
            half = start + 6 * int(k)
            p = 2 * half + 1
            if p.bit_length() != bits:
                break
            if _is_probable(half) and _is_probable(p) and _are_prime(half, p):
                return int(p)


def _sieved(start: Any, bits: int) -> Any:
    """Return those k for which neither start + 6k nor twice that and 1 has a small factor."""
    left = np.ones(_CANDIDATES, bool)
    for p in _small_primes(min(_SIEVED_BELOW, 1 << (bits // 2 - 4))):
        sixth, rest = pow(6, -1, p), int(start % p)
        left[-rest * sixth % p :: p] = False
        left[((p - 1) // 2 - rest) * sixth % p :: p] = False
    return np.flatnonzero(left)


def _small_primes(bound: int) -> list[int]:
    """Return the primes from 5 to below a bound."""
    left = np.ones(bound, bool)
    left[:2] = left[4::2] = False
    for p in range(3, int(bound**0.5) + 1, 2):
        left[p * p :: p] = False
    return [int(one) for one in np.flatnonzero(left)[2:]]


def _is_probable(number: Any) -> bool:
    return bool(gmpy2.powmod(2, number - 1, number) == 1)


def _are_prime(*numbers: Any) -> bool:
    return all(gmpy2.is_prime(one, _ROUNDS) for one in numbers)
