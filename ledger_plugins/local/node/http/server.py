"""What a node answers over HTTP. Everything that comes in is small, counted, and decoded strictly.

Peers and clients: status, blocks, what waits, contents, transactions, hints. The operator, with the
token from the node's folder and from the same machine: control.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from fedledger.errors import LedgerError, LedgerUnavailable, StoreError

from ....transactions import MAX_TRANSACTION_BYTES
from ..chain.core import Core
from ..chain.pool import MAX_TRANSACTIONS
from ..process.timing import set_within
from .answers import Answer, Slots
from .guard import PENALTY, Guard, read_body
from .limits import RateLimit
from .wire import error_to_json, pack, unpack

__all__ = ["MAX_LIST", "Operator", "make_app"]

MAX_LIST = 256
"""Blocks or transactions in one answer."""

MAX_ANSWER = 8 * 1024 * 1024
MAX_LOCATOR = 64
MAX_WAIT = 10.0
_CONTENTS = (4, 12)
_PAGES = (16, 48)
"""Large answers at once, to one address and in total: a content is up to the store's cap, a page of
blocks or transactions up to twice `MAX_ANSWER`."""

Wait = Annotated[float, Query(ge=0, allow_inf_nan=False)]
"""Seconds; NaN would upset the order of all of the event loop's timers."""

logger = logging.getLogger(__name__)


class Operator(Protocol):
    """What the process around the core lets the operator see and do."""

    network: str
    token: str

    def about(self) -> dict[str, Any]:
        """Return what `show` prints about miner and peers."""

    def hint(self, url: str, head: str, pool: str) -> None:
        """Ask the peer with this URL if what it has is news; nothing happens for a stranger's."""

    async def set_mining(self, *, running: bool) -> None:
        """Start or stop the miner."""

    def set_peers(self, peers: list[str]) -> None:
        """Talk to these peers from now on; ConfigError when one is no URL."""


def make_app(
    core: Core, operator: Operator, *, limit: RateLimit, body_seconds: float = 10.0
) -> FastAPI:
    """Return the node's web application.

    Args:
        core: the node.
        operator: the process around it.
        limit: tokens by address; a request takes one, a bad one costs more.
        body_seconds: how long a request's body may take.
    """
    app = FastAPI(title="fedledger node", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.body_seconds = body_seconds
    app.add_middleware(Guard, limit=limit)
    _errors(app)
    _reading(app, core, operator)
    _writing(app, core, operator)
    _controlling(app, operator, limit)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(LedgerError)
    async def refused(_request: Request, error: LedgerError) -> JSONResponse:
        code = 503 if isinstance(error, LedgerUnavailable) else 422
        return JSONResponse(error_to_json(error), code)

    @app.exception_handler(StoreError)
    async def not_stored(_request: Request, error: StoreError) -> JSONResponse:
        return JSONResponse(error_to_json(error), 404)


def _reading(app: FastAPI, core: Core, operator: Operator) -> None:
    contents, pages = Slots(*_CONTENTS), Slots(*_PAGES)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        now = core.snapshot
        return {
            "network": operator.network,
            "head": now.head.hex(),
            "index": now.index,
            "work": str(now.work),
            "timestamp": now.timestamp,
            "pool": now.pool,
            "pending": now.pending,
            "first": now.hashes[0].hex(),
            "blocks": now.blocks,
            "refused": now.refused,
            "waiting": list(now.waiting),
            "reorganisations": now.reorganisations,
            "leader": core.rule.describe(),
        }

    @app.get("/blocks")
    async def blocks(request: Request, after: str) -> Response:
        """Return blocks of the main branch that follow the first known hash of `after`."""
        wanted = [_hash(one) for one in after.split(",")[:MAX_LOCATOR]]
        return await _large(request, pages, lambda: pack(_following(core, wanted)))

    @app.get("/block/{block}")
    async def block(request: Request, block: str) -> Response:
        wanted = _hash(block)
        return await _large(request, pages, lambda: _one_block(core, wanted))

    @app.get("/pool")
    async def pool(request: Request) -> Response:
        """Return hashes of what waits, oldest first: only so many as peers read."""

        def hashes() -> bytes:
            return b"".join(bytes.fromhex(one[2:]) for one in core.pending()[:MAX_TRANSACTIONS])

        return await _large(request, pages, hashes)

    @app.get("/content/{cid}")
    async def content(request: Request, cid: str) -> Response:
        return await _large(request, contents, lambda: core.store.get(cid))

    @app.post("/pool")
    async def transactions(request: Request) -> Response:
        body = await read_body(request, 4 + MAX_LIST * 36)
        wanted = ["0x" + one.hex() for one in unpack(body, at_most=MAX_LIST, each=32)]
        return await _large(request, pages, lambda: pack(_waiting(core, wanted)))


def _writing(app: FastAPI, core: Core, operator: Operator) -> None:
    changed = _Changes(core)

    @app.post("/transactions")
    async def submit(request: Request) -> JSONResponse:
        raw = await read_body(request, MAX_TRANSACTION_BYTES)
        return JSONResponse({"transaction": await asyncio.to_thread(core.submit, raw)}, 202)

    @app.get("/transactions/{transaction}")
    async def place(transaction: str, wait: Wait = 0.0) -> dict[str, Any]:
        _hash(transaction.removeprefix("0x"))
        loop = asyncio.get_running_loop()
        end = loop.time() + min(wait, MAX_WAIT)
        while True:
            seen = changed.version
            found = await asyncio.to_thread(core.place, transaction)
            left = end - loop.time()
            if found.state != "pending" or left <= 0:
                break
            await changed.after(seen, left)
        error = None if found.error is None else error_to_json(found.error)
        return {
            "state": found.state,
            "block": found.block,
            "depth": found.depth,
            "error": error,
        }

    @app.post("/hint", status_code=204)
    async def hint(request: Request) -> None:
        said = (await read_body(request, 400)).decode("ascii", "replace").split(" ")
        if len(said) != 3:
            raise HTTPException(400, "a hint is URL, head and version of the pool")
        operator.hint(*said)


def _controlling(app: FastAPI, operator: Operator, limit: RateLimit) -> None:
    def allowed(request: Request) -> None:
        given = request.headers.get("authorization", "")
        right = hmac.compare_digest(given.encode(), f"Bearer {operator.token}".encode())
        address = _address(request)
        if not right or not _is_loopback(address):
            limit.charge(address, PENALTY)
            raise HTTPException(403, "control needs the node's token, on the node's machine")

    @app.get("/control")
    async def about(request: Request) -> dict[str, Any]:
        allowed(request)
        return operator.about()

    @app.post("/control/miner")
    async def miner(request: Request) -> dict[str, Any]:
        allowed(request)
        wanted = await read_body(request, 16)
        if wanted not in (b"start", b"stop"):
            raise HTTPException(400, "'start' or 'stop' wanted")
        await operator.set_mining(running=wanted == b"start")
        return operator.about()

    @app.post("/control/peers")
    async def peers(request: Request) -> dict[str, Any]:
        allowed(request)
        text = (await read_body(request, 64 * 1024)).decode("utf-8", "replace")
        operator.set_peers(text.split())
        return operator.about()


class _Changes:
    """Lets requests wait for the core's next change."""

    def __init__(self, core: Core) -> None:
        self.version = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        core.subscribe(self._changed)

    async def after(self, version: int, seconds: float) -> None:
        """Return when something has changed since `version`, or after `seconds`."""
        self._loop = asyncio.get_running_loop()
        if version != self.version:
            return
        await set_within(self._event, seconds)

    def _changed(self) -> None:
        self.version += 1
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._event.set()
        self._event = asyncio.Event()


def _following(core: Core, wanted: list[bytes]) -> list[bytes]:
    now = core.snapshot
    places = (core.index_of(one) for one in wanted)
    first = next((place + 1 for place in places if place is not None), None)
    if first is None:
        raise HTTPException(404, "none of these blocks is on the main branch")
    found: list[bytes] = []
    size = 0
    for one in now.hashes[first : min(now.index + 1, first + MAX_LIST)]:
        envelope = core.envelope(one)
        if envelope is None or (found and size + len(envelope) > MAX_ANSWER):
            break
        size += len(envelope)
        found.append(envelope)
    return found


def _one_block(core: Core, wanted: bytes) -> bytes:
    envelope = core.envelope(wanted)
    if envelope is None:
        raise HTTPException(404, "no such block")
    return envelope


def _waiting(core: Core, wanted: list[str]) -> list[bytes]:
    found, size = [], 0
    for raw in core.raw(wanted):
        size += len(raw)
        if size > MAX_ANSWER:
            break
        found.append(raw)
    return found


def _hash(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise HTTPException(400, "a hash is 64 hexadecimal digits")
    return raw


async def _large(request: Request, slots: Slots, read: Callable[[], bytes]) -> Response:
    """Answer what `read` returns, in pieces; a slot is held from before the reading on."""
    give_back = slots.take(_address(request))
    try:
        # Not asyncio's few threads: a slow store must not keep the core's own work waiting.
        return Answer(await run_in_threadpool(read), give_back)
    except BaseException:
        give_back()
        raise


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
