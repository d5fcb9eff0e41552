"""The process of the servers: SFTP's, and stores that are reached over HTTP."""

import asyncio
import hashlib
from pathlib import Path

from ....ledger_plugins import open_store
from . import sftp
from .gateway import Gateway
from .helper import answer_all, cpu_seconds

__all__ = ["main"]

_gateways: list[Gateway] = []


async def _serve_sftp(folder: str, client: str) -> dict[str, int | str]:
    key = sftp.make_key()
    listening = await sftp.serve(folder, key, client)
    return {"port": listening.get_port(), "host_key": sftp.public(key)}


async def _serve_store(url: str, peers: int) -> list[int]:
    gateway = Gateway(open_store(url))
    _gateways.append(gateway)
    return await gateway.open(peers)


async def _stop_stores() -> None:
    while _gateways:
        await _gateways.pop().close()


async def _digests(folder: str) -> dict[str, str]:
    """Return the SHA-256 of every file that is there."""

    def read() -> dict[str, str]:
        found = {}
        for path in Path(folder).iterdir():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    return await asyncio.to_thread(read)


def main() -> None:
    """Answer questions until there are no more."""
    answer_all(
        {
            "sftp": _serve_sftp,
            "store": _serve_store,
            "stop stores": _stop_stores,
            "digests": _digests,
            "cpu": cpu_seconds,
        }
    )
