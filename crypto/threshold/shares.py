"""A trainer's share of the key, and its decryption shares of ciphertexts (formulas: `keys`)."""

from collections.abc import Sequence
from typing import Any

import gmpy2

from fedledger.errors import CryptoError

from ..paillier.batch import check
from ..paillier.cores import Cores
from .arithmetic import powers, product, reduced
from .keys import ThresholdKeys

__all__ = [
    "KeyShare",
    "check_ciphertexts",
    "check_numbers",
    "check_range",
    "decode_numbers",
    "encode_numbers",
    "partial_decryptions",
]


class KeyShare:
    """The secret share of one trainer: never shown, pickled or copied.

    Args:
        trainer: its number, 1 to l.
        secret: s_i, 1 to n-1.
        keys: the key that it is a share of.

    Raises:
        CryptoError: it is no share of that key for that trainer: v^(Δ·s_i) is another number than
            v_i. The secret is not in the text.
    """

    __slots__ = ("_secret", "keys", "trainer")

    def __init__(self, trainer: int, secret: int, keys: ThresholdKeys) -> None:
        keys.check_trainer(trainer)
        if type(secret) is not int or not 0 < secret < keys.public.n:
            raise CryptoError("key share", "it is no number from 1 to n-1")
        found = gmpy2.powmod_sec(keys.v, keys.delta * secret, keys.public.n)
        if found != keys.verification[trainer - 1]:
            raise CryptoError(
                "key share", f"it does not fit to verification key {trainer}: the dealer's fault"
            )
        self.trainer, self.keys, self._secret = trainer, keys, secret

    @classmethod
    def decode(cls, data: bytes, trainer: int, keys: ThresholdKeys) -> "KeyShare":
        """Return the share that bytes hold, checked.

        Raises:
            CryptoError: a wrong length, or no share of that key for that trainer.
        """
        if len(data) != keys.width:
            raise CryptoError("key share", f"{len(data)} bytes, and it has {keys.width}")
        return cls(trainer, int.from_bytes(data, "big"), keys)

    def encode(self) -> bytes:
        """Return the secret's bytes, as many as n has: for `ceremony.seal_share` and a keystore."""
        return self._secret.to_bytes(self.keys.width, "big")

    @property
    def exponent(self) -> int:
        """Δ·s_i: a secret."""
        return self.keys.delta * self._secret

    def __repr__(self) -> str:
        return f"KeyShare(of trainer {self.trainer}, {self.keys!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a share of a key is not pickled or copied")


def partial_decryptions(share: KeyShare, ciphertexts: Sequence[int], cores: Cores) -> list[int]:
    """Return a trainer's decryption shares: c^(2Δ·s_i) mod n or its negative, the smaller one.

    Whether these ciphertexts may be opened at all is for the caller to know.

    Args:
        share: the trainer's.
        ciphertexts: numbers of Z*_{n²}.
        cores: who computes.

    Raises:
        CryptoError: a number is no ciphertext.
    """
    n = gmpy2.mpz(share.keys.public.n)
    check_ciphertexts(share.keys, ciphertexts)
    found = powers(reduced(ciphertexts, n), 2 * share.exponent, n, cores, secret=True)
    return [int(min(one, n - one)) for one in found]


def check_ciphertexts(keys: ThresholdKeys, ciphertexts: Sequence[int]) -> None:
    """Check that all are in Z*_{n²}, and that there is one.

    Raises:
        CryptoError: there is none, or one that is no ciphertext.
    """
    if not ciphertexts:
        raise CryptoError("ciphertexts", "there are none")
    check(keys.public, ciphertexts)


def check_range(what: str, keys: ThresholdKeys, numbers: Sequence[int], count: int) -> None:
    """Check that decryption shares, or roots, are as many as ciphertexts, and 1 to (n-1)/2.

    Raises:
        CryptoError: another number of them, or one out of range, with its position.
    """
    most = gmpy2.mpz(keys.public.n) // 2
    if len(numbers) != count:
        raise CryptoError(what, f"{len(numbers)} of them for {count} ciphertexts")
    for at, one in enumerate(numbers):
        if not 0 < one <= most:
            raise CryptoError(what, f"number {at} is not from 1 to (n-1)/2")


def check_numbers(what: str, keys: ThresholdKeys, numbers: Sequence[int], count: int) -> None:
    """Check decryption shares, or roots: by `check_range`, and that all are prime to n.

    Raises:
        CryptoError: another number of them, or one that is none, with its position.
    """
    check_range(what, keys, numbers, count)
    n = gmpy2.mpz(keys.public.n)
    if gmpy2.gcd(product(numbers, n), n) != 1:
        at = next(at for at, one in enumerate(numbers) if gmpy2.gcd(one, n) != 1)
        raise CryptoError(what, f"number {at} shares a factor with n")


def encode_numbers(keys: ThresholdKeys, numbers: Sequence[int]) -> bytes:
    """Return decryption shares or roots as bytes: `keys.width` each, the most significant first."""
    return b"".join(one.to_bytes(keys.width, "big") for one in numbers)


def decode_numbers(what: str, keys: ThresholdKeys, data: bytes, count: int) -> list[int]:
    """Return the decryption shares or roots that bytes hold, checked as by `check_numbers`.

    Raises:
        CryptoError: a wrong length, or a number that is none.
    """
    if len(data) != keys.width * count:
        raise CryptoError(what, f"{len(data)} bytes, where {count} have {keys.width * count}")
    numbers = [
        int.from_bytes(data[at : at + keys.width], "big") for at in range(0, len(data), keys.width)
    ]
    check_numbers(what, keys, numbers, count)
    return numbers
