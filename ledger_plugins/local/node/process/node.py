"""A node's process: its folder, its server, its gossip, its miner, from start to SIGTERM."""

import asyncio
import hashlib
import logging
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from fedledger.errors import ConfigError, LedgerUnavailable, MalformedBlock

from .... import Store, open_store
from ....accounts import Account
from ....addresses import checksum_address
from ...chain.genesis import DEFAULT_DIFFICULTY, Genesis
from ...disk.lock import WriteLock
from ..chain.branch import Verifier
from ..chain.core import Core
from ..chain.envelope import Envelope
from ..chain.file import has_chain
from ..chain.first import checked_first
from ..chain.leader import LeaderRule, Work
from ..chain.moments import Source
from ..http.client import Misbehaved, PeerClient, peer_url
from ..http.control import write_owned
from ..http.limits import RateLimit
from ..http.protocol import SECONDS, bounded
from ..http.server import make_app
from .gossip import Gossip
from .miner import Miner
from .timing import set_within

__all__ = ["Node", "NodeConfig", "run_node"]

_TEND = 1.0
_CONNECTIONS = 512

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


def run_node(config: NodeConfig, *, ready: Callable[[str], None] = lambda _url: None) -> None:
    """Run a node until SIGTERM or SIGINT.

    Args:
        config: how.
        ready: called with the node's URL once it answers.

    Raises:
        ConfigError: a setting is wrong, or the folder's chain is another one.
        LedgerUnavailable: the address is taken, another process has the folder, or the disk fails.
        ChainCorrupted: the folder's file is damaged.
    """
    asyncio.run(_run_with_signals(config, ready))


async def _run_with_signals(config: NodeConfig, ready: Callable[[str], None]) -> None:
    node = Node(config)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_exception)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    await node.run(ready)


class Node:
    """Everything of a node in one event loop; what the server calls the operator.

    Args:
        config: how it runs.

    Raises:
        ConfigError: a setting is wrong.
        LedgerUnavailable: the address is taken.
    """

    def __init__(self, config: NodeConfig) -> None:
        if not config.interval >= 0:
            raise ConfigError(f"interval {config.interval}: seconds from 0 wanted")
        if not config.deadline > 0 or not config.rate > 0:
            raise ConfigError(
                f"deadline {config.deadline}, rate {config.rate}: positive numbers wanted"
            )
        for peer in config.peers:
            peer_url(peer)
        self._config = config
        self._listener = _bound(config.listen)
        host, port = self._listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.token = secrets.token_urlsafe(32)
        self.network = ""
        self._end = asyncio.Event()
        self._failed: str | None = None

    def stop(self) -> None:
        """Let `run` return soon; called in the node's event loop."""
        self._end.set()

    async def run(self, ready: Callable[[str], None] = lambda _url: None) -> None:
        """Run until `stop`; a node runs once."""
        config = self._config
        try:
            config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = WriteLock(config.data / "node.lock")
            try:
                await self._run(ready)
            finally:
                lock.release()
        finally:
            self._listener.close()
        if self._failed:
            raise LedgerUnavailable(self._failed)

    async def _run(self, ready: Callable[[str], None]) -> None:
        config = self._config
        with open_store(config.store or (config.data / "store").resolve().as_uri()) as store:
            first = await self._first_block()
            if self._end.is_set():
                return
            path = config.data / "node.db"
            core = self._core = Core(path, first, store, rule=config.rule, verifier=config.verifier)
            try:
                await self._serve(core, store, ready)
            finally:
                core.close()

    async def _serve(self, core: Core, store: Store, ready: Callable[[str], None]) -> None:
        config = self._config
        start = core.snapshot.hashes[0]
        if config.genesis and config.genesis.removeprefix("0x").lower() != start.hex():
            raise ConfigError(f"the folder's chain begins with {start.hex()}, not {config.genesis}")
        described = config.rule.describe().encode()
        self.network = hashlib.sha256(b"fedledger network v1" + start + described).hexdigest()
        self._gossip = Gossip(core, self.url, self.network)
        self._miner = Miner(
            core,
            config.account,
            interval=config.interval,
            empty=config.empty_blocks,
            source=config.source(store) if config.source else None,
        )
        self._gossip.set_peers(config.peers)
        limit = RateLimit(config.rate, 4 * config.rate)
        app = make_app(core, self, limit=limit, body_seconds=config.deadline / 2)
        server = _Server(_uvicorn(app, bounded(limit, config.deadline)))
        serving = asyncio.create_task(server.serve([self._listener]))
        tending = asyncio.create_task(self._tend(core))
        ending = asyncio.create_task(self._end.wait())
        try:
            up = asyncio.create_task(server.up.wait())
            await asyncio.wait([serving, up], return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            write_owned(config.data, self.url, self.token)
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
            server.should_exit = True
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
                await asyncio.to_thread(core.tend)
            except LedgerUnavailable as error:
                self._failed = str(error)
                self._end.set()
                return
            except Exception:
                logger.exception("tending")

    async def _first_block(self) -> bytes | None:
        """Return block 0 for a folder that has no chain; None when it has one or the end came."""
        config = self._config
        if has_chain(config.data / "node.db"):
            return None
        if config.new_chain:
            return Envelope.sign(_new_chain(config).block(int(time.time() * 1000)), None).encode()
        if not config.peers:
            raise ConfigError(
                f"{config.data} has no chain: name a --peer to join its chain, or make a new one"
            )
        while not self._end.is_set():
            for peer in config.peers:
                client = PeerClient(peer_url(peer))
                try:
                    return await _ask_first(client, config.genesis)
                except (LedgerUnavailable, Misbehaved, MalformedBlock) as error:
                    logger.warning("no block 0 from %s: %s", peer, error)
                finally:
                    await client.close()
            await set_within(self._end, 0.5)
        return None


class _Server(uvicorn.Server):
    """Uvicorn's server without its signal handlers: the process has its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _uvicorn(app: Any, protocol: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # what strangers cause is counted and logged by this package
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
    )


async def _ask_first(client: PeerClient, wanted: str | None) -> bytes:
    first = (await client.status()).first
    if wanted and wanted.removeprefix("0x").lower() != first:
        raise LedgerUnavailable(f"its chain begins with {first}, not {wanted}")
    data = await client.block(first)
    block = await asyncio.to_thread(checked_first, data)
    if block.header.hash.hex() != first:
        raise Misbehaved("its block 0 is another than it said")
    return data


def _new_chain(config: NodeConfig) -> Genesis:
    chain_id = config.chain_id
    return Genesis.new(
        # 48 bits with the highest one set: above every public chain's id, and rarely drawn twice.
        chain_id=(1 << 47 | secrets.randbits(47)) if chain_id is None else chain_id,
        difficulty=DEFAULT_DIFFICULTY if config.difficulty is None else config.difficulty,
        admin=checksum_address(config.admin) if config.admin else None,
    )


def _bound(listen: str) -> socket.socket:
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65_535 or not host:
        raise ConfigError(f"{listen!r} is no address to listen on: HOST:PORT wanted")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: only then asyncio turns off Nagle's algorithm, which holds back an
    # answer's body for 40 ms, until its head is acknowledged.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise LedgerUnavailable(f"{listen}: {error.strerror or error}") from error
    return listener


def _log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.error("%s", context.get("message"), exc_info=context.get("exception"))
