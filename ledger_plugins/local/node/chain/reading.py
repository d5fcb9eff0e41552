"""A stopped node's file, read without the node: its main branch, and nothing is changed.

The file is copied first, with its log, since SQLite would put the log into it. Every block is
checked and executed, as a node's client does.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from fedledger.effects import Disk
from fedledger.errors import ChainCorrupted, LedgerUnavailable, MalformedBlock

from ...chain.block import Block
from ...chain.chain import replay
from ...disk.database import NODE_ID, own_copy
from .envelope import Envelope
from .view import ChainView

__all__ = ["NODE_FILE", "NODE_LOCK", "is_nodes_file", "read_node_file"]

NODE_FILE, NODE_LOCK = "node.db", "node.lock"
"""Names of a node's file, and of the lock of its folder."""

_APPLICATION_ID_AT = 68  # SQLite's format, 1.3


def is_nodes_file(path: Path, disk: Disk) -> bool:
    """Tell whether a file is a running node's, or says that it is a node's.

    A file whose header is in its log alone says nothing: SQLite has to be asked.
    """
    if path.name == NODE_FILE and _is_running(path, disk):
        return True
    try:
        with closing(disk.view(path)) as file:
            return file.read(_APPLICATION_ID_AT, 4) == NODE_ID.to_bytes(4, "big")
    except OSError:
        return False


def read_node_file(path: Path, url: str, disk: Disk) -> ChainView:
    """Return the main branch of a node's file as a ledger to read.

    Args:
        path: the file.
        url: what opens it again.
        disk: where it is.

    Raises:
        LedgerUnavailable: its node is running, or it cannot be read.
        ChainCorrupted: it is damaged, or its blocks are not valid.
        ContractMissing: one of the chain's contracts is not installed here, or is another one.
    """
    if _is_running(path, disk):
        raise LedgerUnavailable(
            f"{path} belongs to a node that is running: open the node, local+http://HOST:PORT, "
            "or stop it"
        )
    with own_copy(path) as copy:
        try:
            blocks = _main_branch(copy, disk)
        except (apsw.Error, MalformedBlock) as error:
            raise ChainCorrupted(0, f"{path} is damaged: {error}") from error
    if not blocks:
        raise LedgerUnavailable(f"{path} has no block yet: its node never came to one")
    chain = replay(block.encode() for block in blocks)
    return ChainView(chain, blocks.__getitem__, url=url)


def _is_running(path: Path, disk: Disk) -> bool:
    try:
        return disk.held(path.with_name(NODE_LOCK))
    except NotImplementedError:  # a system without locks, on which no node runs
        return False


def _main_branch(path: Path, disk: Disk) -> list[Block]:
    with closing(disk.database(path, flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        found: Any = connection.execute("SELECT hash FROM head").get
        blocks: list[Block] = []
        while found is not None:
            data = connection.execute("SELECT data FROM block WHERE hash = ?", (found,)).get
            if data is None:
                raise MalformedBlock("hash", f"block {bytes(found).hex()} is not there")
            block = Envelope.decode(data).block
            if block.header.hash != found:
                raise MalformedBlock("hash", f"block {bytes(found).hex()} is another one")
            blocks.append(block)
            found = block.header.previous_hash if block.header.index else None
    blocks.reverse()
    return blocks
