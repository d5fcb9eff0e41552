"""StakeToken's twin: an ERC-20 whose supply only minting changes (clause L7).

Storage: ("supply",), ("balance", account), ("allowance", owner, spender), ("role", role, account).
"""

# ruff: noqa: N802 - the names are the ABI's

from typing import Any

from eth_hash.auto import keccak

from ...addresses import ZERO_ADDRESS
from ..twin import Birth, Key, Twin

__all__ = [
    "DEFAULT_ADMIN_ROLE",
    "GOVERNOR_ROLE",
    "LOCKER_ROLE",
    "MINTER_ROLE",
    "PROPOSER_ROLE",
    "StakeToken",
]

DEFAULT_ADMIN_ROLE = bytes(32)
"""The role that gives and takes all roles."""

MINTER_ROLE = keccak(b"MINTER_ROLE")
"""The role that mints."""

PROPOSER_ROLE = keccak(b"PROPOSER_ROLE")
"""The role that proposes tasks with rewards; where the zero address has it, everybody has."""

LOCKER_ROLE = keccak(b"LOCKER_ROLE")
"""The role that locks deposits."""

GOVERNOR_ROLE = keccak(b"GOVERNOR_ROLE")
"""The role that replaces a task's aggregator and records checkpoints, besides the owner."""

_INTERFACES = (bytes.fromhex("01ffc9a7"), bytes.fromhex("7965db0b"))  # ERC-165, roles
_MAX = (1 << 256) - 1
_ARITHMETIC_OVERFLOW = 0x11  # Solidity's panic code


class StakeToken(Twin):
    """The token that rewards training."""

    contract = "StakeToken"

    @classmethod
    def genesis(cls, birth: Birth) -> dict[Key, Any]:
        """Give the contracts their roles, everybody PROPOSER_ROLE, and the administrator all."""
        state: dict[Key, Any] = {("role", PROPOSER_ROLE, ZERO_ADDRESS): 1}
        for name, holders in birth.holders.items():
            state |= {("role", keccak(name.encode()), holder): 1 for holder in holders}
        if birth.admin is not None:
            for role in (DEFAULT_ADMIN_ROLE, MINTER_ROLE, PROPOSER_ROLE):
                state["role", role, birth.admin] = 1
        return state

    def name(self) -> str:
        """Return the token's name."""
        return "fedledger stake"

    def symbol(self) -> str:
        """Return the token's symbol."""
        return "STAKE"

    def decimals(self) -> int:
        """Return 0: a token cannot be divided."""
        return 0

    def totalSupply(self) -> int:
        """Return the number of tokens minted so far."""
        return int(self.state.get(("supply",), 0))

    def balanceOf(self, account: str) -> int:
        """Return the tokens that `account` holds."""
        return int(self.state.get(("balance", account), 0))

    def allowance(self, owner: str, spender: str) -> int:
        """Return the tokens of `owner` that `spender` may still move."""
        return int(self.state.get(("allowance", owner, spender), 0))

    def hasRole(self, role: bytes, account: str) -> bool:
        """Tell whether `account` has `role`."""
        return ("role", role, account) in self.state

    def getRoleAdmin(self, role: bytes) -> bytes:  # noqa: ARG002 - the same for every role
        """Return the role that gives and takes `role`."""
        return DEFAULT_ADMIN_ROLE

    def supportsInterface(self, interface: bytes) -> bool:
        """Tell whether the token has an interface, as ERC-165 numbers it."""
        return interface in _INTERFACES

    def DEFAULT_ADMIN_ROLE(self) -> bytes:
        """Return the role that gives and takes all roles."""
        return DEFAULT_ADMIN_ROLE

    def MINTER_ROLE(self) -> bytes:
        """Return the role that mints."""
        return MINTER_ROLE

    def PROPOSER_ROLE(self) -> bytes:
        """Return the role that proposes tasks with rewards."""
        return PROPOSER_ROLE

    def LOCKER_ROLE(self) -> bytes:
        """Return the role that locks deposits."""
        return LOCKER_ROLE

    def GOVERNOR_ROLE(self) -> bytes:
        """Return the role that decides in training tasks besides their owners."""
        return GOVERNOR_ROLE

    def transfer(self, to: str, value: int) -> bool:
        """Move the sender's tokens."""
        self._move(self.sender, to, value)
        return True

    def approve(self, spender: str, value: int) -> bool:
        """Let `spender` move the sender's tokens."""
        self._check_allow(self.sender, spender)
        self.state["allowance", self.sender, spender] = value
        self.emit("Approval", owner=self.sender, spender=spender, value=value)
        return True

    def transferFrom(self, source: str, to: str, value: int) -> bool:
        """Move tokens of `source` out of the sender's allowance."""
        allowed = self.allowance(source, self.sender)
        if allowed != _MAX:  # the highest allowance never runs out
            if allowed < value:
                self.revert(
                    "ERC20InsufficientAllowance",
                    spender=self.sender,
                    allowance=allowed,
                    needed=value,
                )
            self._check_allow(source, self.sender)
            self._check_move(source, to, value)
            self.state["allowance", source, self.sender] = allowed - value
        self._move(source, to, value)
        return True

    def transferAndCall(self, to: str, value: int, data: bytes) -> bool:
        """Move the sender's tokens to a contract, and tell it so."""
        self._move(self.sender, to, value)
        addresses = self.environment.addresses
        name = next((name for name, address in addresses.items() if address == to), None)
        told = name and getattr(self.environment.twins.get(name), "onTokenTransfer", None)
        if not told:
            self.revert("NotReceiver", to=to)
        self.peer(str(name)).onTokenTransfer(self.sender, value, data)
        return True

    def mint(self, to: str, amount: int) -> None:
        """Create tokens; the sender holds MINTER_ROLE."""
        self._only(MINTER_ROLE)
        if to == ZERO_ADDRESS:
            self.revert("ERC20InvalidReceiver", receiver=to)
        supply = self.totalSupply() + amount
        if supply > _MAX:
            self.revert("Panic", code=_ARITHMETIC_OVERFLOW)
        self.state["supply",] = supply
        self.state["balance", to] = self.balanceOf(to) + amount
        self.emit("Transfer", **{"from": ZERO_ADDRESS, "to": to, "value": amount})

    def grantRole(self, role: bytes, account: str) -> None:
        """Give a role; the sender holds DEFAULT_ADMIN_ROLE."""
        self._only(DEFAULT_ADMIN_ROLE)
        if not self.hasRole(role, account):
            self.state["role", role, account] = 1
            self.emit("RoleGranted", role=role, account=account, sender=self.sender)

    def revokeRole(self, role: bytes, account: str) -> None:
        """Take a role; the sender holds DEFAULT_ADMIN_ROLE."""
        self._only(DEFAULT_ADMIN_ROLE)
        self._take(role, account)

    def renounceRole(self, role: bytes, confirmation: str) -> None:
        """Give up a role; the sender names itself once more."""
        if confirmation != self.sender:
            self.revert("AccessControlBadConfirmation")
        self._take(role, confirmation)

    def _take(self, role: bytes, account: str) -> None:
        if self.hasRole(role, account):
            del self.state["role", role, account]
            self.emit("RoleRevoked", role=role, account=account, sender=self.sender)

    def _only(self, role: bytes) -> None:
        if not self.hasRole(role, self.sender):
            self.revert("AccessControlUnauthorizedAccount", account=self.sender, neededRole=role)

    def _check_allow(self, owner: str, spender: str) -> None:
        if owner == ZERO_ADDRESS:
            self.revert("ERC20InvalidApprover", approver=owner)
        if spender == ZERO_ADDRESS:
            self.revert("ERC20InvalidSpender", spender=spender)

    def _check_move(self, source: str, to: str, value: int) -> None:
        if source == ZERO_ADDRESS:
            self.revert("ERC20InvalidSender", sender=source)
        if to == ZERO_ADDRESS:
            self.revert("ERC20InvalidReceiver", receiver=to)
        balance = self.balanceOf(source)
        if balance < value:
            self.revert("ERC20InsufficientBalance", sender=source, balance=balance, needed=value)

    def _move(self, source: str, to: str, value: int) -> None:
        self._check_move(source, to, value)
        self.state["balance", source] = self.balanceOf(source) - value
        self.state["balance", to] = self.balanceOf(to) + value
        self.emit("Transfer", **{"from": source, "to": to, "value": value})
