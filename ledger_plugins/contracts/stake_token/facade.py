"""StakeToken: the token that rewards training."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from eth_hash.auto import keccak

from fedledger.errors import ContractError

from ...accounts import Account
from ..facade import Facade, sends
from ..meanings import Address, Hash32, Named
from ..records import EventRecord
from .twin import (
    DEFAULT_ADMIN_ROLE,
    GOVERNOR_ROLE,
    LOCKER_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)

__all__ = [
    "DEFAULT_ADMIN_ROLE",
    "MINTER_ROLE",
    "PROPOSER_ROLE",
    "StakeToken",
    "Transfer",
    "role_id",
]

# ERC-20 and OpenZeppelin call these otherwise.
_From = Annotated[Address, Named("from")]
_To = Annotated[Address, Named("to")]
_Value = Annotated[int, Named("value")]
_Holder = Annotated[Address, Named("account")]


@dataclass(frozen=True, slots=True)
class Transfer(EventRecord):
    """Tokens that moved.

    Attributes:
        sender: who had them; the zero address when they were minted.
        recipient: who has them now.
        amount: how many.
    """

    event: ClassVar = "Transfer"
    sender: _From
    recipient: _To
    amount: _Value


class StakeToken(Facade):
    """An ERC-20 without decimals; whoever has MINTER_ROLE creates tokens, nobody destroys them.

    Tasks whose rewards are minted are proposed by holders of PROPOSER_ROLE. On a new embedded chain
    the zero address has it, which means everybody; the chain's administrator closes it with
    `revoke_role(admin, PROPOSER_ROLE, ZERO_ADDRESS)`.
    """

    contract = "StakeToken"

    @sends
    def mint(self, account: Account, recipient: _To, amount: int) -> None:
        """Create `amount` tokens for `recipient`; `account` has MINTER_ROLE."""

    @sends
    def transfer(self, account: Account, recipient: _To, amount: _Value) -> None:
        """Move `amount` tokens of `account` to `recipient`."""

    @sends
    def approve(self, account: Account, spender: Address, amount: _Value) -> None:
        """Let `spender` move `amount` tokens of `account`; 2^256 - 1 never runs out."""

    @sends
    def transfer_from(self, account: Account, owner: _From, recipient: _To, amount: _Value) -> None:
        """Move `amount` tokens of `owner` to `recipient` out of the allowance of `account`."""

    @sends
    def transfer_and_call(
        self, account: Account, recipient: _To, amount: _Value, data: bytes = b""
    ) -> None:
        """Move `amount` tokens of `account` to a contract, which is told so (ERC-677)."""

    @sends
    def grant_role(self, account: Account, role: Hash32, holder: _Holder) -> None:
        """Give `role` to `holder`; `account` has DEFAULT_ADMIN_ROLE."""

    @sends
    def revoke_role(self, account: Account, role: Hash32, holder: _Holder) -> None:
        """Take `role` from `holder`; `account` has DEFAULT_ADMIN_ROLE."""

    def balance(self, address: str) -> int:
        """Return the tokens that `address` holds."""
        return self._call(int, "balanceOf", address)

    def total_supply(self) -> int:
        """Return the tokens minted so far, which is the sum of all balances (clause L7)."""
        return self._call(int, "totalSupply")

    def allowance(self, owner: str, spender: str) -> int:
        """Return the tokens of `owner` that `spender` may still move."""
        return self._call(int, "allowance", owner, spender)

    def has_role(self, role: bytes, holder: str) -> bool:
        """Tell whether `holder` has `role`."""
        return self._call(bool, "hasRole", role, holder)

    def name(self) -> str:
        """Return the token's name."""
        return self._call(str, "name")

    def symbol(self) -> str:
        """Return the token's symbol."""
        return self._call(str, "symbol")

    def decimals(self) -> int:
        """Return the number of decimals: 0."""
        return self._call(int, "decimals")

    def transfers(self, *, since: int = 0, until: int | None = None) -> list[Transfer]:
        """Return what moved or was minted, in ledger order.

        Args:
            since: first block to look at.
            until: last block to look at (default: the head).
        """
        return self._events(Transfer, since=since, until=until)


def role_id(name: str) -> bytes:
    """Return the 32 bytes that a role is known by on the ledger: its name, hashed."""
    digest: bytes = keccak(name.encode())
    return digest


ContractError.names |= {
    ("neededRole", f"0x{role.hex()}"): name
    for name, role in (
        ("DEFAULT_ADMIN_ROLE", DEFAULT_ADMIN_ROLE),
        ("GOVERNOR_ROLE", GOVERNOR_ROLE),
        ("LOCKER_ROLE", LOCKER_ROLE),
        ("MINTER_ROLE", MINTER_ROLE),
        ("PROPOSER_ROLE", PROPOSER_ROLE),
    )
}
