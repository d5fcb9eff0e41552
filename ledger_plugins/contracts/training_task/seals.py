"""Seals and salts: with every update a client commits to a secret, which it reveals afterwards.

The salts of all clients together say what nobody could know before the list of updates was fixed.
"""

import hashlib

from fedledger.errors import AccountError

from ...signing import Domain, Statement

__all__ = ["SALT", "salt_purpose", "seal_of"]

SALT = Statement(
    "Salt", (("list", "bytes32"), ("salt", "bytes32"), ("lastRound", "uint32"), ("last", "bytes32"))
)
"""A client's salt for one list of updates, and the list that it revealed a salt for before."""

_SEAL = b"fedledger seal v1"


def salt_purpose(domain: Domain) -> bytes:
    """Return the purpose under which a client's account has its salt for a round.

    A client asked twice gives the same salt, so it can promise to reveal it for one list only.
    """
    place = (domain.chain_id, domain.contract.lower(), domain.task, domain.round)
    return "/".join(map(str, ("salt", *place))).encode()


def seal_of(account: str, salt: bytes) -> bytes:
    """Return the seal of a client's salt: SHA-256 over it and the account, so nobody can copy it.

    Args:
        account: the client's address.
        salt: 32 bytes.

    Raises:
        AccountError: it is not 32 bytes.
    """
    if len(salt) != 32:
        raise AccountError(f"a salt is 32 bytes, not {len(salt)}")
    return hashlib.sha256(_SEAL + bytes.fromhex(account[2:]) + salt).digest()
