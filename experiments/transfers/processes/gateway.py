"""Contents of a store over HTTP, block by block, as a trustless gateway of IPFS gives them.

Only what a measurement needs: `GET /ipfs/CID?format=raw` of contents that the store has.
"""

import asyncio
import socket
from typing import Any

import uvicorn

from fedledger.errors import ContentNotFound, StoreError

from ....ledger_plugins import Store
from ....ledger_plugins.storage.cid import Tree, chunk_cid, cid_from_bytes, cid_of, profile_named

__all__ = ["Gateway"]

_BACKLOG = 128
_PREFIX = "/ipfs/"
_KIND = b"application/vnd.ipld.raw"


class Gateway:
    """Serves a store's contents at ports of 127.0.0.1, each of which is a peer to whoever asks.

    Args:
        store: has the contents; this closes it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blocks: dict[str, bytes | memoryview] = {cid_of(b""): b""}
        self._lock = asyncio.Lock()

    async def open(self, peers: int) -> list[int]:
        """Listen at free ports, and return them."""
        listening = [_listening() for _ in range(peers)]
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            log_level="warning",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=listening))
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.01)
        return [one.getsockname()[1] for one in listening]

    async def close(self) -> None:
        """Stop listening, forget the blocks and close the store."""
        self._server.should_exit = self._server.force_exit = True
        await self._serving
        self._blocks.clear()
        self._store.close()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI
        try:
            block = await self._block(scope["path"].removeprefix(_PREFIX))
            status = 200
        except StoreError as error:
            block, status = str(error).encode(), 404 if isinstance(error, ContentNotFound) else 500
        headers = [(b"content-type", _KIND), (b"content-length", str(len(block)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(block)})

    async def _block(self, cid: str) -> bytes | memoryview:
        """Return a block; the first of a content brings the others with it.

        Raises:
            StoreError: the store cannot give it.
        """
        if cid not in self._blocks:
            async with self._lock:
                if cid not in self._blocks:
                    self._blocks |= await asyncio.to_thread(self._unpacked, cid)
        return self._blocks[cid]

    def _unpacked(self, cid: str) -> dict[str, bytes | memoryview]:
        data = memoryview(self._store.get(cid))
        tree = Tree(profile_named(self._store.profile))
        tree.update(data)
        step = tree.profile.chunk_bytes
        blocks: dict[str, bytes | memoryview] = {
            cid_from_bytes(node.cid): node.block for node in tree.nodes()
        }
        for at in range(0, len(data), step):
            chunk = data[at : at + step]
            blocks[cid_from_bytes(chunk_cid(chunk))] = chunk  # type: ignore[arg-type]
        return blocks


def _listening() -> socket.socket:
    """Return a socket at a free port; asyncio sends small answers at once where it names TCP."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.bind(("127.0.0.1", 0))
    found.listen(_BACKLOG)
    return found
