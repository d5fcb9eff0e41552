"""What a node answers: values in, bytes or a refusal out. Who carries them is not its business.

Peers and clients: status, blocks, what waits, contents, transactions, hints. The operator, with the
token from the node's folder and from the same machine: control. The web application (`server`) and
a simulated network answer by the same `ROUTES`.
"""

import asyncio
import hmac
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal, Protocol

from fedledger.effects import Answer, Work
from fedledger.errors import FedledgerError, LedgerUnavailable, StoreError
from fedledger.guards import Failures, guarded

from ....http.answers import Refusal
from ....http.limits import network_of
from ....transactions import MAX_TRANSACTION_BYTES
from ..chain.core import Core
from ..chain.pool import MAX_TRANSACTIONS
from ..process.timing import set_within
from .wire import MAX_ANSWER, MAX_LIST, MAX_LOCATOR, error_to_json, pack, unpack

__all__ = [
    "ROUTES",
    "Call",
    "NodeService",
    "Operator",
    "Route",
]

MAX_WAIT = 10.0
_SOUGHT = 3  # CIDs that are told to whoever waits for a block

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        named: parts of the path, by the names that the route gives them.
        query: what follows the path.
        body: its bytes, not more than the route's `most`.
        address: where it comes from.
        authorization: the header of this name.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    address: str = ""
    authorization: str = ""


class NodeService:
    """Answers for a node.

    Args:
        core: the node.
        operator: the process around it.
        work: reads and computes.
    """

    def __init__(self, core: Core, operator: Operator, work: Work) -> None:
        self._core = core
        self._operator = operator
        self._work = work
        self._changed = _Changes(core)
        self._failures = Failures()

    async def answer(self, route: "Route", call: Call) -> Answer:
        """Return a route's answer to a request; what is refused is an answer, too."""
        try:
            with guarded(
                f"answering {route.method} {route.path}",
                lambda _what: Refusal(500, "an error of this node: see its log"),
                logger,
                passes=(Refusal, FedledgerError),
                failures=self._failures,
            ):
                found = await route.handler(self, call)
                if found is None:
                    return Answer(204, b"")
                return Answer(route.code, found if isinstance(found, bytes) else _json(found))
        except Refusal as error:
            return refused(error)
        except FedledgerError as error:
            kinds = {LedgerUnavailable: 503, StoreError: 404}
            code = next((code for kind, code in kinds.items() if isinstance(error, kind)), 422)
            return Answer(code, _json(error_to_json(error)))

    def is_operator(self, call: Call) -> bool:
        """Tell whether a request has the operator's token and comes from the node's machine."""
        wanted = f"Bearer {self._operator.token}".encode()
        right = hmac.compare_digest(call.authorization.encode(), wanted)
        return right and _is_loopback(call.address)

    # Reading ------------------------------------------------------------------------------

    async def status(self, _call: Call) -> dict[str, Any]:
        """Return what the node says about itself."""
        core, now = self._core, self._core.snapshot
        return {
            "network": self._operator.network,
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

    async def blocks(self, call: Call) -> bytes:
        """Return blocks of the main branch that follow the first known hash of `after`."""
        if "after" not in call.query:
            raise Refusal(422, "after: hashes of blocks wanted")
        wanted = [_hash(one) for one in call.query["after"].split(",")[:MAX_LOCATOR]]
        return await self._work.wait(lambda: pack(_following(self._core, wanted)))

    async def block(self, call: Call) -> bytes:
        """Return one block's envelope by its hash."""
        envelope = await self._work.wait(self._core.envelope, _hash(call.named["block"]))
        if envelope is None:
            raise Refusal(404, "no such block")
        return envelope

    async def pool(self, _call: Call) -> bytes:
        """Return hashes of what waits, oldest first: only so many as peers read."""
        found = await self._work.wait(self._core.pending)
        return b"".join(bytes.fromhex(one[2:]) for one in found[:MAX_TRANSACTIONS])

    async def transactions(self, call: Call) -> bytes:
        """Return those of the transactions in the body that wait."""
        wanted = ["0x" + one.hex() for one in unpack(call.body, at_most=MAX_LIST, each=32)]
        return await self._work.wait(lambda: pack(_waiting(self._core, wanted)))

    async def content(self, call: Call) -> bytes:
        """Return a content by its CID."""
        return await self._work.wait(self._core.store.get, call.named["cid"])

    # Writing ------------------------------------------------------------------------------

    async def submit(self, call: Call) -> dict[str, Any]:
        """Take a client's transaction."""
        source = network_of(call.address)
        return {"transaction": await self._work.run(self._core.submit, call.body, source)}

    async def place(self, call: Call) -> dict[str, Any]:
        """Return where a transaction is; while it is pending, after `wait` seconds at most."""
        transaction = call.named["transaction"]
        _hash(transaction.removeprefix("0x"))
        loop = asyncio.get_running_loop()
        end = loop.time() + min(_seconds(call.query.get("wait", "0")), MAX_WAIT)
        while True:
            seen = self._changed.version
            found = await self._work.run(self._core.place, transaction)
            left = end - loop.time()
            if found.state != "pending" or left <= 0:
                break
            await self._changed.after(seen, left)
        error = None if found.error is None else error_to_json(found.error)
        return {
            "state": found.state,
            "block": found.block,
            "depth": found.depth,
            "error": error,
            "sought": list(self._core.snapshot.waiting[:_SOUGHT]),
        }

    async def hint(self, call: Call) -> None:
        """Hear that a peer may have news."""
        said = call.body.decode("ascii", "replace").split(" ")
        if len(said) != 3:
            raise Refusal(400, "a hint is URL, head and version of the pool")
        self._operator.hint(*said)

    # Controlling --------------------------------------------------------------------------

    async def about(self, _call: Call) -> dict[str, Any]:
        """Return what the operator sees."""
        return self._operator.about()

    async def miner(self, call: Call) -> dict[str, Any]:
        """Start or stop the miner."""
        if call.body not in (b"start", b"stop"):
            raise Refusal(400, "'start' or 'stop' wanted")
        await self._operator.set_mining(running=call.body == b"start")
        return self._operator.about()

    async def peers(self, call: Call) -> dict[str, Any]:
        """Talk to other peers."""
        self._operator.set_peers(call.body.decode("utf-8", "replace").split())
        return self._operator.about()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers which requests.

    Attributes:
        method: HTTP's method.
        path: "/a/{name}/…".
        handler: of `NodeService`: returns bytes, values for JSON, or None for no content.
        most: bytes that the body may have; 0: it is not read.
        code: status of a good answer.
        large: the kind of large answers that this one counts as.
        control: whether it is the operator's.
    """

    method: str
    path: str
    handler: Callable[[NodeService, Call], Awaitable[bytes | dict[str, Any] | None]]
    most: int = 0
    code: int = 200
    large: Literal["contents", "pages"] | None = None
    control: bool = False

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the named parts of a path, or None when it is another route's."""
        wanted, given = self.path.split("/"), path.split("/")
        if method != self.method or len(wanted) != len(given):
            return None
        named = {}
        for one, part in zip(wanted, given, strict=True):
            if one.startswith("{") and part:
                named[one[1:-1]] = part
            elif one != part:
                return None
        return named


ROUTES = (
    Route(method="GET", path="/status", handler=NodeService.status),
    Route(method="GET", path="/blocks", handler=NodeService.blocks, large="pages"),
    Route(method="GET", path="/block/{block}", handler=NodeService.block, large="pages"),
    Route(method="GET", path="/pool", handler=NodeService.pool, large="pages"),
    Route(
        method="POST",
        path="/pool",
        handler=NodeService.transactions,
        most=4 + MAX_LIST * 36,
        large="pages",
    ),
    Route(method="GET", path="/content/{cid}", handler=NodeService.content, large="contents"),
    Route(
        method="POST",
        path="/transactions",
        handler=NodeService.submit,
        most=MAX_TRANSACTION_BYTES,
        code=202,
    ),
    Route(method="GET", path="/transactions/{transaction}", handler=NodeService.place),
    Route(method="POST", path="/hint", handler=NodeService.hint, most=400),
    Route(method="GET", path="/control", handler=NodeService.about, control=True),
    Route(method="POST", path="/control/miner", handler=NodeService.miner, most=16, control=True),
    Route(
        method="POST",
        path="/control/peers",
        handler=NodeService.peers,
        most=64 * 1024,
        control=True,
    ),
)


def refused(refusal: Refusal) -> Answer:
    """Return the answer that says why there is none."""
    return Answer(refusal.code, _json({"detail": str(refusal)}))


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
        raise Refusal(404, "none of these blocks is on the main branch")
    found: list[bytes] = []
    size = 0
    for one in now.hashes[first : min(now.index + 1, first + MAX_LIST)]:
        envelope = core.envelope(one)
        if envelope is None or (found and size + len(envelope) > MAX_ANSWER):
            break
        size += len(envelope)
        found.append(envelope)
    return found


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
        raise Refusal(400, "a hash is 64 hexadecimal digits")
    return raw


def _seconds(text: str) -> float:
    """Read a duration; NaN would upset the order of all of the event loop's timers."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise Refusal(422, "wait: seconds from 0 wanted")
    return seconds


def _json(plain: Any) -> bytes:
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")  # which is how JSON writes a lone surrogate


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
