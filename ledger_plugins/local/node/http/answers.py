"""Large answers: sent in pieces, as fast as their reader reads, and only so many at once."""

from collections import Counter
from collections.abc import Callable

from fastapi import Response
from starlette.types import Receive, Scope, Send

from fedledger.effects.transport import PIECE

from .service import Refusal

__all__ = ["Answer", "Slots"]


class Slots:
    """How many large answers may be under way, since they are held in memory.

    Args:
        of_address: for one address.
        total: for all.
    """

    def __init__(self, of_address: int, total: int) -> None:
        self._of_address = of_address
        self._total = total
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> Callable[[], None]:
        """Take a slot; the returned function gives it back.

        Raises:
            Refusal: 503, all of the address's slots or all slots are taken.
        """
        if self._taken[address] >= self._of_address or self._taken.total() >= self._total:
            raise Refusal(503, "busy with other large answers: try again")
        self._taken[address] += 1

        def give_back() -> None:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]

        return give_back


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
