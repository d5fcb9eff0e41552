"""Bonds: deposits that can be lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from ...accounts import Account
from ...base import Receipt
from ..facade import Facade, sends
from ..meanings import Address, Hash32, Named
from ..records import EventRecord
from ..stake_token.facade import StakeToken

__all__ = ["Bonds", "Deposited", "Locked", "Released", "Slashed", "Withdrawn"]

_Holder = Annotated[Address, Named("account")]


@dataclass(frozen=True, slots=True)
class Deposited(EventRecord):
    """Tokens that an account deposited.

    Attributes:
        account: who.
        amount: how many.
    """

    event: ClassVar = "Deposited"
    account: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn(EventRecord):
    """Tokens that an account took out.

    Attributes:
        account: who.
        amount: how many.
    """

    event: ClassVar = "Withdrawn"
    account: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Locked(EventRecord):
    """Tokens that a contract locked.

    Attributes:
        account: whose.
        locker: address of the contract.
        purpose: for what, 32 bytes.
        amount: how many.
    """

    event: ClassVar = "Locked"
    account: Address
    locker: Address
    purpose: Hash32
    amount: int


@dataclass(frozen=True, slots=True)
class Released(EventRecord):
    """Tokens that a contract gave back; as `Locked`."""

    event: ClassVar = "Released"
    account: Address
    locker: Address
    purpose: Hash32
    amount: int


@dataclass(frozen=True, slots=True)
class Slashed(EventRecord):
    """Tokens that a contract took away.

    Attributes:
        account: whose they were.
        locker: address of the contract that had locked them.
        purpose: for what, 32 bytes.
        to: who has them now, as free tokens.
        amounts: how many of them each.
    """

    event: ClassVar = "Slashed"
    account: Address
    locker: Address
    purpose: Hash32
    to: tuple[Address, ...]
    amounts: tuple[int, ...]


class Bonds(Facade):
    """What accounts deposited, and what contracts locked of it."""

    contract = "Bonds"

    @sends
    def withdraw(self, account: Account, amount: int) -> None:
        """Take free tokens of `account` out, a day after its last release at the earliest."""

    @sends
    def lock(self, account: Account, holder: _Holder, purpose: Hash32, amount: int) -> None:
        """Lock free tokens of `holder`; `account` has LOCKER_ROLE."""

    @sends
    def release(self, account: Account, holder: _Holder, purpose: Hash32, amount: int) -> None:
        """Give back what `account` locked."""

    @sends
    def slash(
        self,
        account: Account,
        holder: _Holder,
        purpose: Hash32,
        *,
        to: Sequence[Address],
        amounts: Sequence[int],
    ) -> None:
        """Take away what `account` locked, for at most 256 others."""

    def deposit(self, account: Account, amount: int) -> Receipt:
        """Deposit tokens of `account`, in one call of the token."""
        here = self.ledger.contracts()[self.contract].address
        return StakeToken(self.ledger).transfer_and_call(account, here, amount)

    def deposits(self, holders: Sequence[str]) -> list[Deposited]:
        """Return what accounts deposited so far, in ledger order."""
        return self._events(Deposited, account=list(holders))

    def moves(self) -> list[Deposited | Withdrawn | Locked | Released | Slashed]:
        """Return all that ever happened to deposits, in ledger order."""
        records: dict[str, type[Deposited | Withdrawn | Locked | Released | Slashed]] = {
            one.event: one for one in (Deposited, Withdrawn, Locked, Released, Slashed)
        }
        events = self.ledger.events(self.contract)
        return [records[one.name].read(one) for one in events if one.name in records]

    def free(self, holder: str) -> int:
        """Return what an account has that is not locked."""
        return self._call(int, "free", holder)

    def locked(self, holder: str, locker: str, purpose: bytes) -> int:
        """Return what `locker` locked of an account for a purpose."""
        return self._call(int, "locked", holder, locker, purpose)

    def withdrawable_from(self, holder: str) -> int:
        """Return when an account may withdraw, in block time; 0: at any time."""
        return self._call(int, "withdrawableFrom", holder)
