"""A server's socket and its uvicorn, which leaves signals and logs to the process around it."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from fedledger.errors import ConfigError

from .protocol import BoundedProtocol

__all__ = ["Listener", "bound", "log_exception", "serve", "url_of"]

Listener = socket.socket
"""A bound socket."""

logger = logging.getLogger(__name__)


def bound(listen: str, failure: Callable[[str], Exception]) -> Listener:
    """Return a socket bound to HOST:PORT.

    Args:
        listen: the address; port 0: any that is free.
        failure: makes the error where the address cannot be had.

    Raises:
        ConfigError: it is no address.
    """
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
        raise failure(f"{listen}: {error.strerror or error}") from error
    return listener


def url_of(listener: Listener, scheme: str = "http") -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def serve(
    app: Any,
    protocol: type[BoundedProtocol],
    listener: Listener,
    *,
    up: asyncio.Event,
    end: asyncio.Event,
    tls: tuple[Path, Path] | None = None,
) -> None:
    """Answer until `end` is set.

    Args:
        app: the ASGI application.
        protocol: of its connections, as `bounded` makes it.
        listener: where it listens.
        up: is set once it answers.
        end: let it end.
        tls: files of the certificate chain and of its key, for HTTPS.

    Raises:
        ConfigError: these files are none.
    """
    config = _uvicorn(app, protocol, tls)
    try:
        config.load()
    except OSError as error:  # an SSLError is one
        files = " and ".join(map(str, tls or ()))
        raise ConfigError(f"{files}: no certificate with its key: {error}") from error
    server = _Server(config, up)
    stopping = asyncio.create_task(_stop_at(end, server))
    try:
        await server.serve([listener])
    finally:
        stopping.cancel()


def log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no task of an event loop took."""
    logger.error("%s", context.get("message"), exc_info=context.get("exception"))


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


def _uvicorn(
    app: Any, protocol: type[asyncio.Protocol], tls: tuple[Path, Path] | None
) -> uvicorn.Config:
    certificate, key = tls or (None, None)
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
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
