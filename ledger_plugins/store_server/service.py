"""What a store's server answers: values in, values or a refusal out. Who carries them is not here.

Anybody reads: a content is what its CID says, whoever asks. Changes need a signature of an account
that may write (`StoreRequest`). Nobody deletes: what counted in a round is not one account's to
take back, so deleting is the operator's, with `fedledger store delete` on the store itself.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fedledger.effects import Effects
from fedledger.errors import AccountError, ContentTooLarge, StoreError

from ..http.answers import Refusal
from ..http.guard import Body
from ..storage.base import Store
from ..storage.cid import cid_to_bytes
from ..storage.passing import unchecked
from ..storage.requests import WITHIN, StoreRequest
from .uses import LEAST, Uses
from .writers import Writers

__all__ = ["PAGE", "StoreLimits", "StoreService"]

PAGE = 1_000
"""Pins in one answer."""

_UPLOADS = 32  # at once, of all accounts
_LOOKS = 12  # questions at once about pins, and about what comes again

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """What one account may do.

    Attributes:
        max_bytes: bytes of a content.
        quota: bytes of all contents that an account stores; each counts for 4 KiB at least.
        at_once: contents that an account sends at once.
        look: seconds for looking for a content before it is said not to be found.
    """

    max_bytes: int
    quota: int
    at_once: int
    look: float


class StoreService:
    """Answers for a store.

    Args:
        store: the store behind it.
        uses: who has stored and pinned what.
        writers: who may.
        names: how writers call this server, HOST:PORT each.
        limits: how much.
        effects: wait, and say what time it is.
    """

    def __init__(
        self,
        store: Store,
        uses: Uses,
        writers: Writers,
        *,
        names: Collection[str],
        limits: StoreLimits,
        effects: Effects,
    ) -> None:
        self._store = store
        self._uses = uses
        self._writers = writers
        self._names = sorted(names)
        self._limits = limits
        self._work, self._clock = effects.work, effects.clock
        self._sending: Counter[str] = Counter()  # contents on their way, by account,
        self._coming: Counter[str] = Counter()  # and their bytes
        self._looks = asyncio.Semaphore(_LOOKS)
        self._pinning = asyncio.Lock()

    # Reading ------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return what the server says about itself."""
        return {
            "service": "fedledger store",
            "profile": self._store.profile,
            "max_bytes": self._limits.max_bytes,
            "names": self._names,
        }

    async def known(self, cid: str) -> bool:
        """Tell whether a content came here, so that nobody has to look for it elsewhere."""
        cid_to_bytes(cid)
        return await self._work.run(self._uses.known, cid)

    async def size(self, cid: str) -> dict[str, Any]:
        """Return a content's size."""
        return {"bytes": await self._work.wait(self._store.size, cid, timeout=self._limits.look)}

    async def content(self, cid: str) -> tuple[int, AsyncIterator[bytes]]:
        """Return a content's size, and its pieces as the store has them: its reader hashes them."""
        size, pieces = await self._work.wait(unchecked, self._store, cid, timeout=self._limits.look)
        return size, self._pieces(pieces)

    async def pins(self, after: str) -> dict[str, Any]:
        """Return the pinned CIDs behind `after`, the first page of them."""
        async with self._looks:
            found = await self._work.wait(self._store.pins)
        listed = [cid for cid in found if cid > after]
        return {"pins": listed[:PAGE], "more": len(listed) > PAGE}

    async def pinned(self, cid: str) -> dict[str, Any]:
        """Tell whether a content is pinned, by whomever."""
        cid_to_bytes(cid)
        async with self._looks:
            return {"pinned": cid in await self._work.wait(self._store.pins)}

    # Writing ------------------------------------------------------------------------------

    async def offer(self, cid: str, size: int, authorization: str) -> dict[str, Any]:
        """Say whether a content may come, before it does; it need not where it is there already."""
        account = await self._writer(authorization, "put", cid, size)
        await self._check_room(account, cid, size)
        if not await self._work.run(self._uses.known, cid):
            return {"there": False}
        try:
            async with self._looks:
                await self._work.wait(self._store.size, cid, timeout=self._limits.look)
                await self._work.wait(self._store.get_stream, cid)  # which hashes all of it
        except StoreError:
            return {"there": False}  # it comes again, which mends it
        await self._work.run(self._uses.add, account, cid, size)
        return {"there": True}

    async def put(self, cid: str, size: int, authorization: str, body: Body) -> dict[str, Any]:
        """Store a content that comes piece by piece; what breaks off leaves nothing."""
        account = await self._writer(authorization, "put", cid, size)
        with self._place(account, size):
            await self._check_room(account, cid, size)
            loop = asyncio.get_running_loop()
            await self._work.wait(self._store.put_stream, _pulled(body, loop), expected=cid)
            await self._work.run(self._uses.add, account, cid, size)
        return {"stored": cid}

    async def pin(self, cid: str, authorization: str) -> dict[str, Any]:
        """Keep a content that the account has stored."""
        account, issued = await self._changer(authorization, "pin", cid)
        async with self._pinning:
            if await self._said(account, cid, issued) is None:
                async with self._looks:
                    await self._work.wait(self._store.size, cid, timeout=self._limits.look)
                raise Refusal(403, f"account {account} has not stored {cid} here: it pins its own")
            there = cid in await self._work.wait(self._store.pins)
            kept = there and not await self._work.run(self._uses.pinned, cid)
            await self._work.run(self._uses.say, account, cid, issued, pinned=True, kept=kept)
            await self._work.wait(self._store.pin, cid)
        return {"pinned": True}

    async def unpin(self, cid: str, authorization: str) -> dict[str, Any]:
        """Let go of a content; what another account or the operator keeps stays pinned."""
        account, issued = await self._changer(authorization, "unpin", cid)
        async with self._pinning:
            pins = await self._said(account, cid, issued)
            if pins and not await self._work.run(self._others, account, cid):
                await self._work.wait(self._store.unpin, cid)
            if pins is not None:
                await self._work.run(self._uses.say, account, cid, issued, pinned=False)
        return {"pinned": False}

    # Inside -------------------------------------------------------------------------------

    async def _pieces(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        try:
            while piece := await self._work.wait(next, pieces, b""):
                yield piece
        finally:
            await self._work.run(lambda: pieces.close() if hasattr(pieces, "close") else None)

    async def _writer(self, authorization: str, action: str, cid: str, size: int) -> str:
        """Return who asks for a change; see `_request`."""
        return (await self._request(authorization, action, cid, size)).account

    async def _changer(self, authorization: str, action: str, cid: str) -> tuple[str, int]:
        request = await self._request(authorization, action, cid, 0)
        return request.account, request.issued

    async def _request(self, authorization: str, action: str, cid: str, size: int) -> StoreRequest:
        """Return what is asked, once all about it is right but how much it is.

        Raises:
            Refusal: 401 without a right signature, 403 of another server or time, or of an account
                that may not write.
        """
        cid_to_bytes(cid)
        try:
            request = StoreRequest.read(authorization, action=action, content=cid, size=size)
        except AccountError as error:
            raise Refusal(401, str(error)) from error
        if request.server not in self._names:
            raise Refusal(
                403,
                f"the request was signed for {request.server}, and this server is "
                f"{' or '.join(self._names)}: its operator adds a name by --name",
            )
        now = int(self._clock.wall() * 1000)
        if abs(now - request.issued) > WITHIN * 1000:
            raise Refusal(
                403,
                f"the request was signed at {_time(request.issued)} by the writer's clock, and it "
                f"is {_time(now)} by this server's: set the clock that is wrong (up to {WITHIN} s "
                "are let pass)",
            )
        await self._writers.check(request.account)
        return request

    async def _check_room(self, account: str, cid: str, size: int) -> None:
        """Make sure that a content fits into what an account may store.

        Raises:
            ContentTooLarge: it alone is too large.
            Refusal: 403, all together are.
        """
        if size > self._limits.max_bytes:
            raise ContentTooLarge(size, self._limits.max_bytes)
        if await self._work.run(self._uses.said, account, cid) is not None:
            return  # it counts already
        stored = await self._work.run(self._uses.bytes_of, account)
        coming = max(self._coming[account], size, LEAST)
        if stored + coming > self._limits.quota:
            raise Refusal(
                403,
                f"account {account} has stored {stored} of {self._limits.quota} bytes here: "
                f"{coming} more do not fit",
            )

    @contextmanager
    def _place(self, account: str, size: int) -> Iterator[None]:
        """Have one of the places for contents on their way.

        Raises:
            Refusal: 503, there is none now.
        """
        if self._sending[account] >= self._limits.at_once:
            raise Refusal(503, f"account {account} sends {self._limits.at_once} contents already")
        if self._sending.total() >= _UPLOADS:
            raise Refusal(503, f"{_UPLOADS} contents are coming already: try again")
        self._sending[account] += 1
        self._coming[account] += max(size, LEAST)
        try:
            yield
        finally:
            self._sending[account] -= 1
            self._coming[account] -= max(size, LEAST)
            if not self._sending[account]:
                del self._sending[account], self._coming[account]

    async def _said(self, account: str, cid: str, issued: int) -> bool | None:
        """Tell whether an account pins a content; None where it has not stored it.

        Raises:
            Refusal: 409, it has said something later: what is heard again does nothing.
        """
        said = await self._work.run(self._uses.said, account, cid)
        if said is None:
            return None
        if issued < said[1]:
            raise Refusal(
                409,
                f"account {account} has said something about {cid} that it signed later, at "
                f"{_time(said[1])}, than this, at {_time(issued)}",
            )
        return said[0]

    def _others(self, account: str, cid: str) -> bool:
        return self._uses.pinned(cid, but=account) or self._uses.kept(cid)


def _pulled(body: Body, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Give, in a thread, what comes in the event loop."""
    while piece := asyncio.run_coroutine_threadsafe(body.piece(), loop).result():
        yield piece


def _time(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms after 1970"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
