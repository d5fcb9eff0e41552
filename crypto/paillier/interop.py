"""Keys and numbers of `phe`, for somebody who holds a whole key and has data of that library.

The only module that imports it: `phe` is under the GPL, version 3, unlike this library. A number of
`phe` is a ciphertext of a significand modulo n and an exponent of 16 in the clear; it encrypts one
scalar at a time. Both libraries open what the other one encrypted; blinding differs, which nobody
who has not the factors can see.
"""

import math
from typing import Final

from phe import EncodedNumber, EncryptedNumber, PaillierPrivateKey, PaillierPublicKey

from fedledger.effects import Entropy
from fedledger.errors import CryptoError

from .batch import check, encrypt
from .blinding import Comb
from .cores import Cores
from .keys import PublicKey, SecretKey

__all__ = ["decrypt_number", "encrypt_number", "phe_public", "phe_secret"]

_EXPONENTS: Final = range(-300, 301)  # every float's; a larger one is a power that fills the memory


def phe_public(key: PublicKey) -> PaillierPublicKey:
    """Return the key as `phe` has it: n alone."""
    return PaillierPublicKey(key.n)


def phe_secret(secret: SecretKey) -> PaillierPrivateKey:
    """Return the secret key as `phe` has it, which shows its factors to who asks for them."""
    return PaillierPrivateKey(phe_public(secret.public), secret.p, secret.q)


def encrypt_number(
    comb: Comb, value: float, entropy: Entropy, cores: Cores, precision: float | None = None
) -> EncryptedNumber:
    """Encrypt a number as `phe` encodes it.

    Args:
        comb: the key's table.
        value: a whole number, or a finite float.
        entropy: where the blinding is drawn.
        cores: who computes.
        precision: largest absolute error of a float; exact by default.

    Raises:
        CryptoError: it is neither, or too large for the modulus.
    """
    if type(value) is not int and not (type(value) is float and math.isfinite(value)):
        raise CryptoError("value", "a whole number or a finite float is encrypted")
    public = phe_public(comb.key)
    try:
        encoded = EncodedNumber.encode(public, value, precision)
    except ValueError as error:
        raise CryptoError("value", "it is too large for the modulus at this precision") from error
    [ciphertext] = encrypt(comb, [encoded.encoding], entropy, cores).ciphertexts
    return EncryptedNumber(public, ciphertext, encoded.exponent)


def decrypt_number(secret: SecretKey, encrypted: EncryptedNumber) -> float:
    """Return the number that `phe` encrypted, whole where it was.

    Raises:
        CryptoError: it is under another key, no ciphertext, or its exponent or significand is out
            of range.
    """
    ciphertext = encrypted.ciphertext(be_secure=False)
    if encrypted.public_key.n != secret.public.n:
        raise CryptoError("ciphertext", "it was encrypted under another key")
    if type(encrypted.exponent) is not int or encrypted.exponent not in _EXPONENTS:
        raise CryptoError("exponent", "no float has it")
    check(secret.public, [ciphertext])
    message = secret.decrypt(ciphertext)
    try:
        found = EncodedNumber(encrypted.public_key, message, encrypted.exponent).decode()
    except OverflowError as error:
        raise CryptoError("message", "it is no number that phe encodes") from error
    return found  # type: ignore[no-any-return]
