"""The embedded chain: Bift's blocks, signed transactions and contracts, in one file."""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .chain.block import Block, Header, ModelInfo
    from .chain.genesis import Genesis
    from .ledger import LocalLedger
    from .opening import open_local, open_local_ledger

__all__ = [
    "Block",
    "Genesis",
    "Header",
    "LocalLedger",
    "ModelInfo",
    "open_local",
    "open_local_ledger",
]

__getattr__ = lazily(
    __name__,
    {
        "Block": "chain.block",
        "Genesis": "chain.genesis",
        "Header": "chain.block",
        "LocalLedger": "ledger",
        "ModelInfo": "chain.block",
        "open_local": "opening",
        "open_local_ledger": "opening",
    },
    extra="server",
)
"""Who only asks a node for its chain needs no SQLite, which is an extra."""
