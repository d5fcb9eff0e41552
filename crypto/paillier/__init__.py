"""Packed Paillier: thousands of values in a few ciphertexts that can be summed (extra `paillier`).

`Packing` says how rounded values lie in plaintexts; `encrypt`, `add`, `decrypt` compute on batches
of them; `SecretKey` opens alone. What it hides, and from whom: docs/trust.md, "Packed Paillier".
"""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .batch import Encrypted, add, check, decrypt, encrypt, from_bytes, to_bytes
    from .blinding import Comb
    from .cores import Cores
    from .interop import decrypt_number, encrypt_number, phe_public, phe_secret
    from .keys import SIZES, PublicKey, SecretKey
    from .packing import Packing

__all__ = [
    "SIZES",
    "Comb",
    "Cores",
    "Encrypted",
    "Packing",
    "PublicKey",
    "SecretKey",
    "add",
    "check",
    "decrypt",
    "decrypt_number",
    "encrypt",
    "encrypt_number",
    "from_bytes",
    "phe_public",
    "phe_secret",
    "to_bytes",
]

__getattr__ = lazily(
    __name__,
    {
        "Comb": "blinding",
        "Cores": "cores",
        "Encrypted": "batch",
        "Packing": "packing",
        "PublicKey": "keys",
        "SIZES": "keys",
        "SecretKey": "keys",
        "add": "batch",
        "check": "batch",
        "decrypt": "batch",
        "decrypt_number": "interop",
        "encrypt": "batch",
        "encrypt_number": "interop",
        "from_bytes": "batch",
        "phe_public": "interop",
        "phe_secret": "interop",
        "to_bytes": "batch",
    },
    "paillier",
)
