"""StakeToken: the token that rewards training."""

from dataclasses import dataclass

from ...accounts import Account
from ...base import Receipt
from ..facade import Facade
from .twin import DEFAULT_ADMIN_ROLE, MINTER_ROLE, PROPOSER_ROLE

__all__ = ["DEFAULT_ADMIN_ROLE", "MINTER_ROLE", "PROPOSER_ROLE", "StakeToken", "Transfer"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Tokens that moved.

    Attributes:
        sender: who had them; the zero address when they were minted.
        recipient: who has them now.
        amount: how many.
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    sender: str
    recipient: str
    amount: int
    transaction: str
    block: int
    position: int


class StakeToken(Facade):
    """An ERC-20 without decimals; whoever has MINTER_ROLE creates tokens, nobody destroys them.

    Tasks whose rewards are minted are proposed by holders of PROPOSER_ROLE. On a new embedded chain
    the zero address has it, which means everybody; the chain's administrator closes it with
    `revoke_role(admin, PROPOSER_ROLE, ZERO_ADDRESS)`.
    """

    contract = "StakeToken"

    def mint(self, account: Account, recipient: str, amount: int) -> Receipt:
        """Create `amount` tokens for `recipient`; `account` has MINTER_ROLE."""
        return self._send(account, "mint", recipient, amount)

    def transfer(self, account: Account, recipient: str, amount: int) -> Receipt:
        """Move `amount` tokens of `account` to `recipient`."""
        return self._send(account, "transfer", recipient, amount)

    def approve(self, account: Account, spender: str, amount: int) -> Receipt:
        """Let `spender` move `amount` tokens of `account`; 2^256 - 1 never runs out."""
        return self._send(account, "approve", spender, amount)

    def transfer_from(self, account: Account, owner: str, recipient: str, amount: int) -> Receipt:
        """Move `amount` tokens of `owner` to `recipient` out of the allowance of `account`."""
        return self._send(account, "transferFrom", owner, recipient, amount)

    def grant_role(self, account: Account, role: bytes, holder: str) -> Receipt:
        """Give `role` to `holder`; `account` has DEFAULT_ADMIN_ROLE."""
        return self._send(account, "grantRole", role, holder)

    def revoke_role(self, account: Account, role: bytes, holder: str) -> Receipt:
        """Take `role` from `holder`; `account` has DEFAULT_ADMIN_ROLE."""
        return self._send(account, "revokeRole", role, holder)

    def balance(self, address: str) -> int:
        """Return the tokens that `address` holds."""
        return int(self._call("balanceOf", address))

    def total_supply(self) -> int:
        """Return the tokens minted so far, which is the sum of all balances (clause L7)."""
        return int(self._call("totalSupply"))

    def allowance(self, owner: str, spender: str) -> int:
        """Return the tokens of `owner` that `spender` may still move."""
        return int(self._call("allowance", owner, spender))

    def has_role(self, role: bytes, holder: str) -> bool:
        """Tell whether `holder` has `role`."""
        return bool(self._call("hasRole", role, holder))

    def name(self) -> str:
        """Return the token's name."""
        return str(self._call("name"))

    def symbol(self) -> str:
        """Return the token's symbol."""
        return str(self._call("symbol"))

    def decimals(self) -> int:
        """Return the number of decimals: 0."""
        return int(self._call("decimals"))

    def transfers(self, *, since: int = 0, until: int | None = None) -> list[Transfer]:
        """Return what moved or was minted, in ledger order.

        Args:
            since: first block to look at.
            until: last block to look at (default: the head).
        """
        return [
            Transfer(
                sender=event.arguments["from"],
                recipient=event.arguments["to"],
                amount=event.arguments["value"],
                transaction=event.transaction,
                block=event.block,
                position=event.position,
            )
            for event in self.ledger.events(self.contract, "Transfer", since=since, until=until)
        ]
