"""Where the shares of a dealing may be opened: what the dealer binds each envelope to."""

from fedledger.formats import canonical_json

__all__ = ["context_of"]


def context_of(chain_id: int, contract: str) -> bytes:
    """Return what the dealer seals shares for.

    Args:
        chain_id: EIP-155 id of the chain.
        contract: address of the TrainingTask contract, with or without capitals.
    """
    return canonical_json([chain_id, contract.lower()])
