"""The process of a store's server: its socket, its files, its signals."""

import asyncio
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from fedledger.effects import Effects
from fedledger.errors import ConfigError, StoreUnavailable

from .. import open_store
from ..http.limits import RateLimit
from ..http.protocol import bounded
from ..http.serving import Listener, bound, log_exception, serve, url_of
from ..storage.base import READ_MAX_BYTES
from ..storage.requests import server_name
from .app import make_store_app
from .service import StoreLimits, StoreService
from .uses import Uses
from .writers import Members, Writers

__all__ = ["StoreServerConfig", "run_store_server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreServerConfig:
    """How a server runs.

    Attributes:
        listen: HOST:PORT; port 0: any that is free.
        store: URL of the store behind it.
        data: folder of its own notes.
        names: how writers call it, HOST:PORT each, besides the address that it listens on.
        allowed: accounts that may write.
        members: asks for those of tasks; None: only the accounts that are allowed.
        max_bytes: bytes of a content.
        quota: bytes of all contents of an account.
        at_once: contents that an account sends at once.
        rate: requests a second that one address may make for long.
        timeout: seconds that the store behind may take for a content; None: as it says itself.
        deadline: seconds in which a request, a piece of a content, or of an answer, has to move.
        tls: files of the certificate chain and of its key, for HTTPS.
    """

    listen: str
    store: str
    data: Path
    names: Collection[str] = ()
    allowed: Collection[str] = ()
    members: Members | None = None
    max_bytes: int = READ_MAX_BYTES
    quota: int = 10 * 1024**3
    at_once: int = 4
    rate: float = 500.0
    timeout: float | None = None
    deadline: float = 20.0
    tls: tuple[Path, Path] | None = None


def run_store_server(
    config: StoreServerConfig, effects: Effects, *, ready: Callable[[str], None] = lambda _url: None
) -> None:
    """Serve a store until SIGTERM or SIGINT.

    Args:
        config: how.
        effects: all that it does to the world but its socket.
        ready: called with the URL that opens the store, once it answers.

    Raises:
        ConfigError: a setting is wrong.
        StoreUnavailable: the address is taken, another process has the folder, or the store behind
            it cannot be opened.
    """
    if not config.allowed and config.members is None:
        raise ConfigError("nobody may write: --allow ACCOUNT, or --task N with --ledger URL")
    listener = bound(config.listen, StoreUnavailable)
    try:
        names = _names(config, *listener.getsockname()[:2])
        effects.disk.make_folder(config.data)
        options: dict[str, Any] = {"max_bytes": config.max_bytes}
        if config.timeout is not None:
            options["timeout"] = config.timeout
        with (
            _alone(config.data, effects),
            open_store(config.store, **options) as store,
        ):
            uses = Uses(config.data / "uses.db", effects.disk)
            try:
                service = StoreService(
                    store,
                    uses,
                    Writers(config.allowed, config.members, store, effects),
                    names=names,
                    limits=StoreLimits(
                        max_bytes=config.max_bytes,
                        quota=config.quota,
                        at_once=config.at_once,
                        look=config.deadline / 2,
                    ),
                    effects=effects,
                )
                asyncio.run(_run(config, service, listener, effects, ready))
            finally:
                uses.close()
    finally:
        listener.close()


async def _run(
    config: StoreServerConfig,
    service: StoreService,
    listener: Listener,
    effects: Effects,
    ready: Callable[[str], None],
) -> None:
    loop, clock = asyncio.get_running_loop(), effects.clock
    loop.set_exception_handler(log_exception)
    up, end = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    limit = RateLimit(config.rate, 4 * config.rate, clock=clock)
    app = make_store_app(service, limit=limit, clock=clock, seconds=config.deadline / 2)
    protocol = bounded(limit, config.deadline, clock)
    url = url_of(listener, "store+https" if config.tls else "store+http")

    async def say() -> None:
        await up.wait()
        ready(url)

    saying = asyncio.create_task(say())
    try:
        await serve(app, protocol, listener, up=up, end=end, tls=config.tls)
    finally:
        saying.cancel()


def _names(config: StoreServerConfig, host: str, port: int) -> set[str]:
    """Return how writers call the server.

    Raises:
        ConfigError: a name is none, or there is none.
    """
    found = {server_name(name) for name in config.names}
    address = ip_address(host)
    if not address.is_unspecified:
        found.add(f"[{host}]:{port}" if address.version == 6 else f"{host}:{port}")
    if address.is_loopback:
        found.add(f"localhost:{port}")
    if not found:
        raise ConfigError(
            f"how do writers call this server? It listens on all addresses ({host}): say "
            "--name HOST:PORT, as it stands in their URL"
        )
    return found


@contextmanager
def _alone(data: Path, effects: Effects) -> Iterator[None]:
    """Have the folder to oneself.

    Raises:
        StoreUnavailable: another process has it, or it cannot be locked.
    """
    try:
        lock = effects.disk.lock(data / "lock")
    except BlockingIOError as error:
        raise StoreUnavailable(f"{data} is another server's, which runs") from error
    except (OSError, NotImplementedError) as error:
        raise StoreUnavailable(f"{data} cannot be locked: {error}") from error
    with lock:
        yield
