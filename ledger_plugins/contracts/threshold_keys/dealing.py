"""Where shares are sealed for."""

from fedledger.formats import canonical_json

__all__ = ["context_of"]


def context_of(chain_id: int, contract: str) -> bytes:
    return canonical_json([chain_id, contract.lower()])
