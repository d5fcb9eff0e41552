"""The process of a store's server, which needs the main thread: what `fedledger store serve` is."""

import asyncio
import os
import signal
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from fedledger.effects import Effects

from ....ledger_plugins.store_server.process import StoreServerConfig, run_store_server
from .helper import answer_all, cpu_seconds

__all__ = ["main"]

_wanted: "SimpleQueue[StoreServerConfig | None]" = SimpleQueue()
_urls: "SimpleQueue[str]" = SimpleQueue()
_ended: "SimpleQueue[None]" = SimpleQueue()
_running: list[bool] = []


async def _serve(folder: str, names: list[str], allowed: list[str]) -> int:
    """Serve the store in a folder, and return the port."""
    config = StoreServerConfig(
        listen="127.0.0.1:0",
        store=(Path(folder) / "store").as_uri(),
        data=Path(folder) / "server",
        names=names,
        allowed=allowed,
    )
    _wanted.put(config)
    url = await asyncio.to_thread(_urls.get)
    _running.append(True)
    return int(url.rpartition(":")[2])


async def _stop() -> None:
    while _running:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.to_thread(_ended.get)
        _running.pop()


def main() -> None:
    """Answer questions until there are no more, and serve when that is asked for."""
    Thread(target=_answer, daemon=True).start()
    while (config := _wanted.get()) is not None:
        run_store_server(config, Effects.real(), ready=_urls.put)
        _ended.put(None)


def _answer() -> None:
    answer_all({"serve": _serve, "stop": _stop, "cpu": cpu_seconds})
    if _running:
        os.kill(os.getpid(), signal.SIGTERM)
    _wanted.put(None)
