"""A node of a network without its server: its folder, its core, its gossip and its miner."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fedledger.effects import Effects, Entropy
from fedledger.errors import ConfigError, LedgerUnavailable, MalformedBlock

from ....accounts import Account
from ....addresses import checksum_address
from ....storage.base import Store
from ...chain.genesis import DEFAULT_DIFFICULTY, Genesis
from ...disk.lock import WriteLock
from ..chain.branch import Verifier
from ..chain.core import Core
from ..chain.envelope import Envelope
from ..chain.file import has_chain
from ..chain.first import checked_first
from ..chain.leader import LeaderRule, Work
from ..chain.moments import Source
from ..chain.reading import NODE_FILE, NODE_LOCK
from ..http.client import Misbehaved, PeerClient, peer_url
from ..http.control import write_owned
from ..http.service import NodeService
from .gossip import Gossip
from .miner import Miner
from .timing import set_within

__all__ = ["SECONDS", "Member", "NodeConfig", "Server"]

SECONDS = 20.0
"""Default deadline for a whole request, and then for each piece of its answer."""

_TEND = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """How a node runs.

    Attributes:
        listen: "HOST:PORT"; port 0 takes a free one.
        data: the node's folder; made when it is not there.
        peers: URLs of the peers. Peers name each other: a node takes nothing from strangers.
        new_chain: make a chain when the folder has none; else block 0 comes from a peer.
        admin: address that may mint and appoint on a new chain.
        chain_id: EIP-155 id of a new chain, drawn at random by default.
        difficulty: the bound of equation (5) on a new chain.
        genesis: hash of block 0 in hexadecimal; another chain is refused.
        store: URL of the node's store; default: a folder below `data`.
        account: who signs the blocks.
        mine: whether the miner runs from the start.
        interval: mean seconds that the miner waits before a block.
        empty_blocks: whether it makes blocks without transactions all the time.
        rule: who may make blocks; the same on all nodes.
        verifier: checks published rounds; None believes them.
        source: makes the miner's own calls.
        rate: requests a second that one address may make for long; four times that at once.
        deadline: seconds in which a request has to come, and each piece of its answer to be read.
    """

    listen: str
    data: Path
    peers: tuple[str, ...] = ()
    new_chain: bool = False
    admin: str | None = None
    chain_id: int | None = None
    difficulty: int | None = None
    genesis: str | None = None
    store: str | None = None
    account: Account | None = None
    mine: bool = False
    interval: float = 1.0
    empty_blocks: bool = False
    rule: LeaderRule = field(default_factory=Work)
    verifier: Verifier | None = None
    source: "Callable[[Store], Source] | None" = None
    rate: float = 500.0
    deadline: float = SECONDS


class Server(Protocol):
    """Carries requests to a node's service and its answers back."""

    async def serve(self, service: NodeService, *, up: asyncio.Event, end: asyncio.Event) -> None:
        """Answer from now on; set `up` once it does, and return when `end` is set."""


class Member:
    """Everything of a node in one event loop but its server; what the service calls the operator.

    Args:
        config: how it runs.
        url: where peers reach it.
        effects: all that it does to the world.

    Raises:
        ConfigError: a setting is wrong.
    """

    def __init__(self, config: NodeConfig, url: str, effects: Effects) -> None:
        if not config.interval >= 0:
            raise ConfigError(f"interval {config.interval}: seconds from 0 wanted")
        if not config.deadline > 0 or not config.rate > 0:
            raise ConfigError(
                f"deadline {config.deadline}, rate {config.rate}: positive numbers wanted"
            )
        for peer in config.peers:
            peer_url(peer)
        self._config = config
        self._effects = effects
        self.url = url
        self.token = effects.entropy.hexadecimal(32)
        self.network = ""
        self._end = asyncio.Event()
        self._failed: str | None = None

    def stop(self) -> None:
        """Let `run` return soon; called in the node's event loop."""
        self._end.set()

    async def run(
        self,
        store: Store,
        server: Server,
        ready: Callable[[str], None] = lambda _url: None,
    ) -> None:
        """Run until `stop`; a member runs once.

        Args:
            store: the node's own.
            server: serves it.
            ready: called with the node's URL once it answers.

        Raises:
            LedgerUnavailable: another process has the folder, or the disk fails.
            ChainCorrupted: the folder's file is damaged.
        """
        config, disk = self._config, self._effects.disk
        disk.make_folder(config.data, private=True)
        lock = WriteLock(config.data / NODE_LOCK, disk)
        try:
            first = await self._first_block()
            if self._end.is_set():
                return
            core = Core(
                config.data / NODE_FILE,
                first,
                store,
                rule=config.rule,
                verifier=config.verifier,
                clock=self._effects.clock,
                disk=disk,
            )
            try:
                await self._serve(core, store, server, ready)
            finally:
                core.close()
        finally:
            lock.release()
        if self._failed:
            raise LedgerUnavailable(self._failed)

    async def _serve(
        self, core: Core, store: Store, server: Server, ready: Callable[[str], None]
    ) -> None:
        config, effects = self._config, self._effects
        start = core.snapshot.hashes[0]
        if config.genesis and config.genesis.removeprefix("0x").lower() != start.hex():
            raise ConfigError(f"the folder's chain begins with {start.hex()}, not {config.genesis}")
        described = config.rule.describe().encode()
        self.network = hashlib.sha256(b"fedledger network v1" + start + described).hexdigest()
        self._gossip = Gossip(core, self.url, self.network, effects)
        self._miner = Miner(
            core,
            config.account,
            effects,
            interval=config.interval,
            empty=config.empty_blocks,
            source=config.source(store) if config.source else None,
        )
        self._gossip.set_peers(config.peers)
        service = NodeService(core, self, effects.work)
        up, end = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(server.serve(service, up=up, end=end))
        tending = asyncio.create_task(self._tend(core))
        ending = asyncio.create_task(self._end.wait())
        try:
            answering = asyncio.create_task(up.wait())
            await asyncio.wait([serving, answering], return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            write_owned(config.data, self.url, self.token, effects.disk)
            if config.mine:
                self._miner.start()
            logger.info("node at %s, block %d", self.url, core.snapshot.index)
            ready(self.url)
            await asyncio.wait([serving, ending], return_when=asyncio.FIRST_COMPLETED)
            if not self._end.is_set():
                self._failed = "the server has stopped: see the log"
        finally:
            logger.info("stopping")
            await self._miner.stop()
            await self._gossip.close()
            tending.cancel()
            ending.cancel()
            end.set()
            await asyncio.gather(serving, tending, ending, return_exceptions=True)

    # What the server lets others do ---------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Return what the operator sees."""
        account = self._config.account
        return {
            "url": self.url,
            "account": account.address if account else None,
            "mining": self._miner.running,
            "mined": self._miner.mined,
            "defend": self._config.verifier is not None,
            "peers": self._gossip.about(),
        }

    def hint(self, url: str, head: str, pool: str) -> None:
        """Ask a peer what it has, if that is news."""
        self._gossip.hint(url, head, pool)

    async def set_mining(self, *, running: bool) -> None:
        """Start or stop the miner."""
        if running:
            self._miner.start()
        else:
            await self._miner.stop()

    def set_peers(self, peers: list[str]) -> None:
        """Talk to these peers from now on."""
        self._gossip.set_peers(peers)

    # Inside ---------------------------------------------------------------------------------

    async def _tend(self, core: Core) -> None:
        while True:
            await asyncio.sleep(_TEND)
            try:
                await self._effects.work.run(core.tend)
            except LedgerUnavailable as error:
                self._failed = str(error)
                self._end.set()
                return
            except Exception:
                logger.exception("tending")

    async def _first_block(self) -> bytes | None:
        """Return block 0 for a folder that has no chain; None when it has one or the end came."""
        config = self._config
        if has_chain(config.data / NODE_FILE, self._effects.disk):
            return None
        if config.new_chain:
            return self._block_0()
        if not config.peers:
            raise ConfigError(
                f"{config.data} has no chain: name a --peer to join its chain, or make a new one"
            )
        while not self._end.is_set():
            for peer in config.peers:
                client = PeerClient(peer_url(peer), self._effects.transport)
                try:
                    return await self._ask_first(client)
                except (LedgerUnavailable, Misbehaved, MalformedBlock) as error:
                    logger.warning("no block 0 from %s: %s", peer, error)
                finally:
                    await client.close()
            await set_within(self._end, 0.5)
        return None

    async def _ask_first(self, client: PeerClient) -> bytes:
        first, wanted = (await client.status()).first, self._config.genesis
        if wanted and wanted.removeprefix("0x").lower() != first:
            raise LedgerUnavailable(f"its chain begins with {first}, not {wanted}")
        data = await client.block(first)
        block = await self._effects.work.run(checked_first, data)
        if block.header.hash.hex() != first:
            raise Misbehaved("its block 0 is another than it said")
        return data

    def _block_0(self) -> bytes:
        made = _new_chain(self._config, self._effects.entropy)
        now = int(self._effects.clock.wall() * 1000)
        return Envelope.sign(made.block(now), None).encode()


def _new_chain(config: NodeConfig, entropy: Entropy) -> Genesis:
    # 48 bits with the highest one set: above every public chain's id, and rarely drawn twice.
    drawn = 1 << 47 | entropy.below(1 << 47)
    return Genesis.new(
        chain_id=drawn if config.chain_id is None else config.chain_id,
        difficulty=DEFAULT_DIFFICULTY if config.difficulty is None else config.difficulty,
        admin=checksum_address(config.admin) if config.admin else None,
    )
