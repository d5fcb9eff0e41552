"""Batches of ciphertexts: encrypted, summed, weighed, opened, and read from somebody else's bytes.

A batch is a list of numbers; as bytes each has the key's `width`, most significant byte first.
Nothing here bounds what a ciphertext holds: that it is one at all is all that `check` can see.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gmpy2

from fedledger.effects import Entropy
from fedledger.errors import CryptoError

from .blinding import Comb
from .cores import Cores
from .keys import PublicKey, SecretKey, is_whole
from .packing import MOST_WEIGHT

__all__ = ["Encrypted", "add", "check", "decrypt", "encrypt", "from_bytes", "to_bytes"]


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A batch as its maker has it.

    Attributes:
        ciphertexts: for everybody.
        blindings: the x of each: secret, since each opens its ciphertext. Proofs need them; forget
            them afterwards. They are neither shown nor pickled.
    """

    ciphertexts: list[int]
    blindings: list[int]

    def __repr__(self) -> str:
        return f"Encrypted({len(self.ciphertexts)} ciphertexts)"

    def __reduce__(self) -> Any:
        raise TypeError("a batch with its blindings is not pickled or copied")


def encrypt(comb: Comb, plaintexts: Sequence[int], entropy: Entropy, cores: Cores) -> Encrypted:
    """Encrypt messages, each with randomness of its own: (1 + m·n)·hˣ mod n².

    Args:
        comb: the key's table.
        plaintexts: 0 to n-1 each.
        entropy: where each x is drawn; what foresees it opens the ciphertexts.
        cores: who computes.

    Raises:
        CryptoError: a message is negative or not below n.
    """
    key = comb.key
    n, n2 = gmpy2.mpz(key.n), gmpy2.mpz(key.n2)
    for number, message in enumerate(plaintexts):
        if not (is_whole(message) and 0 <= message < n):
            raise CryptoError(f"plaintext {number}", "a message is from 0 to n-1")
    size = key.blinding_bits // 8
    drawn = entropy.draw(size * len(plaintexts))
    blindings = [int.from_bytes(drawn[at : at + size], "big") for at in range(0, len(drawn), size)]

    def one(given: tuple[int, int]) -> int:
        message, x = given
        return int((1 + message * n) * comb.power(x) % n2)

    pairs = list(zip(plaintexts, blindings, strict=True))
    return Encrypted(cores.each(one, pairs), blindings)


def add(
    key: PublicKey, batches: Iterable[Sequence[int]], weights: Sequence[int] | None = None
) -> list[int]:
    """Return the ciphertexts of the weighted sums: products of powers modulo n².

    Batches are taken one after another, so an iterator that reads them needs no memory for all:
    there is a product for each bit of the weights, which are squared and joined at the end.
    Whether the sum fits its slots `Packing.check_weights` tells, before anybody encrypts.

    Args:
        key: the public key.
        batches: of one length each, checked by `check` or `from_bytes`.
        weights: one for each batch, from 1 to `packing.MOST_WEIGHT`; 1 each by default.

    Raises:
        CryptoError: no batch, one of another length, another number of weights, or a weight that
            is none.
    """
    n2 = gmpy2.mpz(key.n2)
    planes: dict[int, list[Any]] = {}
    length, taken = 0, 0
    for taken, batch in enumerate(batches, 1):
        length = length or len(batch)
        if not batch or len(batch) != length:
            raise CryptoError(f"batch {taken - 1}", f"{len(batch)} ciphertexts, not {length or 1}")
        weight = 1 if weights is None else _weight(weights, taken - 1)
        given = [gmpy2.mpz(c) for c in batch]
        for bit in range(weight.bit_length()):
            if weight >> bit & 1:
                plane = planes.get(bit)
                planes[bit] = given if plane is None else _product(plane, given, n2)
    if not taken or (weights is not None and len(weights) != taken):
        raise CryptoError("batches", f"{taken} of them, and {len(weights or ())} weights")
    highest = max(planes)
    total = planes[highest]
    for bit in range(highest - 1, -1, -1):
        total = [c * c % n2 for c in total]
        if bit in planes:
            total = _product(total, planes[bit], n2)
    return [int(c % n2) for c in total]


def decrypt(secret: SecretKey, ciphertexts: Sequence[int], cores: Cores) -> list[int]:
    """Return the messages of ciphertexts, 0 to n-1 each, by the one who holds both factors.

    Raises:
        CryptoError: one is not in Z*_{n²}.
    """
    check(secret.public, ciphertexts)
    return cores.each(secret.decrypt, ciphertexts)


def check(key: PublicKey, ciphertexts: Sequence[int]) -> None:
    """Check that numbers are ciphertexts: all of Z*_{n²} are, and nothing else is.

    The greatest common divisor with n is taken once, of their product.

    Raises:
        CryptoError: one is not in Z*_{n²}; `what` names the first.
    """
    n, n2 = gmpy2.mpz(key.n), gmpy2.mpz(key.n2)
    product = gmpy2.mpz(1)
    for number, c in enumerate(ciphertexts):
        if not (is_whole(c) and 0 < c < n2):
            raise CryptoError(f"ciphertext {number}", "it is not in Z*_{n²}: 1 to n²-1")
        product = product * (c % n) % n
    if gmpy2.gcd(product, n) != 1:
        first = next(number for number, c in enumerate(ciphertexts) if gmpy2.gcd(c, n) != 1)
        raise CryptoError(f"ciphertext {first}", "it is not in Z*_{n²}: it shares a factor with n")


def to_bytes(key: PublicKey, ciphertexts: Iterable[int]) -> bytes:
    """Return the bytes of a batch, `key.width` for each."""
    return b"".join(int(c).to_bytes(key.width, "big") for c in ciphertexts)


def from_bytes(key: PublicKey, data: bytes, count: int) -> list[int]:
    """Return the batch that somebody's bytes hold, checked.

    Args:
        key: the public key.
        data: the bytes.
        count: how many ciphertexts there have to be.

    Raises:
        CryptoError: another length, or a number that is no ciphertext.
    """
    width = key.width
    if len(data) != count * width:
        raise CryptoError(
            "ciphertexts", f"{len(data)} bytes do not hold {count} of {width} bytes each"
        )
    found = [int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)]
    check(key, found)
    return found


def _product(left: list[Any], right: list[Any], modulus: Any) -> list[Any]:
    return [a * b % modulus for a, b in zip(left, right, strict=True)]


def _weight(weights: Sequence[int], number: int) -> int:
    weight = weights[number] if number < len(weights) else 0
    if type(weight) is not int or not 1 <= weight <= MOST_WEIGHT:
        raise CryptoError(f"weight {number}", f"a batch has a whole weight of 1 to {MOST_WEIGHT}")
    return weight
