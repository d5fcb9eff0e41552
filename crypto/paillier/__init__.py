"""Packed Paillier: keys, quantisation and packing, batches of ciphertexts (extra `paillier`)."""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .keys import PublicKey, SecretKey

__all__ = ["PublicKey", "SecretKey"]

__getattr__ = lazily(
    __name__,
    {"PublicKey": "keys", "SecretKey": "keys"},
    "paillier",
)
