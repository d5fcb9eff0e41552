"""What the contracts do on an embedded chain, as their Solidity sources say."""

# ruff: noqa: N802 - the names are the ABI's

from fedledger.ledger_plugins.contracts.twin import Twin

__all__ = ["Faucet", "Guestbook"]


class Faucet(Twin):
    """Storage: ("served", account)."""

    contract = "Faucet"

    def draw(self) -> None:
        """Mint one token for the sender, once."""
        if self.served(self.sender):
            self.revert("AlreadyServed", account=self.sender)
        self.state["served", self.sender] = 1
        self.peer("StakeToken").mint(self.sender, 1)
        self.emit("Served", account=self.sender)

    def served(self, account: str) -> bool:
        """Tell whether an account had its token."""
        return ("served", account) in self.state


class Guestbook(Twin):
    """Storage: ("note", account)."""

    contract = "Guestbook"

    def write(self, note: bytes) -> None:
        """Keep the sender's note, 32 bytes."""
        self.state["note", self.sender] = note
        self.emit("Written", account=self.sender, note=note)

    def noteOf(self, account: str) -> bytes:
        """Return an account's note, or zeros."""
        note: bytes = self.state.get(("note", account), bytes(32))
        return note
