"""Identities: the keys that accounts publish."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ...accounts import Account
from ..facade import Facade, sends
from ..meanings import Address, Hash32
from ..records import EventRecord

__all__ = ["Identities", "KeysRevoked", "KeysSet", "Record"]


@dataclass(frozen=True, slots=True)
class KeysSet(EventRecord):
    """Keys that an account published; what is absent is empty, or 32 zero bytes.

    Attributes:
        account: whose they are said to be.
        version: number of the account's records so far.
        hpke: X25519 public key, 32 bytes.
        bls: BLS12-381 public key, 48 bytes.
        bls_proof: its proof of possession, 96 bytes.
        flower: public key of a Flower SuperNode, DER.
        flower_proof: that key's signature over the account.
    """

    event: ClassVar = "KeysSet"
    account: Address
    version: int
    hpke: Hash32
    bls: bytes
    bls_proof: bytes
    flower: bytes
    flower_proof: bytes


@dataclass(frozen=True, slots=True)
class KeysRevoked(EventRecord):
    """Keys that an account took back.

    Attributes:
        account: whose they were.
        version: number of the account's records so far.
    """

    event: ClassVar = "KeysRevoked"
    account: Address
    version: int


class Record(NamedTuple):
    """What the contract holds of an account: number of its records, digest of the newest (or 0)."""

    version: int
    digest: Hash32


class Identities(Facade):
    """Which keys belong to an account; whether their proofs hold is for whoever reads them."""

    contract = "Identities"

    @sends
    def set_keys(
        self,
        account: Account,
        *,
        hpke: Hash32 = bytes(32),
        bls: bytes = b"",
        bls_proof: bytes = b"",
        flower: bytes = b"",
        flower_proof: bytes = b"",
    ) -> None:
        """Publish the keys of `account`, in place of all before."""

    @sends
    def revoke_keys(self, account: Account) -> None:
        """Take back the keys of `account`."""

    def record(self, address: str) -> Record:
        """Return what the contract holds of an account's newest record."""
        return self._call(Record, "getKeys", address)

    def keys_set(self, address: str | None = None) -> list[KeysSet]:
        """Return the records that were published, of one account or of all, in ledger order."""
        return self._events(KeysSet, **_of(address))

    def keys_revoked(self, address: str | None = None) -> list[KeysRevoked]:
        """Return what was taken back, by one account or by all, in ledger order."""
        return self._events(KeysRevoked, **_of(address))


def _of(address: str | None) -> dict[str, Any]:
    return {} if address is None else {"account": address}
