"""A node's process: its socket, its web server, its signals, around a `Member`."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from fedledger.effects import Effects
from fedledger.errors import ConfigError, LedgerUnavailable

from .... import open_store
from ..http.limits import RateLimit
from ..http.protocol import BoundedProtocol, bounded
from ..http.server import make_app
from ..http.service import NodeService
from .member import Member, NodeConfig

__all__ = ["Node", "NodeConfig", "run_node"]

_LOOK = 5.0
"""Seconds between two looks at the addresses that the peers have."""

logger = logging.getLogger(__name__)


def run_node(
    config: NodeConfig, effects: Effects, *, ready: Callable[[str], None] = lambda _url: None
) -> None:
    """Run a node until SIGTERM or SIGINT.

    Args:
        config: how.
        effects: all that it does to the world but its server's socket.
        ready: called with the node's URL once it answers.

    Raises:
        ConfigError: a setting is wrong, or the folder's chain is another one.
        LedgerUnavailable: the address is taken, another process has the folder, or the disk fails.
        ChainCorrupted: the folder's file is damaged.
    """
    asyncio.run(_run_with_signals(config, effects, ready))


async def _run_with_signals(
    config: NodeConfig, effects: Effects, ready: Callable[[str], None]
) -> None:
    node = Node(config, effects)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_exception)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    await node.run(ready)


class Node:
    """A member of a network that answers over HTTP.

    Args:
        config: how it runs.
        effects: all that it does to the world but its server's socket.

    Raises:
        ConfigError: a setting is wrong.
        LedgerUnavailable: the address is taken.
    """

    def __init__(self, config: NodeConfig, effects: Effects) -> None:
        self._config = config
        self._effects = effects
        self._listener = _bound(config.listen)
        host, port = self._listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        try:
            self._member = Member(config, self.url, effects)
        except BaseException:
            self._listener.close()
            raise

    def stop(self) -> None:
        """Let `run` return soon; called in the node's event loop."""
        self._member.stop()

    async def run(self, ready: Callable[[str], None] = lambda _url: None) -> None:
        """Run until `stop`; a node runs once."""
        config = self._config
        try:
            with open_store(config.store or (config.data / "store").resolve().as_uri()) as store:
                await self._member.run(store, self, ready)
        finally:
            self._listener.close()

    async def serve(self, service: NodeService, *, up: asyncio.Event, end: asyncio.Event) -> None:
        """Answer over HTTP; set `up` once it does, and return when `end` is set."""
        config, clock = self._config, self._effects.clock
        limit = RateLimit(config.rate, 4 * config.rate, clock=clock)
        peers: set[str] = set()
        app = make_app(
            service, limit=limit, clock=clock, body_seconds=config.deadline / 2, peers=peers
        )
        protocol = bounded(limit, config.deadline, clock, peers)
        server = _Server(_uvicorn(app, protocol), up)
        stopping = asyncio.create_task(_stop_at(end, server))
        knowing = asyncio.create_task(self._know(peers))
        try:
            await server.serve([self._listener])
        finally:
            stopping.cancel()
            knowing.cancel()

    async def _know(self, peers: set[str]) -> None:
        """Keep the addresses that the peers' URLs have now."""
        loop = asyncio.get_running_loop()
        while True:
            found: set[str] = set()
            for peer in self._member.about()["peers"]:
                host = urlsplit(peer["url"]).hostname
                try:
                    found |= {str(one[4][0]) for one in await loop.getaddrinfo(host, None)}
                except OSError as error:
                    logger.debug("the address of peer %s is not known: %s", host, error)
            peers &= found
            peers |= found
            await asyncio.sleep(_LOOK)


async def _stop_at(end: asyncio.Event, server: uvicorn.Server) -> None:
    await end.wait()
    server.should_exit = True


class _Server(uvicorn.Server):
    """Uvicorn's server without its signal handlers: the process has its own."""

    def __init__(self, config: uvicorn.Config, up: asyncio.Event) -> None:
        super().__init__(config)
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        self._up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to answer; requests that strangers have only begun hold up nothing."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.give_up()
        await super().shutdown(sockets)

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
        limit_concurrency=None,  # `Places` says who may have a connection
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
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
