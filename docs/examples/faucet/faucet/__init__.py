"""Two contracts of a third party: one mints, and so holds a role of the token; one does not."""

from fedledger.ledger_plugins.contracts.registry import Contract, Version

__all__ = ["FAUCET", "GUESTBOOK"]

FAUCET = Contract(
    "Faucet",
    versions={1: Version("faucet:Faucet.json", "faucet.twins:Faucet")},
    holds=("MINTER_ROLE",),
)
"""Gives every account one token, once."""

GUESTBOOK = Contract(
    "Guestbook",
    versions={1: Version("faucet:Guestbook.json", "faucet.twins:Guestbook")},
)
"""Keeps one note of every account."""
