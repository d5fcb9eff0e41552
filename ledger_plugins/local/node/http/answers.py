"""Large answers: sent in pieces, as fast as their reader reads, and only so many at once."""

from collections.abc import Callable, Collection
from typing import Protocol

from fastapi import Response
from starlette.types import Receive, Scope, Send

from fedledger.effects.transport import PIECE

from .places import Places
from .service import Refusal

__all__ = ["Answer", "Slots"]


class Connection(Protocol):
    """What an answer leaves by."""

    @property
    def use(self) -> tuple[bool, float]:
        """How much it is used."""

    def cut(self) -> None:
        """End it: its answer is not sent any further."""


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
            raise Refusal(503, "busy with other large answers: try again")
        if (other := self._places.take(address, connection)) is not None:
            other.cut()
        return lambda: self._places.leave(connection)


class Answer(Response):
    """Bytes in pieces: uvicorn sends one when the one before has left.

    Args:
        data: the bytes.
        done: called when all have been sent, or nobody takes them any more.
    """

    media_type = "application/octet-stream"

    def __init__(self, data: bytes, done: Callable[[], None] = lambda: None) -> None:
        super().__init__(headers={"content-length": str(len(data))})
        self._data = memoryview(data)
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the answer."""
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            for at in range(0, len(self._data), PIECE):
                piece = bytes(self._data[at : at + PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._done()
