"""Bonds' twin: deposits, and what contracts locked of them.

Storage: ("free", account); ("locked", account, locker, purpose); ("released", account): time of the
last release.
"""

# ruff: noqa: N802 - the names are the ABI's

from collections.abc import Sequence
from typing import Any

from ..stake_token.twin import LOCKER_ROLE
from ..twin import Key, Twin

__all__ = ["MAX_RECIPIENTS", "WITHDRAW_DELAY", "Bonds"]

WITHDRAW_DELAY = 86_400
"""Seconds between an account's last release and its withdrawals."""

MAX_RECIPIENTS = 256
"""The most recipients of one slash (clause L9)."""

_MAX = (1 << 256) - 1
_ARITHMETIC_OVERFLOW = 0x11  # Solidity's panic code


class Bonds(Twin):
    """Deposits that can be lost."""

    contract = "Bonds"

    def deposit(self, amount: int) -> None:
        """Deposit the sender's tokens, out of an allowance."""
        self._deposit(self.sender, amount)
        self._token().transferFrom(self.sender, self.address, amount)

    def onTokenTransfer(self, sender: str, value: int, data: bytes) -> None:  # noqa: ARG002 - as IBonds has it
        """Deposit what `sender` transferred; the token calls."""
        if self.sender != self.environment.addresses["StakeToken"]:
            self.revert("NotToken", sender=self.sender)
        self._deposit(sender, value)

    def withdraw(self, amount: int) -> None:
        """Take free tokens of the sender out."""
        self._take(self.sender, amount)
        earliest = self.withdrawableFrom(self.sender)
        if self.now < earliest:
            self.revert("WithdrawTooEarly", earliest=earliest, time=self.now)
        self.emit("Withdrawn", account=self.sender, amount=amount)
        self._token().transfer(self.sender, amount)

    def lock(self, account: str, purpose: bytes, amount: int) -> None:
        """Lock free tokens of an account; the sender holds LOCKER_ROLE."""
        self._check_locker()
        self._take(account, amount)
        self._add(("locked", account, self.sender, purpose), amount)
        self.emit("Locked", account=account, locker=self.sender, purpose=purpose, amount=amount)

    def release(self, account: str, purpose: bytes, amount: int) -> None:
        """Give back what the sender locked."""
        self._check_locker()
        if amount == 0:
            self.revert("ZeroAmount")
        self._unlock(account, purpose, amount)
        self._add(("free", account), amount)
        self.state["released", account] = self.now
        self.emit("Released", account=account, locker=self.sender, purpose=purpose, amount=amount)

    def slash(
        self, account: str, purpose: bytes, to: Sequence[str], amounts: Sequence[int]
    ) -> None:
        """Take away what the sender locked."""
        self._check_locker()
        if len(to) != len(amounts):
            self.revert("ListsUnequal", to=len(to), amounts=len(amounts))
        if len(to) > MAX_RECIPIENTS:
            self.revert("TooManyRecipients", given=len(to), maximum=MAX_RECIPIENTS)
        total = sum(amounts)
        if total > _MAX:
            self.revert("Panic", code=_ARITHMETIC_OVERFLOW)
        if total == 0:
            self.revert("ZeroAmount")
        self._unlock(account, purpose, total)
        for recipient, amount in zip(to, amounts, strict=True):
            self._add(("free", recipient), amount)
        self.emit(
            "Slashed",
            account=account,
            locker=self.sender,
            purpose=purpose,
            to=tuple(to),
            amounts=tuple(amounts),
        )

    def free(self, account: str) -> int:
        """Return what an account has that is not locked."""
        return int(self.state.get(("free", account), 0))

    def locked(self, account: str, locker: str, purpose: bytes) -> int:
        """Return what `locker` locked of an account for a purpose."""
        return int(self.state.get(("locked", account, locker, purpose), 0))

    def withdrawableFrom(self, account: str) -> int:
        """Return when an account may withdraw; 0: at any time."""
        released = int(self.state.get(("released", account), 0))
        return released + WITHDRAW_DELAY if released else 0

    def WITHDRAW_DELAY(self) -> int:
        """Return the seconds between a release and a withdrawal."""
        return WITHDRAW_DELAY

    def MAX_RECIPIENTS(self) -> int:
        """Return how many recipients one slash can have."""
        return MAX_RECIPIENTS

    def token(self) -> str:
        """Return the address of the token."""
        return self.environment.addresses["StakeToken"]

    def _token(self) -> Any:
        return self.peer("StakeToken")

    def _deposit(self, account: str, amount: int) -> None:
        if amount == 0:
            self.revert("ZeroAmount")
        total = self.free(account) + amount
        if total > _MAX:  # more than there can be; the token would refuse it
            self.revert("Panic", code=_ARITHMETIC_OVERFLOW)
        self.state["free", account] = total
        self.emit("Deposited", account=account, amount=amount)

    def _take(self, account: str, amount: int) -> None:
        if amount == 0:
            self.revert("ZeroAmount")
        has = self.free(account)
        if has < amount:
            self.revert("FreeTooSmall", account=account, free=has, needed=amount)
        self._put(("free", account), has - amount)

    def _unlock(self, account: str, purpose: bytes, amount: int) -> None:
        has = self.locked(account, self.sender, purpose)
        if has < amount:
            self.revert(
                "LockedTooSmall", account=account, purpose=purpose, locked=has, needed=amount
            )
        self._put(("locked", account, self.sender, purpose), has - amount)

    def _check_locker(self) -> None:
        if not self._token().hasRole(LOCKER_ROLE, self.sender):
            self.revert("NotLocker", sender=self.sender)

    def _add(self, key: Key, amount: int) -> None:
        self._put(key, int(self.state.get(key, 0)) + amount)

    def _put(self, key: Key, amount: int) -> None:
        """Keep an amount; one of 0 takes no storage."""
        if amount:
            self.state[key] = amount
        else:
            self.state.pop(key, None)
