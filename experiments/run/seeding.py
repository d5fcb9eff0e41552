"""Random numbers: everything drawn in an experiment comes from one seed and a list of labels.

Two draws with different labels are independent, and adding a draw somewhere changes no other: a
partition is the same whichever approach is run on it, and a client's batches are the same whichever
process trains it.
"""

import hashlib

import numpy as np

__all__ = ["derive", "generator", "whole"]

_DOMAIN = b"fedledger experiment seed v1"


def derive(seed: int, *labels: str | int) -> bytes:
    """Return 32 bytes that depend on the seed and on every label, in order."""
    digest = hashlib.sha256(_DOMAIN)
    for part in (seed, *labels):
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return digest.digest()


def whole(seed: int, *labels: str | int) -> int:
    """Return a whole number from 0 to 2⁶³-1, for generators that want one (PyTorch's)."""
    return int.from_bytes(derive(seed, *labels)[:8], "big") >> 1


def generator(seed: int, *labels: str | int) -> np.random.Generator:
    """Return a numpy generator."""
    return np.random.default_rng(int.from_bytes(derive(seed, *labels), "big"))
