"""Answers: why there is none, and large ones, in pieces, as fast as their reader reads."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from typing import Protocol

from fastapi import Response
from starlette.types import Receive, Scope, Send

from fedledger.effects.transport import PIECE
from fedledger.errors import FedledgerError

from .places import CONNECTION, Places

__all__ = ["Answer", "Connection", "Refusal", "Slots", "Streamed"]

logger = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is not answered.

    Attributes:
        code: HTTP's status code.
    """

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        super().__init__(why)


class Connection(Protocol):
    """What an answer leaves by."""

    @property
    def use(self) -> tuple[bool, float]:
        """How much it is used."""

    @property
    def gone(self) -> bool:
        """Whether nobody takes its answer any more."""

    def cut(self) -> None:
        """End it: its answer is not sent any further."""

    def allow(self, seconds: float | None = None) -> None:
        """Let the next thing that moves come within so many seconds, or within the usual ones."""


class Slots:
    """How many large answers may be under way, since they are held in memory.

    Args:
        of_address: for one address.
        total: for all.
        peers: addresses whose answers give way to nobody's.
    """

    def __init__(self, of_address: int, total: int, peers: Collection[str] = ()) -> None:
        self._places: Places[Connection] = Places(peers, total=total, of_address=of_address)

    def take(self, address: str, connection: Connection) -> Callable[[], None]:
        """Take a slot; the returned function gives it back.

        When all are taken, an address that has more of them than this one loses one (`Places`).

        Raises:
            Refusal: 503, all of the address's slots are taken, or all slots by others with no more.
        """
        if not self._places.has_room(address):
            raise Refusal(503, "busy with other answers: try again")
        if (other := self._places.take(address, connection)) is not None:
            other.cut()
        return lambda: self._places.leave(connection)


class Streamed(Response):
    """A content in pieces: uvicorn sends one when the one before has left.

    Where the pieces end with an exception, or before they are `size` bytes, the connection is cut:
    its reader sees that something is missing.

    Args:
        pieces: the content.
        size: its bytes.
        done: called when all have been sent, or nobody takes them any more.
    """

    media_type = "application/octet-stream"

    def __init__(
        self, pieces: AsyncIterator[bytes], size: int, done: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(headers={"content-length": str(size)})
        self._pieces = pieces
        self._size = size
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the answer."""
        connection: Connection | None = scope.get("state", {}).get(CONNECTION)
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        whole = False
        try:
            await send(start)
            whole = await self._sent(send, connection)
        except FedledgerError as error:
            logger.warning("an answer broke off: %s", error)
        finally:
            self._done()
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
        if whole:
            await send({"type": "http.response.body", "body": b""})
        elif connection is not None:
            connection.cut()
            await asyncio.sleep(0)  # then it is known to be gone

    async def _sent(self, send: Send, connection: Connection | None) -> bool:
        """Send the pieces; tell whether they were all."""
        sent = 0
        async for piece in self._pieces:
            sent += len(piece)
            if sent > self._size or (connection is not None and connection.gone):
                return False
            for at in range(0, len(piece), PIECE):
                part = bytes(piece[at : at + PIECE])
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if connection is not None:
                    connection.allow()  # what left at once has told nobody
        return sent == self._size


class Answer(Streamed):
    """Bytes that are there, in pieces.

    Args:
        data: the bytes.
        done: called when all have been sent, or nobody takes them any more.
    """

    def __init__(self, data: bytes, done: Callable[[], None] = lambda: None) -> None:
        super().__init__(_pieces(data), len(data), done)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for at in range(0, len(view), PIECE):
        yield bytes(view[at : at + PIECE])
