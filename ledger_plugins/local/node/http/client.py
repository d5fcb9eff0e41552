"""Asking a peer: every answer has a cap, a deadline, and a form that is checked."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedledger.effects import Question, Transport
from fedledger.errors import (
    AnswerTooLarge,
    ConfigError,
    LedgerUnavailable,
    MalformedBlock,
    TransportError,
)

from ..chain.envelope import MAX_ENVELOPE_BYTES
from ..chain.moments import Snapshot
from ..chain.pool import MAX_TRANSACTIONS
from .wire import MAX_ANSWER, MAX_LIST, MAX_LOCATOR, pack, unpack

__all__ = ["Misbehaved", "PeerClient", "Status", "locator", "peer_url"]

SECONDS = 20.0
"""Within this, an answer has to end, or another piece of it has to come: at least 13 kB/s."""

_SMALL = 64 * 1024
_MAX_POOL = MAX_TRANSACTIONS * 32
_URL = re.compile(r"http://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):([1-9][0-9]{0,4})/?")
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Number = Annotated[int, Field(ge=0, lt=2**63)]


class Misbehaved(Exception):
    """A peer sent what no node sends."""


class Status(BaseModel):
    """What a node says about itself; the rest of its answer is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    network: _Hash
    head: _Hash
    first: _Hash
    index: _Number
    work: Annotated[str, Field(pattern=r"^[0-9]{1,80}$")]
    pool: _Number
    pending: _Number


def peer_url(text: str) -> str:
    """Return a peer's URL in the one form that is compared.

    Raises:
        ConfigError: something else than http://HOST:PORT or HOST:PORT.
    """
    url = text if "://" in text else f"http://{text}"
    found = _URL.fullmatch(url)
    if found is None or int(found[2]) > 65_535:
        raise ConfigError(f"{text!r} is no peer: http://HOST:PORT wanted")
    return f"http://{found[1].lower()}:{found[2]}"


def locator(now: Snapshot) -> list[bytes]:
    """Return hashes of the main branch from the head down, further and further apart."""
    found: list[bytes] = []
    index, step = now.index, 1
    while index > 0 and len(found) < MAX_LOCATOR - 1:
        found.append(now.hashes[index])
        if len(found) >= 8:
            step *= 2
        index -= step
    return [*found, now.hashes[0]]


class PeerClient:
    """Asks one peer.

    Args:
        url: the peer, as `peer_url` returns it.
        transport: reaches it.
    """

    def __init__(self, url: str, transport: Transport) -> None:
        self.url = url
        self._line = transport.async_line(url, at_once=4)

    async def status(self) -> Status:
        """Return what the peer says about itself."""
        try:
            return Status.model_validate_json(await self._ask("GET", "/status", _SMALL))
        except ValidationError as error:
            raise Misbehaved("its status is none") from error

    async def blocks(self, after: list[bytes]) -> list[bytes]:
        """Return envelopes that follow the first of these hashes that the peer's branch has."""
        path = "/blocks?after=" + ",".join(one.hex() for one in after[:MAX_LOCATOR])
        data = await self._ask("GET", path, MAX_ANSWER + 2 * MAX_ENVELOPE_BYTES)
        return _listed(data, MAX_ENVELOPE_BYTES)

    async def block(self, block: str) -> bytes:
        """Return one envelope by the block's hash."""
        return await self._ask("GET", f"/block/{block}", MAX_ENVELOPE_BYTES)

    async def pending(self) -> list[str]:
        """Return the hashes of what waits for a block there."""
        data = await self._ask("GET", "/pool", _MAX_POOL)
        if len(data) % 32:
            raise Misbehaved("its list of transactions is none")
        return ["0x" + data[at : at + 32].hex() for at in range(0, len(data), 32)]

    async def transactions(self, wanted: list[str]) -> list[bytes]:
        """Return envelopes of up to `MAX_LIST` transactions that wait there."""
        body = pack(bytes.fromhex(one[2:]) for one in wanted[:MAX_LIST])
        data = await self._ask("POST", "/pool", 2 * MAX_ANSWER, body)
        return _listed(data, MAX_ANSWER)

    async def content(self, cid: str, most: int) -> bytes:
        """Return a content, not checked yet."""
        return await self._ask("GET", f"/content/{cid}", most)

    async def hint(self, url: str, head: str, pool: int) -> None:
        """Tell the peer what the node at `url` has: its head, and its pool's version."""
        await self._ask("POST", "/hint", _SMALL, f"{url} {head} {pool}".encode())

    async def close(self) -> None:
        """Close the connections."""
        await self._line.close()

    async def _ask(self, method: str, path: str, most: int, body: bytes = b"") -> bytes:
        """Return an answer's bytes.

        Raises:
            LedgerUnavailable: the peer cannot be reached, refuses, or is too slow.
            Misbehaved: the answer is larger than any node's.
        """
        question = Question(method=method, path=path, body=body, most=most, seconds=SECONDS)
        try:
            answer = await self._line.ask(question)
        except AnswerTooLarge as error:
            raise Misbehaved(f"{path[:40]}: more than {most} bytes") from error
        except TransportError as error:
            raise LedgerUnavailable(str(error)) from error
        if answer.status not in (200, 204):
            raise LedgerUnavailable(f"{self.url}{path[:40]}: {answer.status}")
        return answer.body


def _listed(data: bytes, each: int) -> list[bytes]:
    try:
        return unpack(data, at_most=MAX_LIST, each=each)
    except MalformedBlock as error:
        raise Misbehaved(str(error)) from error
