"""Blocks as in Bift's Fig. 2 and Table II, with the validity rules of equations (4) and (5).

Header: index, hash, previous hash, nonce, timestamp and model flag, and the root of the
transactions. Body: the transactions and the model info.

The block's hash is SHA-256 over everything but the nonce, each field behind its length under a
versioned domain separator; the nonce then has to satisfy equation (5): SHA-256(hash ‖ nonce) <
difficulty. Algorithm 3 of the paper differs from its own equation: there the nonce is an input of
the block's hash, and the loop compares the first four digits of that hash with D = 0x0000 by
`Re >= D`, which never ends. Here the equation counts. Because the hash does not cover the nonce,
only the smallest nonce that satisfies (5) is valid: a block has exactly one nonce.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from fedledger.errors import MalformedBlock

from ...addresses import address_from_bytes
from ...base import Block as PlainBlock
from ...contracts.twin import ModelInfo
from ...transactions import MAX_TRANSACTION_BYTES, transaction_hash
from .codec import Reader, frame, framed, text_of, uint
from .merkle import merkle_root

__all__ = [
    "MAX_BLOCK_BYTES",
    "MAX_BLOCK_TRANSACTIONS",
    "Block",
    "Header",
    "ModelInfo",
    "check_link",
    "check_seal",
    "mine",
    "seal",
]

MAX_BLOCK_TRANSACTIONS = 1_000
MAX_BLOCK_BYTES = 4 * 1024 * 1024
"""Bytes of all transactions of a block together."""

_MAGIC = b"FLB\x01"
_DOMAIN = b"fedledger block v1"
_DOMAIN_MODEL_INFO = b"fedledger model info v1"
_HEADER = struct.Struct(">Q32s32sQQB32s")
_MAX_MODEL_ID = 64
_MIN_CID, _MAX_CID = 4, 64
_MILLION = 1_000_000


def _info_bytes(info: ModelInfo) -> bytes:
    """Return model info's bytes inside a block."""
    return b"".join(
        (
            frame(info.model_id.encode()),
            frame(info.init_ipfs_hash),
            uint(info.total_iter, 4),
            uint(info.current_iter, 4),
            bytes.fromhex(info.from_addr[2:]),
            b"\x00" if info.accuracy is None else b"\x01" + uint(info.accuracy, 4),
        )
    )


def _read_info(reader: Reader) -> ModelInfo:
    return ModelInfo(
        model_id=text_of("model_id", reader.framed("model_id", at_least=1, at_most=_MAX_MODEL_ID)),
        init_ipfs_hash=reader.framed("init_ipfs_hash", at_least=_MIN_CID, at_most=_MAX_CID),
        total_iter=reader.uint("total_iter", 4),
        current_iter=reader.uint("current_iter", 4),
        from_addr=address_from_bytes(reader.take("from_addr", 20)),
        accuracy=_read_accuracy(reader),
    )


def _read_accuracy(reader: Reader) -> int | None:
    claimed = reader.uint("accuracy", 1)
    if claimed > 1:
        raise MalformedBlock("accuracy", f"presence byte is {claimed}")
    if not claimed:
        return None
    accuracy = reader.uint("accuracy", 4)
    if accuracy > _MILLION:
        raise MalformedBlock("accuracy", f"{accuracy} parts per million")
    return accuracy


@dataclass(frozen=True, slots=True)
class Header:
    """What Fig. 2 lists, in its order.

    Attributes:
        index: position in the chain; the first block is 0.
        hash: 32 bytes; see the module for what it covers.
        previous_hash: the hash of the block before; zeros in block 0.
        nonce: the smallest number that satisfies equation (5).
        timestamp: milliseconds since 1970 UTC by the ledger's clock; always grows.
        model_flag: 1 when the body has model info, else 0.
        transactions_root: Merkle root of the transactions.
    """

    index: int
    hash: bytes
    previous_hash: bytes
    nonce: int
    timestamp: int
    model_flag: int
    transactions_root: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A block: header and body.

    Attributes:
        header: what the block's hash and its nonce fix.
        transactions: EIP-2718 envelopes, in the order in which they take effect. Block 0 holds one
            entry instead, the chain's parameters (`genesis.Genesis`).
        model_info: one entry for each proposal and each published round, in order.
    """

    header: Header
    transactions: tuple[bytes, ...]
    model_info: tuple[ModelInfo, ...]

    def plain(self) -> PlainBlock:
        """Return the block as every ledger has them; block 0's parameters are no transaction."""
        header = self.header
        return PlainBlock(
            index=header.index,
            hash="0x" + header.hash.hex(),
            previous_hash="0x" + header.previous_hash.hex(),
            timestamp=header.timestamp // 1000,
            transactions=tuple(
                transaction_hash(raw) for raw in (self.transactions if header.index else ())
            ),
        )

    def preimage(self) -> bytes:
        """Return the bytes whose SHA-256 is the block's hash: its header as others check it."""
        header = self.header
        return _preimage(
            header.index,
            header.previous_hash,
            header.timestamp,
            header.transactions_root,
            self.model_info,
        )

    def encode(self) -> bytes:
        """Return the block's only encoding."""
        header = self.header
        return b"".join(
            (
                _MAGIC,
                _HEADER.pack(
                    header.index,
                    header.hash,
                    header.previous_hash,
                    header.nonce,
                    header.timestamp,
                    header.model_flag,
                    header.transactions_root,
                ),
                uint(len(self.transactions), 4),
                framed(*self.transactions),
                uint(len(self.model_info), 4),
                *map(_info_bytes, self.model_info),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a block; whether it is valid is for `check_seal`, `check_link` and the chain.

        Raises:
            MalformedBlock: with the field.
        """
        reader = Reader(data)
        if (magic := reader.take("version", len(_MAGIC))) != _MAGIC:
            raise MalformedBlock("version", f"{magic.hex()} is unknown, {_MAGIC.hex()} expected")
        header = Header(*_HEADER.unpack(reader.take("header", _HEADER.size)))
        if header.model_flag > 1:
            raise MalformedBlock("model_flag", f"{header.model_flag} is neither 0 nor 1")
        transactions = _read_transactions(reader)
        entries = reader.uint("model_info", 4)
        if entries > MAX_BLOCK_TRANSACTIONS:
            raise MalformedBlock("model_info", f"{entries} entries")
        model_info = tuple(_read_info(reader) for _ in range(entries))
        reader.end()
        if header.model_flag != bool(model_info):
            raise MalformedBlock(
                "model_flag", f"{header.model_flag} with {entries} entries of model info"
            )
        return cls(header, transactions, model_info)


def _read_transactions(reader: Reader) -> tuple[bytes, ...]:
    count = reader.uint("transactions", 4)
    if count > MAX_BLOCK_TRANSACTIONS:
        raise MalformedBlock("transactions", f"{count}, allowed are {MAX_BLOCK_TRANSACTIONS}")
    transactions = []
    room = MAX_BLOCK_BYTES
    for _ in range(count):
        raw = reader.framed("transactions", at_least=1, at_most=min(room, MAX_TRANSACTION_BYTES))
        room -= len(raw)
        transactions.append(raw)
    return tuple(transactions)


def seal(
    *,
    index: int,
    previous_hash: bytes,
    timestamp: int,
    transactions: tuple[bytes, ...],
    model_info: tuple[ModelInfo, ...],
    difficulty: int,
    search: Callable[[bytes, int], int] | None = None,
) -> Block:
    """Return the block with this content: its hash computed, its nonce found.

    `search` finds the nonce; one that can be interrupted stands in for `mine`.
    """
    root = merkle_root(transactions)
    digest = _hash_of(index, previous_hash, timestamp, root, model_info)
    header = Header(
        index=index,
        hash=digest,
        previous_hash=previous_hash,
        nonce=(search or mine)(digest, difficulty),
        timestamp=timestamp,
        model_flag=int(bool(model_info)),
        transactions_root=root,
    )
    return Block(header, transactions, model_info)


def _hash_of(*fields: Any) -> bytes:
    return hashlib.sha256(_preimage(*fields)).digest()


def _preimage(
    index: int,
    previous_hash: bytes,
    timestamp: int,
    root: bytes,
    model_info: tuple[ModelInfo, ...],
) -> bytes:
    entries = framed(_DOMAIN_MODEL_INFO, *map(_info_bytes, model_info))
    return framed(
        _DOMAIN,
        uint(index, 8),
        previous_hash,
        uint(timestamp, 8),
        uint(bool(model_info), 1),
        root,
        hashlib.sha256(entries).digest(),
    )


@lru_cache(maxsize=4096)
def mine(block_hash: bytes, difficulty: int) -> int:
    """Return the smallest nonce that satisfies equation (5).

    Takes 2²⁵⁶ / difficulty hashes on average. The newest answers are remembered: a node checks a
    block when it comes, and again when it follows it, at once or on another branch later.

    Args:
        block_hash: the block's hash, 32 bytes.
        difficulty: the bound of equation (5), 1 to 2²⁵⁶: the smaller, the more work.
    """
    bound = uint(difficulty - 1, 32)  # bytes of one length compare like the numbers they write
    sha256 = hashlib.sha256
    nonce = 0
    while sha256(block_hash + nonce.to_bytes(8, "big")).digest() > bound:
        nonce += 1
    return nonce


def check_seal(block: Block, difficulty: int) -> None:
    """Check what a block says about itself: root, hash and equation (5).

    Raises:
        MalformedBlock: with the field of the header that is wrong.
    """
    header = block.header
    if (root := merkle_root(block.transactions)) != header.transactions_root:
        raise MalformedBlock("transactions_root", f"is {root.hex()} by the transactions")
    actual = _hash_of(header.index, header.previous_hash, header.timestamp, root, block.model_info)
    if actual != header.hash:
        raise MalformedBlock("hash", f"is {actual.hex()} by the content")
    # First what costs one hash: who made no effort must not make others mine.
    attempt = hashlib.sha256(header.hash + uint(header.nonce, 8)).digest()
    if attempt > uint(difficulty - 1, 32):
        raise MalformedBlock("nonce", f"{header.nonce} does not satisfy equation (5)")
    if (nonce := mine(header.hash, difficulty)) != header.nonce:
        raise MalformedBlock("nonce", f"{header.nonce} where equation (5) gives {nonce}")


def check_link(block: Block, parent: Header) -> None:
    """Check equation (4): `block` follows `parent`.

    Raises:
        MalformedBlock: with the field of the header that is wrong.
    """
    header = block.header
    if header.index != parent.index + 1:
        raise MalformedBlock("index", f"{header.index} after {parent.index}")
    if header.previous_hash != parent.hash:
        raise MalformedBlock(
            "previous_hash", f"{header.previous_hash.hex()}, its parent is {parent.hash.hex()}"
        )
    if header.timestamp <= parent.timestamp:
        raise MalformedBlock("timestamp", f"{header.timestamp} after {parent.timestamp}")
