"""Powers of a fixed base: the blinding hˣ by products of what stands in a table.

The exponent is read in digits of w bits; for each place the powers of h with every digit stand in a
table, so that a power is a product of as many numbers as there are digits (Brickell, Gordon,
McCurley and Wilson, EUROCRYPT '92). The table is made for one key and kept while it is used.

**Not constant-time**: which entries of the table are read depends on the digits of x, so a process
that shares the processor's caches may learn of x, and with x a message. Encrypt where nobody else
computes whom you do not trust. What is drawn, added and opened elsewhere does not use it.
"""

from typing import Any, Final

import gmpy2

from fedledger.errors import CryptoError

from .keys import PublicKey

__all__ = ["WINDOWS", "Comb", "window"]

WINDOWS: Final = range(4, 11)
"""Bits of a digit. The widest table takes 57 MB at 2048 bits, and 127 MB at 3072."""


def window(bits: int, uses: int) -> int:
    """Return the digit for which a table and `uses` powers with it take the fewest products.

    Args:
        bits: those of the exponents.
        uses: how many powers will be computed while the table is kept.
    """
    return min(WINDOWS, key=lambda width: -(-bits // width) * ((1 << width) + uses))


class Comb:
    """The table of a key.

    Args:
        key: the public key.
        uses: how many ciphertexts it will be used for, about.

    Raises:
        CryptoError: the key's h is not in Z*_{n²}.
    """

    __slots__ = ("_modulus", "_rows", "_width", "key")

    def __init__(self, key: PublicKey, uses: int = 1000) -> None:
        self.key = key
        self._modulus = modulus = gmpy2.mpz(key.n2)
        self._width = window(key.blinding_bits, uses)
        base = gmpy2.mpz(key.h)
        if not 1 < base < modulus or gmpy2.gcd(base, modulus) != 1:
            raise CryptoError("h", "it is not in Z*_{n²}")
        self._rows: list[list[Any]] = []
        for _ in range(-(-key.blinding_bits // self._width)):
            row = [gmpy2.mpz(1)]
            for _ in range((1 << self._width) - 1):
                row.append(row[-1] * base % modulus)
            base = row[-1] * base % modulus
            self._rows.append(row)

    def power(self, x: int) -> int:
        """Return hˣ mod n².

        Raises:
            CryptoError: x is negative or has more bits than the key's blinding.
        """
        if x < 0 or x.bit_length() > self.key.blinding_bits:
            raise CryptoError("blinding", f"x has 0 to {self.key.blinding_bits} bits")
        found, modulus = gmpy2.mpz(1), self._modulus
        for row, digit in zip(self._rows, gmpy2.unpack(gmpy2.mpz(x), self._width), strict=False):
            found = found * row[digit] % modulus
        return found  # type: ignore[no-any-return]
