"""The embedded chain: Bift's blocks, signed transactions and contracts, in one file."""

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
