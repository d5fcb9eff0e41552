"""A store's server over HTTP: reads a request, lets the service answer, sends what it says."""

import errno
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import apsw
from fastapi import FastAPI, Request, Response

from fedledger.effects import Clock
from fedledger.errors import (
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    FedledgerError,
    InvalidCid,
    StoreTimedOut,
    StoreUnsupported,
)
from fedledger.guards import Failures, encodable, guarded

from ..http.answers import Connection, Refusal, Slots, Streamed
from ..http.guard import Body, Guard
from ..http.limits import RateLimit
from ..http.places import CONNECTION
from ..storage.requests import PREFIX
from .service import StoreService

__all__ = ["make_store_app"]

_SLOTS = (32, 64)
"""Contents on their way out at once, to one address and in total."""

_LOOKS = (8, 24)
"""Contents that never came here and are looked for at once: a network may be asked for them."""

_KEEPING = 300.0
"""Seconds that the store behind may take for a content that has come."""

_CODES: dict[type[FedledgerError], int] = {
    InvalidCid: 400,
    ContentNotFound: 404,
    ContentTooLarge: 413,
    StoreUnsupported: 501,
    StoreTimedOut: 504,
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST = 1_000  # characters of a message

logger = logging.getLogger(__name__)

_Plain = Callable[[Request], Awaitable[dict[str, Any]]]
_Answer = Callable[[Request], Awaitable[Response]]


def make_store_app(
    service: StoreService, *, limit: RateLimit, clock: Clock, seconds: float
) -> FastAPI:
    """Return the web application.

    Args:
        service: what answers.
        limit: tokens by address; a request takes one, a bad one costs more.
        clock: says how long ago something was logged.
        seconds: within this a piece of a content has to come.
    """
    app = FastAPI(title="fedledger store", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, limit=limit, clock=clock)
    _Routes(service, seconds).add_to(app)
    return app


class _Routes:
    """Requests in, answers out.

    Args:
        service: what answers.
        seconds: within this a piece of a content has to come.
    """

    def __init__(self, service: StoreService, seconds: float) -> None:
        self._service = service
        self._seconds = seconds
        self._slots = Slots(*_SLOTS)
        self._looks = Slots(*_LOOKS)
        self._failures = Failures()

    def add_to(self, app: FastAPI) -> None:
        """Let the application answer by these."""
        service = self._service
        plain: list[tuple[str, str, _Plain]] = [
            ("GET", "/status", self._status),
            ("GET", "/contents/{cid}/size", self._size),
            ("POST", "/contents/{cid}", self._offer),
            ("PUT", "/contents/{cid}", self._put),
            ("GET", "/pins", lambda request: service.pins(request.query_params.get("after", ""))),
            ("GET", "/pins/{cid}", lambda request: service.pinned(_cid(request))),
            ("PUT", "/pins/{cid}", lambda request: service.pin(_cid(request), _signed(request))),
            (
                "DELETE",
                "/pins/{cid}",
                lambda request: service.unpin(_cid(request), _signed(request)),
            ),
        ]
        for method, path, answer in plain:
            self._add(app, method, path, self._in_json(answer))
        self._add(app, "GET", "/contents/{cid}", self._content)

    def _add(self, app: FastAPI, method: str, path: str, answer: _Answer) -> None:
        async def endpoint(request: Request) -> Response:
            what = f"answering {method} {PREFIX}{path}"
            try:
                with guarded(
                    what,
                    lambda _what: Refusal(500, "an error of this server: see its log"),
                    logger,
                    passes=(Refusal, FedledgerError),
                    failures=self._failures,
                ):
                    return await _unless_full(answer(request))
            except Refusal as error:
                return _refused(error.code, {"error": "Refused", "message": str(error)})
            except FedledgerError as error:
                return _refused(*_said(error, method))

        app.add_api_route(PREFIX + path, endpoint, methods=[method], response_model=None)

    def _in_json(self, plain: _Plain) -> _Answer:
        async def answer(request: Request) -> Response:
            return _json(200, await plain(request))

        return answer

    async def _status(self, _request: Request) -> dict[str, Any]:
        return self._service.status()

    async def _size(self, request: Request) -> dict[str, Any]:
        async with self._looking(request):
            return await self._service.size(_cid(request))

    async def _content(self, request: Request) -> Response:
        done = self._slots.take(_address(request), _connection(request))
        try:
            async with self._looking(request):
                size, pieces = await self._service.content(_cid(request))
        except BaseException:
            done()
            raise
        return Streamed(pieces, size, done)

    @asynccontextmanager
    async def _looking(self, request: Request) -> AsyncIterator[None]:
        """Have a place for looking for a content, where it never came here.

        So strangers who ask for what nobody has do not hold up who asks for what is here.
        """
        if await self._service.known(_cid(request)):
            yield
            return
        done = self._looks.take(_address(request), _connection(request))
        try:
            yield
        finally:
            done()

    async def _offer(self, request: Request) -> dict[str, Any]:
        size = _number(request.query_params.get("size", ""))
        _connection(request).allow(_KEEPING)  # what is there already is hashed
        return await self._service.offer(_cid(request), size, _signed(request))

    async def _put(self, request: Request) -> dict[str, Any]:
        size = _number(request.headers.get("content-length", ""))
        connection = _connection(request)
        body = Body(request.receive, size, self._seconds, over=lambda: connection.allow(_KEEPING))
        return await self._service.put(_cid(request), size, _signed(request), body)


async def _unless_full(answer: Awaitable[Response]) -> Response:
    """Return an answer.

    Raises:
        Refusal: 507, the server's disk is full.
    """
    try:
        return await answer
    except (FedledgerError, apsw.Error, OSError) as error:
        if _is_full(error):
            raise Refusal(507, "the disk of this server is full") from error
        raise


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _cid(request: Request) -> str:
    return str(request.path_params["cid"])


def _signed(request: Request) -> str:
    return request.headers.get("authorization", "")


def _connection(request: Request) -> Connection:
    connection: Connection = request.scope["state"][CONNECTION]
    return connection


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Refusal(411, "how many bytes? A content comes with its size")
    return int(text)


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, apsw.FullError) or getattr(error, "errno", None) in _FULL:
            return True
        error = error.__cause__
    return False


def _said(error: FedledgerError, method: str) -> tuple[int, dict[str, Any]]:
    """Return how an error is told: what is the asker's own fault, and what is not."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), 502)
    if isinstance(error, ContentCorrupted) and method == "PUT":
        code = 400
    plain: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, ContentTooLarge):
        plain |= {"size": error.size, "limit": error.limit}
    if isinstance(error, StoreTimedOut):
        plain |= {"seconds": error.seconds}
    return code, plain


def _refused(code: int, plain: dict[str, Any]) -> Response:
    """Return a refusal, after which the connection ends: a content may still be on its way."""
    plain["message"] = encodable(str(plain["message"]))[:_LONGEST]
    answer = _json(code, plain)
    answer.headers["connection"] = "close"
    return answer


def _json(code: int, plain: dict[str, Any]) -> Response:
    return Response(json.dumps(plain), code, media_type="application/json")
