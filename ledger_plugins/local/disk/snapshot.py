"""A long chain's state beside its file, so that opening it need not execute every block again.

The snapshot is its writer's cache and no evidence: under a block's hash and a checksum it holds
what executing the blocks up to that one led to. The blocks that follow are checked and executed as
ever, and `verify` executes all blocks and compares the state itself. A snapshot that is damaged, of
another chain, or of a block that the file does not have, is not used, nor any by who only reads.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any

import msgpack

from fedledger.effects import Disk
from fedledger.errors import ChainCorrupted
from fedledger.guards import spared

from ...base import Event
from ..chain.block import Block
from ..chain.chain import Chain
from .database import BlockFile

__all__ = ["SNAPSHOT_AFTER", "load_snapshot", "save_snapshot", "snapshot_path"]

SNAPSHOT_AFTER = 10_000
"""Transactions since the last snapshot from which another one is worth writing."""

_MAGIC = b"fedledger snapshot v3\n"
_DIGEST = 32
_WIDE = 0

_log = logging.getLogger(__name__)


def snapshot_path(chain: Path) -> Path:
    """Return where a chain's snapshot is."""
    return chain.with_name(chain.name + ".snapshot")


def save_snapshot(path: Path, chain: Chain, disk: Disk) -> None:
    """Write the chain's state in one step: the old snapshot is there until the new one is whole.

    Raises:
        OSError: it cannot be written.
    """
    events, blocks = [], {}
    for e in chain.records.all_events():
        events.append((e.contract, e.name, dict(e.arguments), e.block, e.transaction, e.position))
        blocks[e.block] = (e.time, e.block_hash)
    content = {
        "genesis": chain.genesis.encode(),
        "index": chain.head.index,
        "hash": chain.head.hash,
        "state": chain.execution.dump(),
        "places": chain.records.places,
        "senders": chain.records.senders,
        "events": events,
        "hashes": list(chain.records.blocks),
        "blocks": blocks,
    }
    packed: bytes = msgpack.packb(content, default=_pack_wide)
    disk.write(path, _MAGIC + hashlib.sha256(packed).digest() + packed)


def load_snapshot(path: Path, file: BlockFile, disk: Disk) -> Chain | None:
    """Return the chain as the snapshot has it, or None when there is none that can be used.

    Args:
        path: the snapshot.
        file: the chain's file.
        disk: where the snapshot is.
    """
    try:
        data = b""
        if disk.read(path, most=len(_MAGIC)) == _MAGIC:  # what is large should at least look right
            data = disk.read(path)
    except FileNotFoundError:
        return None
    except (OSError, MemoryError) as error:
        _log.warning("%s cannot be read, and is not used: %s", path, error)
        return None
    start = len(_MAGIC) + _DIGEST
    packed = data[start:]
    if data[:start] != _MAGIC + hashlib.sha256(packed).digest():
        _log.warning("%s is damaged or of another version, and is not used", path)
        return None
    chain = None
    with spared(f"{path} is not used: reading it", _log):
        chain = _restored(packed, file)
    return chain  # noqa: RET504 - None where reading failed


def _restored(packed: bytes, file: BlockFile) -> Chain:
    content = msgpack.unpackb(packed, use_list=False, strict_map_key=False, ext_hook=_unpack_wide)
    chain = Chain(Block.decode(file.read(0)))
    head = Block.decode(file.read(content["index"])).header
    if (chain.genesis.encode(), head.hash) != (content["genesis"], content["hash"]):
        raise ChainCorrupted(0, "it belongs to another chain")
    chain.execution.restore(content["state"])
    blocks = content["blocks"]
    events = [Event(*event, *blocks[event[3]]) for event in content["events"]]
    chain.records.restore(content["places"], content["senders"], events, content["hashes"])
    chain.head = head
    return chain


def _pack_wide(value: Any) -> msgpack.ExtType:
    """Pack an integer beyond 64 bits."""
    if not isinstance(value, int):
        raise TypeError(f"a chain's state holds no {type(value).__name__}")
    return msgpack.ExtType(_WIDE, value.to_bytes(33, "big", signed=True))


def _unpack_wide(code: int, data: bytes) -> int:
    if code != _WIDE:
        raise ValueError(f"unknown kind of value {code}")
    return int.from_bytes(data, "big", signed=True)
