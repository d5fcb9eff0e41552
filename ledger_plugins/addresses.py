"""Addresses: 20 bytes, written as EIP-55 checksummed hexadecimal."""

from functools import lru_cache
from string import hexdigits

from eth_hash.auto import keccak

from fedledger.errors import CallError

__all__ = [
    "ZERO_ADDRESS",
    "address_from_bytes",
    "address_of_public_key",
    "checksum_address",
    "is_checksummed",
]

ZERO_ADDRESS = "0x" + "00" * 20
"""The address nobody holds; tokens come from it when they are minted."""

_HEX = frozenset(hexdigits)


@lru_cache(maxsize=65_536)
def address_from_bytes(raw: bytes) -> str:
    """Return the checksummed form of 20 bytes (EIP-55).

    Raises:
        CallError: not 20 bytes.
    """
    if len(raw) != 20:
        raise CallError(f"an address has 20 bytes, got {len(raw)}")
    plain = raw.hex()
    digest = keccak(plain.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(nibble, 16) > 7 else letter
        for letter, nibble in zip(plain, digest, strict=False)  # the digest is longer
    )


def checksum_address(address: str) -> str:
    """Return the checksummed form of an address.

    Args:
        address: "0x" and 40 hexadecimal digits, either all lower case or with its right checksum.

    Raises:
        CallError: something else, or a checksum that does not fit (a typing error).
    """
    if not isinstance(address, str):
        raise CallError(f"an address is a string, got {type(address).__name__}")
    if len(address) != 42 or address[:2] != "0x" or not _HEX.issuperset(address[2:]):
        raise CallError(f"{address[:60]!r} is no address: 0x and 40 hexadecimal digits")
    checksummed = address_from_bytes(bytes.fromhex(address[2:]))
    if address not in (checksummed, checksummed.lower()):
        raise CallError(f"{address} has a wrong checksum: {checksummed} would be right")
    return checksummed


@lru_cache(maxsize=4096)
def address_of_public_key(public_key: bytes) -> str:
    """Return the address of an uncompressed secp256k1 public key (65 bytes, the first one 4)."""
    return address_from_bytes(keccak(public_key[1:])[12:])


def is_checksummed(address: str) -> bool:
    """Tell whether a text is an address in its checksummed form."""
    try:
        return checksum_address(address) == address
    except CallError:
        return False
