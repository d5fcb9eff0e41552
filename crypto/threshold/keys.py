"""The public half of a threshold key: what everybody needs to check shares and open ciphertexts.

A ciphertext c = (1 + M·n)·rⁿ mod n² is opened by finding the n-th root r of c modulo n, which gives
M (Paillier, EUROCRYPT 1999, section 5). The exponent for it, d = 1/n modulo m, is shared as in
Shoup's threshold RSA with public exponent n ("Practical Threshold Signatures", EUROCRYPT 2000,
section 3): n = p·q, p = 2p'+1 and q = 2q'+1 are safe primes, and m = p'·q' is the order of the
squares modulo n. With Δ = l!:

    key shares     s_i = f(i) mod m,  f of degree t-1,  f(0) = d
    verification   v a generator of the squares modulo n,  v_i = v^(Δ·s_i)
    decryption     c_i = c^(2Δ·s_i) mod n  of trainer i; its square counts, so n - c_i is as good
    combination    w = Π c_i^(2λ_i) mod n,  so that  wⁿ = c^(4Δ²) modulo n
    message        c^(4Δ²) / wⁿ = 1 + 4Δ²·M·n  modulo n²,  from which θ = 1/(4Δ²) mod n gives M

The textbooks (Fouque, Poupard and Stern, FC 2000; Damgård and Jurik, PKC 2001) share an exponent
modulo n·m and work modulo n². The message is the same, but exponent and modulus are twice as long,
so a share costs a trainer seven times as much and takes twice the room. What a root tells beyond
the message is the product of the blindings, fresh in every ciphertext; docs/trust.md says why that
is harmless.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import factorial
from typing import Final

import gmpy2

from fedledger.errors import CryptoError

from ..paillier.keys import PublicKey
from .arithmetic import lagrange, power_product

__all__ = ["MOST_TRAINERS", "ThresholdKeys", "check_threshold"]

MOST_TRAINERS: Final = 64
"""Most trainers a key is dealt to: exponents grow with l!, which has 296 bits then."""

_MAGIC: Final = b"fedledger threshold keys 1"


@dataclass(frozen=True)
class ThresholdKeys:
    """A threshold key without its shares. Made of anything; `check` tells whether it can be one.

    Attributes:
        public: the Paillier key that everybody encrypts under.
        threshold: t, how many trainers open together.
        v: generator of the squares modulo n.
        verification: v_1 to v_l, one a trainer, in their order.
    """

    public: PublicKey
    threshold: int
    v: int
    verification: tuple[int, ...]

    @property
    def trainers(self) -> int:
        """How many trainers hold a share: l. They are numbered from 1."""
        return len(self.verification)

    @cached_property
    def delta(self) -> int:
        """Δ = l!: with it, interpolation has no fractions."""
        return factorial(self.trainers)

    @cached_property
    def theta(self) -> int:
        """θ = 1/(4Δ²) mod n: by it the last step of an opening multiplies."""
        return int(gmpy2.invert(4 * self.delta**2, self.public.n))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of `encode()`, 32 bytes: what proofs, shares and acceptances are bound to."""
        return sha256(self.encode()).digest()

    @property
    def width(self) -> int:
        """Bytes of a number modulo n: of a decryption share, a root or a key share."""
        return self.public.bits // 8

    def encode(self) -> bytes:
        """Return the key's bytes, the only ones; docs/formats.md."""
        public = self.public.encode()
        numbers = b"".join(one.to_bytes(self.width, "big") for one in (self.v, *self.verification))
        sizes = self.threshold.to_bytes(2, "big") + self.trainers.to_bytes(2, "big")
        return _MAGIC + len(public).to_bytes(4, "big") + public + sizes + numbers

    @classmethod
    def decode(cls, data: bytes, *, toy: bool = False) -> "ThresholdKeys":
        """Return the key that bytes hold, checked.

        Args:
            data: what `encode` gave.
            toy: also take a key for tests, which hides nothing.

        Raises:
            CryptoError: they are no key, or one that `check` refuses.
        """
        head, data = data[: len(_MAGIC) + 4], data[len(_MAGIC) + 4 :]
        if head[: len(_MAGIC)] != _MAGIC or len(head) != len(_MAGIC) + 4:
            raise CryptoError("threshold keys", "these bytes are no threshold keys of version 1")
        size = int.from_bytes(head[-4:], "big")
        if len(data) < size + 4:
            raise CryptoError("threshold keys", "their bytes end within the Paillier key")
        public = PublicKey.decode(data[:size], toy=toy)
        threshold = int.from_bytes(data[size : size + 2], "big")
        trainers = int.from_bytes(data[size + 2 : size + 4], "big")
        check_threshold(threshold, trainers)
        width, data = public.bits // 8, data[size + 4 :]
        if len(data) != width * (trainers + 1):
            raise CryptoError(
                "verification keys",
                f"{len(data)} bytes, where v and {trainers} keys have {width * (trainers + 1)}",
            )
        numbers = [
            int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)
        ]
        keys = cls(public, threshold, numbers[0], tuple(numbers[1:]))
        keys.check(toy=toy)
        return keys

    def check(self, *, toy: bool = False) -> None:
        """Check all that can be checked without the factors.

        Besides sizes and groups, that the exponents of v_1 to v_l lie on one polynomial of degree
        t-1, and no lower one, whose value at 0 takes n-th roots: any t shares that fit to them
        open every ciphertext. What nobody sees: that n is a product of two safe primes, that v is a
        square, and that the dealer forgot.

        Args:
            toy: also take a key for tests, which hides nothing.

        Raises:
            CryptoError: says which part is not what it has to be.
        """
        self.public.check(toy=toy)
        check_threshold(self.threshold, self.trainers)
        n = self.public.n
        for what, one in (
            ("v", self.v),
            *((f"verification key {at}", one) for at, one in enumerate(self.verification, 1)),
        ):
            if type(one) is not int or not 1 < one < n - 1 or gmpy2.gcd(one, n) != 1:
                raise CryptoError(what, "it is not in Z*_n, or is 1 or -1")
            if gmpy2.jacobi(one, n) != 1:
                raise CryptoError(what, "it is no square modulo n")
        self._check_polynomial()

    def check_agreed(
        self, *, bits: int, trainers: int, threshold: int, modulus: int | None = None
    ) -> None:
        """Check that the key is the one that was agreed on, or of the kind, before it was dealt.

        Args:
            bits: size of the modulus.
            trainers: l.
            threshold: t.
            modulus: n, once it is known.

        Raises:
            CryptoError: its modulus is another one or of another size, or it is for others.
        """
        if modulus is not None and modulus != self.public.n:
            raise CryptoError("modulus", "it is not the one that was agreed on")
        if self.public.bits != bits:
            raise CryptoError("modulus", f"it has {self.public.bits} bits, and {bits} were agreed")
        if (self.threshold, self.trainers) != (threshold, trainers):
            raise CryptoError(
                "threshold",
                f"{self.threshold} of {self.trainers} trainers, and {threshold} of {trainers} "
                "were agreed",
            )

    def check_trainer(self, trainer: int) -> None:
        """Check that a number is a trainer's: 1 to l.

        Raises:
            CryptoError: it is not.
        """
        if type(trainer) is not int or not 1 <= trainer <= self.trainers:
            raise CryptoError("trainer", f"there is no number {trainer} among {self.trainers}")

    def _check_polynomial(self) -> None:
        n, first = self.public.n, range(1, self.threshold + 1)
        powers = [gmpy2.powmod(one, self.delta, n) for one in self.verification]
        if powers[self.threshold - 1] == _interpolated(self, first[:-1], self.threshold):
            raise CryptoError("threshold", f"fewer than {self.threshold} trainers could open")
        for at in range(self.threshold + 1, self.trainers + 1):
            if powers[at - 1] != _interpolated(self, first, at):
                raise CryptoError(
                    f"verification key {at}", "it does not fit to the others: no polynomial does"
                )
        root = gmpy2.powmod(_interpolated(self, first, 0), n, n)
        if root != gmpy2.powmod(self.v, self.delta**2, n):
            raise CryptoError("verification keys", "the shares behind them take no n-th roots")

    def __repr__(self) -> str:
        return f"ThresholdKeys({self.threshold} of {self.trainers}, {self.public!r})"


def check_threshold(threshold: int, trainers: int) -> None:
    """Check t and l: more than half of the trainers, and no more than there are.

    Raises:
        CryptoError: they do not go together, or there are too many trainers.
    """
    if not 2 <= trainers <= MOST_TRAINERS:
        raise CryptoError(
            "trainers",
            f"a key is dealt to 2 to {MOST_TRAINERS} trainers, and not to {trainers}: exponents "
            "grow with the factorial of their number",
        )
    if threshold > trainers:
        raise CryptoError("threshold", f"{threshold} of {trainers} trainers is more than all")
    if 2 * threshold <= trainers:
        raise CryptoError(
            "threshold",
            f"{threshold} of {trainers} trainers is no majority: two groups could open two lists",
        )


def _interpolated(keys: ThresholdKeys, points: range, at: int) -> int:
    """Return v to Δ times the exponent that the v_i of these points have together at a point."""
    n = keys.public.n
    weights = lagrange(points, at, keys.delta)
    bases = [keys.verification[point - 1] for point in points]
    above = [(base, weight) for base, weight in zip(bases, weights, strict=True) if weight > 0]
    below = [(base, -weight) for base, weight in zip(bases, weights, strict=True) if weight < 0]
    over, under = (
        power_product([base for base, _ in pairs], [weight for _, weight in pairs], n)
        for pairs in (above, below)
    )
    return int(over * gmpy2.invert(under, n) % n)
