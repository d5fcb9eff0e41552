"""A node's process: its socket, its web server, its signals, around a `Member`."""

import asyncio
import logging
import signal
from collections.abc import Callable
from urllib.parse import urlsplit

from fedledger.effects import Effects
from fedledger.errors import LedgerUnavailable

from .... import open_store
from ....http.limits import RateLimit
from ....http.protocol import bounded
from ....http.serving import bound, log_exception, serve, url_of
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
    loop.set_exception_handler(log_exception)
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
        self._listener = bound(config.listen, LedgerUnavailable)
        self.url = url_of(self._listener)
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
            url = config.store or (config.data / "store").resolve().as_uri()
            with open_store(url, account=config.account) as store:
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
        knowing = asyncio.create_task(self._know(peers))
        try:
            await serve(app, protocol, self._listener, up=up, end=end)
        finally:
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
