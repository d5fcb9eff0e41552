"""Opening an embedded chain by its URL, and making it when there is none."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fedledger.effects import Effects
from fedledger.errors import ConfigError

from ..addresses import checksum_address
from ..base import Ledger
from .chain.chain import replay
from .chain.genesis import DEFAULT_DIFFICULTY, Genesis
from .disk.database import BlockFile, NodesFile
from .disk.lock import WriteLock, acknowledged
from .disk.snapshot import load_snapshot, snapshot_path
from .ledger import LocalLedger
from .node.chain.reading import is_nodes_file, read_node_file

__all__ = ["open_local", "open_local_ledger"]

_log = logging.getLogger(__name__)


def open_local(url: str, *, read_only: bool = False, **options: Any) -> Ledger:
    """Open what a file of the embedded chain's kind holds; see `open_local_ledger`.

    The file of a node of a network is opened to read only, while the node is not running.

    Raises:
        ConfigError, ChainCorrupted, LedgerUnavailable: as `open_local_ledger`; or the node runs.
    """
    if "places" in options:
        raise ConfigError(f"{url!r} says itself where its contracts are: it takes no places")
    disk, path = Effects.real().disk, _path_of(url)
    if not read_only or not is_nodes_file(path, disk):
        try:
            return open_local_ledger(url, read_only=read_only, **options)
        except NodesFile:
            if not read_only:
                raise
    found = read_node_file(path, url, disk)
    wanted = {name: options.get(name) for name in ("admin", "chain_id", "difficulty")}
    _compare(found.genesis, **wanted)
    return found


def open_local_ledger(
    url: str,
    *,
    admin: str | None = None,
    chain_id: int | None = None,
    difficulty: int | None = None,
    clock: Callable[[], float] | None = None,
    create: bool = True,
    read_only: bool = False,
) -> LocalLedger:
    """Open an embedded chain.

    All of it is verified before this returns. Who writes may take up a snapshot, its own cache
    beside the file: then only what came after is, and `LocalLedger.verify` verifies the rest.
    Readers use none, since anybody may have written it.

    Args:
        url: "local:///absolute/path/chain.db"; the folder exists.
        admin: address that may mint and appoint; fixed when the chain is made.
        chain_id: EIP-155 id, drawn at random by default; fixed when the chain is made.
        difficulty: the bound of equation (5), 2²³² to 2²⁵⁶; 2²⁵⁶ / difficulty hashes a block
            (64 by default); fixed when the chain is made.
        clock: seconds since 1970 UTC, for the blocks' timestamps; by default the machine's.
        create: make the chain when there is none.
        read_only: look at what is there now and write nothing, no lock either (clause L15); another
            process may be writing.

    Raises:
        ConfigError: the URL is wrong, or a parameter, or the chain was made with another one.
        ChainCorrupted: what is on disk does not verify, with the block.
        LedgerUnavailable: there is no chain, or another process is writing it.
    """
    effects = Effects.real()
    clock = clock or effects.clock.wall
    path = _path_of(url)
    wanted = checksum_address(admin) if admin else None
    guard = path.with_name(path.name + ".lock")
    at_least = acknowledged(guard, effects.disk)
    lock = None if read_only else WriteLock(guard, effects.disk)
    file = None
    try:
        if lock and create and not effects.disk.exists(path):
            # 48 bits with the highest one set: above every public chain's, and rarely drawn twice.
            drawn = 1 << 47 | effects.entropy.below(1 << 47)
            _create(path, wanted, drawn if chain_id is None else chain_id, difficulty, clock)
            lock.acknowledge(0)  # a count that is there is that of a deleted chain
            at_least = 0
        file = BlockFile(path, write=not read_only)
        known = None if read_only else load_snapshot(snapshot_path(path), file, effects.disk)
        encoded = file.read_all(known.head.index + 1 if known else 0, known=at_least)
        chain = replay(encoded, onto=known)
        _compare(chain.genesis, wanted, chain_id, difficulty)
        if lock:
            lock.acknowledge(chain.head.index + 1)  # before the file speaks of a log
            file.start_writing()
    except BaseException:
        if file:
            file.close()
        if lock:
            lock.release()
        raise
    _log.info("opened %s: chain %d, block %d", path, chain.genesis.chain_id, chain.head.index)
    saved = len(known.records.places) if known else 0
    ledger = LocalLedger(path, file, chain, lock, clock=clock, disk=effects.disk, saved=saved)
    ledger.save_snapshot()  # after a crash there is much to save
    return ledger


def _path_of(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "local" or parts.netloc or not path.startswith("/"):
        raise ConfigError(
            f"{url!r} names no embedded chain: local:///absolute/path/chain.db, three slashes"
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"{url!r}: '?' and '#' in a file name are written %3F and %23")
    if path.endswith("/") or "\0" in path:
        raise ConfigError(f"{url!r} has to end in a file name")
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise ConfigError(f"{url!r} names no file: {error}") from error


def _create(
    path: Path,
    admin: str | None,
    chain_id: int,
    difficulty: int | None,
    clock: Callable[[], float],
) -> None:
    genesis = Genesis.new(
        chain_id=chain_id,
        difficulty=DEFAULT_DIFFICULTY if difficulty is None else difficulty,
        admin=admin,
    )
    BlockFile.create(path, genesis.block(int(clock() * 1000)).encode())


def _compare(
    genesis: Genesis, admin: str | None, chain_id: int | None, difficulty: int | None
) -> None:
    wanted = {"admin": admin, "chain_id": chain_id, "difficulty": difficulty}
    for name, value in wanted.items():
        made_with = getattr(genesis, name)
        if value is not None and value != made_with:
            raise ConfigError(f"{name} {value}: the chain was made with {made_with}")
