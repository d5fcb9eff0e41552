"""Calls as they are signed and sent: what a client needs, signs, and gives away."""

from dataclasses import dataclass

__all__ = ["CallTerms", "SignedTransaction", "UnsignedTransaction"]


@dataclass(frozen=True, slots=True)
class CallTerms:
    """What a client needs, besides its nonce, to sign a call offline.

    Attributes:
        chain_id: EIP-155 id of the chain.
        to: address of the contract.
        gas: gas limit of the call (0 on a ledger without gas).
        max_fee_per_gas: EIP-1559 fee cap in wei.
        max_priority_fee_per_gas: EIP-1559 tip in wei.
    """

    chain_id: int
    to: str
    gas: int = 0
    max_fee_per_gas: int = 0
    max_priority_fee_per_gas: int = 0


@dataclass(frozen=True, slots=True)
class UnsignedTransaction:
    """An EIP-1559 transaction before it is signed: one call of one contract.

    Attributes:
        terms: chain, contract address and fees.
        nonce: number of transactions the sender has made on this ledger.
        data: ABI-encoded call (4 bytes of selector, then the arguments).
    """

    terms: CallTerms
    nonce: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A signed EIP-1559 transaction in its EIP-2718 envelope, the same bytes on every backend.

    Attributes:
        raw: the envelope's bytes.
        hash: keccak-256 of `raw`.
        sender: the address recovered from the signature.
        unsigned: what was signed.

    Build one with `Account.sign` or, from bytes somebody sent, `accounts.decode_transaction`.
    """

    raw: bytes
    hash: str
    sender: str
    unsigned: UnsignedTransaction
