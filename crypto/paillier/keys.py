"""Keys of Paillier's encryption, with the blinding of Damgård, Jurik and Nielsen (s = 1).

n is the product of two primes p, q ≡ 3 (mod 4) with gcd(p-1, q-1) = 2, and h = (-y²)ⁿ mod n² for a
random y (Damgård, Jurik, Nielsen: "A generalization of Paillier's public-key system with
applications to electronic voting", 2010, section 4). A ciphertext of m is (1 + m·n)·hˣ mod n²
with x of half as many bits as n. It hides m under two assumptions: decisional composite
residuosity, and that hˣ with so short an x looks like a random power of h.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from numbers import Integral
from typing import Any, Final

import gmpy2

from fedledger.effects import Entropy
from fedledger.errors import CryptoError

__all__ = ["SIZES", "TOY_SIZES", "PublicKey", "SecretKey", "is_whole"]

SIZES: Final = (2048, 3072)
"""Bits that a modulus may have: 112 and 128 bits of security (NIST SP 800-57)."""

TOY_SIZES: Final = range(64, 1025, 16)
"""Bits of moduli for tests, which hide nothing: refused wherever `toy` is not said."""

_MAGIC: Final = b"fedledger paillier key 1"
_ROUNDS: Final = 40  # of Miller-Rabin at random bases, after a strong Lucas test
_SMOOTH: Final = 16  # (p-1)/2 has no prime factor of fewer bits, or h could be of small order
_TRIES: Final = 128


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. Made of anything; `check` tells whether it can be one.

    Attributes:
        bits: size of n, one of `SIZES` (or of `TOY_SIZES` in tests).
        n: the modulus; messages are 0 to n-1.
        h: base of the blinding, an n-th power in Z*_{n²}.
    """

    bits: int
    n: int
    h: int

    @classmethod
    def of_modulus(cls, n: int, entropy: Entropy) -> "PublicKey":
        """Return a key of a modulus that its maker knows to be right; y is drawn and forgotten.

        Raises:
            CryptoError: the modulus shares a factor with all that is drawn.
        """
        number = gmpy2.mpz(n)
        for _ in range(_TRIES):
            y = entropy.below(n)
            if gmpy2.gcd(y, number) == 1:
                h = gmpy2.powmod(-y * y % number, number, number * number)
                return cls(n.bit_length(), int(n), int(h))
        raise CryptoError("modulus", "nothing prime to it was drawn: it has small factors")

    @property
    def n2(self) -> int:
        """The square of n: ciphertexts are below it."""
        return self.n * self.n

    @property
    def width(self) -> int:
        """Bytes of a ciphertext."""
        return self.bits // 4

    @property
    def blinding_bits(self) -> int:
        """Bits of x: half as many as n has."""
        return self.bits // 2

    @property
    def digest(self) -> bytes:
        """SHA-256 of `encode()`, 32 bytes: what a protocol binds to."""
        return sha256(self.encode()).digest()

    def encode(self) -> bytes:
        """Return the key's bytes, the only ones: a label, u32(bits), n, h; docs/formats.md."""
        size = self.bits // 8
        numbers = self.n.to_bytes(size, "big") + self.h.to_bytes(2 * size, "big")
        return _MAGIC + self.bits.to_bytes(4, "big") + numbers

    @classmethod
    def decode(cls, data: bytes, *, toy: bool = False) -> "PublicKey":
        """Return the key that bytes hold, checked.

        Args:
            data: what `encode` gave.
            toy: also take a key for tests, which hides nothing.

        Raises:
            CryptoError: they are no key, or one that `check` refuses.
        """
        head = len(_MAGIC) + 4
        if data[: len(_MAGIC)] != _MAGIC or len(data) < head:
            raise CryptoError("public key", "these bytes are no Paillier key of version 1")
        bits = int.from_bytes(data[head - 4 : head], "big")
        _check_size(bits, toy=toy)
        size = bits // 8
        if len(data) != head + 3 * size:
            raise CryptoError(
                "public key", f"{len(data)} bytes, where one of {bits} bits has {head + 3 * size}"
            )
        n = int.from_bytes(data[head : head + size], "big")
        key = cls(bits, n, int.from_bytes(data[head + size :], "big"))
        key.check(toy=toy)
        return key

    def check(self, *, toy: bool = False) -> None:
        """Check all that can be checked without the factors.

        Nobody can see that n has exactly two prime factors, nor that h is an n-th power: for that
        its maker is trusted (the owner of a key of its own; the dealer of a shared one).

        Args:
            toy: also take a key for tests, which hides nothing.

        Raises:
            CryptoError: the size, the modulus or h is not what it has to be.
        """
        if not all(type(one) is int for one in (self.bits, self.n, self.h)):
            raise CryptoError("public key", "bits, n and h are whole numbers")
        _check_size(self.bits, toy=toy)
        n, h = gmpy2.mpz(self.n), gmpy2.mpz(self.h)
        if self.n < 0 or self.n.bit_length() != self.bits:
            raise CryptoError("modulus", f"it has not {self.bits} bits")
        if n % 4 != 1:
            raise CryptoError("modulus", "a product of two primes that are 3 mod 4 is 1 mod 4")
        if gmpy2.gcd(n, _small_primes(_smooth(self.bits // 2))) != 1:
            raise CryptoError("modulus", "it has a small factor")
        if gmpy2.is_power(n) or gmpy2.is_prime(n):
            raise CryptoError(
                "modulus", "it is a prime or a power, and not a product of two primes"
            )
        if not 1 < h < n * n or gmpy2.gcd(h, n) != 1:
            raise CryptoError("h", "it is not in Z*_{n²}")
        if gmpy2.jacobi(h, n) != 1 or h % n in {1, n - 1}:
            raise CryptoError("h", "it is no n-th power of a number -y²")

    def __repr__(self) -> str:
        return f"PublicKey({self.bits} bits, n=0x{self.n:x}"[:40] + "…)"


class SecretKey:
    """The factors of a modulus, for use by one party: it opens every ciphertext alone.

    It is never pickled, copied or shown, and has no encoding.

    Args:
        p: a prime.
        q: the other one.
        public: the key whose modulus is p·q.
        toy: also take a key for tests, which hides nothing.

    Raises:
        CryptoError: these are no factors of such a key, as `check` says.
    """

    __slots__ = ("_p", "_q", "_toy", "public")

    def __init__(self, p: int, q: int, public: PublicKey, *, toy: bool = False) -> None:
        if not all(is_whole(one) and one > 1 for one in (p, q)):
            raise CryptoError("secret key", "its factors are whole numbers above 1")
        self._p, self._q = gmpy2.mpz(p), gmpy2.mpz(q)
        self._toy = toy
        self.public = public
        self.check()

    @classmethod
    def create(cls, bits: int, entropy: Entropy, *, toy: bool = False) -> "SecretKey":
        """Return a new key.

        Args:
            bits: size of its modulus, one of `SIZES`.
            entropy: where its primes are drawn.
            toy: make a key for tests, of one of `TOY_SIZES`, which hides nothing.

        Raises:
            CryptoError: another size.
        """
        _check_size(bits, toy=toy)
        while True:
            p, q = (_prime(bits // 2, entropy) for _ in range(2))
            if _are_factors(p, q, bits):
                return cls(p, q, PublicKey.of_modulus(int(p * q), entropy), toy=toy)

    @property
    def p(self) -> int:
        """The first factor: a secret."""
        return int(self._p)

    @property
    def q(self) -> int:
        """The second factor: a secret."""
        return int(self._q)

    def check(self) -> None:
        """Check the public key, the factors, and that h is an n-th power.

        Raises:
            CryptoError: something is not what it has to be; the factors are not in its text.
        """
        self.public.check(toy=self._toy)
        p, q, n = self._p, self._q, self.public.n
        if p * q != n:
            raise CryptoError("secret key", "the product of its factors is not the modulus")
        if not all(gmpy2.is_prime(one, _ROUNDS) for one in (p, q)):
            raise CryptoError("secret key", "a factor is no prime")
        if not _are_factors(p, q, self.public.bits):
            raise CryptoError(
                "secret key",
                "its primes must be of half its size each, far from each other, 3 mod 4, and p-1 "
                "and q-1 without small factors besides 2, or common ones",
            )
        if self.decrypt(self.public.h):
            raise CryptoError("h", "it is no n-th power: it encrypts another number than 0")

    def decrypt(self, ciphertext: int) -> int:
        """Return the message of a ciphertext, 0 to n-1.

        The exponentiations by secrets take the same time for every ciphertext (GMP's `powm_sec`);
        what surrounds them does not claim to.

        Raises:
            CryptoError: it is not in Z*_{n²}.
        """
        key, c = self.public, ciphertext
        if not (is_whole(c) and 0 < c < key.n2 and gmpy2.gcd(c, key.n) == 1):
            raise CryptoError("ciphertext", "it is not in Z*_{n²}")
        p, q = self._p, self._q
        left, right = _logarithm(c, p, q), _logarithm(c, q, p)
        return int(right + q * ((left - right) * gmpy2.invert(q, p) % p))

    def __repr__(self) -> str:
        return f"SecretKey(of {self.public!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a secret key is not pickled or copied")


def is_whole(value: object) -> bool:
    """Tell whether somebody's value is a whole number, of Python or of gmpy2."""
    return isinstance(value, Integral)


def _logarithm(c: Any, p: Any, q: Any) -> Any:
    """Return the message modulo p. With g = 1 + n, g^(p-1) is 1 - q·p modulo p²."""
    power = gmpy2.powmod_sec(c, p - 1, p * p)
    return (power - 1) // p * gmpy2.invert(-q, p) % p


def _check_size(bits: int, *, toy: bool) -> None:
    if bits not in SIZES and not (toy and bits in TOY_SIZES):
        allowed = " or ".join(map(str, SIZES))
        raise CryptoError("key size", f"a modulus has {allowed} bits, and not {bits}")


def _prime(bits: int, entropy: Entropy) -> Any:
    """Return a random prime of exactly so many bits, the top two set, as `_are_factors` says."""
    top, small = gmpy2.mpz(3) << (bits - 2), _small_primes(_smooth(bits))
    while True:
        drawn = int.from_bytes(entropy.draw(bits // 8), "big")
        p = gmpy2.mpz(drawn) | top | 3
        if gmpy2.gcd(small, p * (p >> 1)) == 1 and gmpy2.is_prime(p, _ROUNDS):
            return p


def _are_factors(p: Any, q: Any, bits: int) -> bool:
    half = bits // 2
    return bool(
        p.bit_length() == q.bit_length() == half
        and p % 4 == q % 4 == 3
        and abs(p - q).bit_length() > half - min(100, half // 4)  # as FIPS 186-5, A.1.3
        and gmpy2.gcd(p - 1, q - 1) == 2
        and gmpy2.gcd(p * q, (p - 1) * (q - 1)) == 1
        and gmpy2.gcd(_small_primes(_smooth(half)), (p >> 1) * (q >> 1)) == 1
    )


def _smooth(bits: int) -> int:
    """Return below what power of two a prime of so many bits has no factors, nor (p-1)/2."""
    return min(_SMOOTH, bits // 16)


@cache
def _small_primes(bits: int) -> Any:
    """Return the product of the odd primes below 2^bits."""
    return gmpy2.primorial(2**bits) // 2 if bits > 1 else gmpy2.mpz(1)
