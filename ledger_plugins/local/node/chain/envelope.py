"""What nodes send each other for a block: the block, and who says to have made it."""

from dataclasses import dataclass
from typing import Self

from fedledger.errors import AccountError, MalformedBlock

from ....accounts import Account, recover
from ...chain.block import MAX_BLOCK_BYTES, Block
from ...chain.codec import Reader, frame

__all__ = ["MAX_ENVELOPE_BYTES", "Envelope"]

MAX_ENVELOPE_BYTES = 2 * MAX_BLOCK_BYTES
"""Transactions, their framing and the model info fit easily."""

_MAGIC = b"FLN\x01"
_PURPOSE = b"fedledger miner v1 "


@dataclass(frozen=True, slots=True)
class Envelope:
    """A block and its miner's signature.

    A block's hash covers all of its content and so the signature covers the hash alone (EIP-191).
    It is not part of the hash: the same block may travel under another signature, and a leader rule
    that asks who made a block judges the envelope, never the hash.

    Attributes:
        block: the block.
        signature: 65 bytes, or none when nobody signed.
        miner: who signed, or None.
    """

    block: Block
    signature: bytes
    miner: str | None

    @classmethod
    def sign(cls, block: Block, account: Account | None) -> Self:
        """Return `block` signed by `account`, or by nobody."""
        if account is None:
            return cls(block, b"", None)
        signature = account.sign_bytes(_PURPOSE + block.header.hash)
        return cls(block, signature, account.address)

    def encode(self) -> bytes:
        """Return the envelope's only encoding."""
        return _MAGIC + frame(self.signature) + frame(self.block.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an envelope and recover who signed it.

        Raises:
            MalformedBlock: with the field.
        """
        if len(data) > MAX_ENVELOPE_BYTES:
            raise MalformedBlock("envelope", f"{len(data)} bytes, above {MAX_ENVELOPE_BYTES}")
        reader = Reader(data)
        if reader.take("envelope", len(_MAGIC)) != _MAGIC:
            raise MalformedBlock("envelope", f"unknown version, {_MAGIC.hex()} expected")
        signature = reader.framed("signature", at_most=65)
        encoded = reader.framed("envelope", at_most=MAX_ENVELOPE_BYTES)
        reader.end()
        block = Block.decode(encoded)
        if not signature:
            return cls(block, b"", None)
        try:
            miner = recover(_PURPOSE + block.header.hash, signature)
        except AccountError as error:
            raise MalformedBlock("signature", str(error)) from error
        return cls(block, signature, miner)
