"""What stands before every route: rates by address, and bodies that stay small and come in time."""

import asyncio
import logging
from collections.abc import Callable

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedledger.effects import Clock
from fedledger.effects.transport import PIECE

from .answers import Refusal
from .limits import RateLimit, Sparsely

__all__ = ["PENALTY", "Body", "Guard", "read_body"]

PENALTY = 20.0
"""Requests that one bad request counts for."""

_BAD = frozenset({400, 408, 413, 422})
_LONGEST_LOGGED = 80
_SLOW_DOWN = b'{"error": "TooMany", "message": "too many requests: slow down"}'


class Guard:
    """ASGI middleware: refuses an address that asks too often, and counts what it sends wrongly.

    Args:
        app: what answers.
        limit: tokens by address.
        clock: says how long ago something was logged.
    """

    def __init__(self, app: ASGIApp, limit: RateLimit, clock: Clock) -> None:
        self._app = app
        self._limit = limit
        self._say = Sparsely(logging.getLogger(__name__), clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            return
        client = scope.get("client")
        address = client[0] if client else ""
        if not self._limit.take(address):
            self._say(address, "refused: too many requests")
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": _SLOW_DOWN})
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _BAD:
                self._limit.charge(address, PENALTY)
                asked = f"{scope['method']} {scope['path']}"[:_LONGEST_LOGGED]
                self._say(address, f"bad request, answered {message['status']}", repr(asked))
            await send(message)

        await self._app(scope, receive, counted)


async def read_body(request: Request, most: int) -> bytes:
    """Read a request's body, at most `most` bytes and within the server's `body_seconds`.

    Raises:
        HTTPException: 413 when it is larger, 408 when it is slow, 400 when it ends early.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdigit() or len(stated) > 12 or int(stated) > most:
        raise HTTPException(413, f"at most {most} bytes are read here")
    body = bytearray()
    try:
        async with asyncio.timeout(request.app.state.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(413, f"at most {most} bytes are read here")
    except ClientDisconnect as error:
        raise HTTPException(400, "the body ended early") from error
    except TimeoutError as error:
        raise HTTPException(408, "the body came too slowly") from error
    return bytes(body)


class Body:
    """A body that is too large to be held, in pieces.

    Args:
        receive: the request's.
        size: bytes that it has to have.
        seconds: within this the body has to end, or another `PIECE` of it has to come.
        over: called when all of it has come.
    """

    def __init__(
        self, receive: Receive, size: int, seconds: float, *, over: Callable[[], None]
    ) -> None:
        self._receive = receive
        self._left = size
        self._seconds = seconds
        self._say_over = over
        self._over = False

    async def piece(self) -> bytes:
        """Return the next piece, of `PIECE` bytes or somewhat more; none at the end.

        Raises:
            Refusal: 408 when it is slow, 400 when it ends early or is longer than it was to be.
        """
        got = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while len(got) < PIECE and not self._over:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the content broke off")
                    got += message.get("body", b"")
                    self._over = not message.get("more_body", False)
        except TimeoutError as error:
            raise Refusal(408, "the content came too slowly") from error
        self._left -= len(got)
        if self._left < 0 or (self._over and self._left):
            raise Refusal(400, "the content has another size than was signed")
        if self._over:
            self._say_over()
        return bytes(got)
