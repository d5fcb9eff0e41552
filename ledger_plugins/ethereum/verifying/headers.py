"""Hashes of blocks and roots of receipts, made again from what a node says is in them."""

from collections.abc import Mapping, Sequence
from typing import Any

import rlp
from eth_hash.auto import keccak

from fedledger.errors import ChainCorrupted, LedgerUnavailable

from ..rpc.codec import as_bytes, as_hex, as_int

__all__ = ["check_header", "check_receipts", "header_bytes", "trie_root"]

# In the order of the header's RLP (yellow paper, section 4.4.1); what forks added follows.
_FIELDS = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    *("logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData"),
    *("mixHash", "nonce"),
)
# Added by EIP-1559, EIP-4895, EIP-4844 (two fields), EIP-4788 and EIP-7685.
_ADDED = (
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas"),
    *("parentBeaconBlockRoot", "requestsHash"),
)
_QUANTITIES = frozenset(
    (
        *("difficulty", "number", "gasLimit", "gasUsed", "timestamp"),
        *("baseFeePerGas", "blobGasUsed", "excessBlobGas"),
    )
)
# What JSON-RPC says about a block beside its header.
_BESIDE = frozenset(("hash", "size", "totalDifficulty", "uncles", "transactions", "withdrawals"))

# Besu's and Quorum's IBFT and QBFT mark their blocks so, and leave the seals out of the hash.
_SEALED_APART = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"

_LAST_TYPE = 4  # EIP-7702; receipts of other types may hold more than the usual four fields
_LEAF, _EXTENSION = 2, 0
_EMPTY_ROOT = keccak(rlp.encode(b""))


def check_header(index: int, block: Mapping[str, Any]) -> str | None:
    """Check that a block's hash is that of its header's fields.

    Returns:
        None, or why the hash cannot be recomputed: this chain's headers are not Ethereum's.

    Raises:
        ChainCorrupted: it is another header's hash.
        LedgerUnavailable: a field is neither a number nor bytes.
    """
    missing = [name for name in _FIELDS if block.get(name) is None]
    if missing:
        return f"the node leaves out {', '.join(missing)}"
    found = as_hex(keccak(header_bytes(block)))
    if as_hex(as_bytes(block["hash"])) == found:
        return None
    unknown = sorted(set(block) - set(_FIELDS) - set(_ADDED) - _BESIDE)
    if unknown:
        return f"unknown fields: {', '.join(unknown)}"
    if block["mixHash"] == _SEALED_APART:
        return "IBFT and QBFT leave the validators' seals out of the hash"
    raise ChainCorrupted(index, f"its hash is {found}, but the node says {block['hash']}")


def header_bytes(block: Mapping[str, Any]) -> bytes:
    """Return a header's RLP, whose hash is the block's, from what a node says is in it.

    Raises:
        LedgerUnavailable: a field is neither a number nor bytes.
    """
    names = [*_FIELDS, *(name for name in _ADDED if block.get(name) is not None)]
    return bytes(rlp.encode([_field(name, block[name]) for name in names]))


def check_receipts(
    index: int, block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]
) -> str | None:
    """Check that receipts, all of a block's in their order, are those of its header.

    Returns:
        None, or why the root cannot be recomputed.

    Raises:
        ChainCorrupted: they are not.
        LedgerUnavailable: a field is neither a number nor bytes.
    """
    for receipt in receipts:
        if "logsBloom" not in receipt or "cumulativeGasUsed" not in receipt:
            return "the node's receipts are incomplete"
        if as_int(receipt.get("type", "0x0")) > _LAST_TYPE:
            return f"receipts of the unknown type {receipt['type']}"
    found = as_hex(trie_root([_receipt(receipt) for receipt in receipts]))
    if found != as_hex(as_bytes(block["receiptsRoot"])):
        raise ChainCorrupted(
            index,
            f"the root of its receipts is {found}, but its header says {block['receiptsRoot']}",
        )
    return None


def trie_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the Merkle-Patricia trie from indices to values.

    Keys are the indices' RLP, as for a block's transactions and receipts (yellow paper, section
    4.3.2 and appendix D). All values are here, so the trie is made at once, not key by key.

    Args:
        values: none of them empty.
    """
    if not values:
        return _EMPTY_ROOT
    pairs = sorted((_nibbles(rlp.encode(index)), value) for index, value in enumerate(values))
    return keccak(rlp.encode(_node(pairs, 0)))


def _node(pairs: Sequence[tuple[bytes, bytes]], at: int) -> list[Any]:
    """Return the node of keys that agree up to nibble `at`; no key here begins another one."""
    first, value = pairs[0]
    if len(pairs) == 1:
        return [_path(first[at:], _LEAF), value]
    last = pairs[-1][0]
    same = at
    while first[same] == last[same]:
        same += 1
    if same > at:
        return [_path(first[at:same], _EXTENSION), _reference(_node(pairs, same))]
    branches: list[Any] = []
    for nibble in range(16):
        below = [pair for pair in pairs if pair[0][at] == nibble]
        branches.append(_reference(_node(below, at + 1)) if below else b"")
    return [*branches, b""]


def _reference(node: list[Any]) -> Any:
    """Return a node's hash, or the node itself where that is shorter."""
    encoded = rlp.encode(node)
    return node if len(encoded) < 32 else keccak(encoded)


def _path(nibbles: bytes, kind: int) -> bytes:
    """Return nibbles as bytes, with a prefix for the node's kind and an odd length."""
    odd = len(nibbles) % 2
    padded = bytes([kind + odd, *([] if odd else [0]), *nibbles])
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))


def _nibbles(key: bytes) -> bytes:
    return bytes(half for byte in key for half in (byte >> 4, byte & 15))


def _field(name: str, value: Any) -> bytes:
    return _quantity(value) if name in _QUANTITIES else as_bytes(value)


def _quantity(value: Any) -> bytes:
    number = as_int(value)
    if number < 0:
        raise LedgerUnavailable(f"the node sent {value!r:.80} where a number belongs")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _receipt(receipt: Mapping[str, Any]) -> bytes:
    """Return a receipt's envelope (EIP-2718); before EIP-658 it has a state instead of a status."""
    state = receipt.get("root")
    logs = [
        [as_bytes(log["address"]), [as_bytes(one) for one in log["topics"]], as_bytes(log["data"])]
        for log in receipt["logs"]
    ]
    fields = [
        _quantity(receipt["status"]) if state is None else as_bytes(state),
        _quantity(receipt["cumulativeGasUsed"]),
        as_bytes(receipt["logsBloom"]),
        logs,
    ]
    return _quantity(receipt.get("type", "0x0")) + bytes(rlp.encode(fields))
