"""Gossip: nodes tell each other that there is news, and fetch it from peers that were named.

Nothing is ever pushed: a hint says only "ask me", and counts only from a peer of this node's list.
What a node takes comes over connections it opened itself, so each invalid message has an address
that cannot be forged, and strangers can send nothing but transactions of their own.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from fedledger.effects import Effects
from fedledger.errors import (
    LedgerUnavailable,
    MalformedBlock,
    MalformedTransaction,
    StoreError,
)

from ....http.limits import Strikes
from ....storage.cid import cid_of, profile_named
from ..chain.core import Core
from ..chain.envelope import Envelope
from ..chain.moments import MAX_DRIFT, Outcome
from ..http.client import Misbehaved, PeerClient, Status, locator, peer_url
from ..http.wire import MAX_LIST
from .timing import set_within

__all__ = ["MAX_CONTENT", "Gossip"]

MAX_CONTENT = 256 * 1024 * 1024
_POLL = 1.0
_GAP = 0.02
_OFFLINE = 1.0
_STRANGE = 30.0
_AT_ONCE = 8

logger = logging.getLogger(__name__)


class Gossip:
    """Follows a list of peers.

    Args:
        core: the node.
        url: where peers reach this node.
        network: what all nodes of the network say.
        effects: reach the peers, count their pauses, choose and compute.
    """

    def __init__(self, core: Core, url: str, network: str, effects: Effects) -> None:
        self.core = core
        self.effects = effects
        self.url = url
        self.network = network
        self._peers: dict[str, _Peer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        core.subscribe(lambda: self._loop.call_soon_threadsafe(self._changed))

    def set_peers(self, peers: Iterable[str]) -> None:
        """Talk to these peers from now on.

        Raises:
            ConfigError: one is no URL; nothing has changed.
        """
        wanted = {peer_url(peer) for peer in peers} - {self.url}
        for url in sorted(set(self._peers) - wanted):
            del self._peers[url]
            self._tasks.pop(url).cancel()
        for url in sorted(wanted - set(self._peers)):
            peer = self._peers[url] = _Peer(self, url)
            self._tasks[url] = self._loop.create_task(peer.run(), name=f"peer {url}")

    def hint(self, url: str, head: str, pool: str) -> None:
        """Ask a peer soon what it has, if its head or its pool is news; strangers are ignored."""
        peer = self._peers.get(url)
        if peer is not None:
            peer.hinted(head, pool)

    def about(self) -> list[dict[str, Any]]:
        """Return what is known about each peer."""
        return [peer.about() for _, peer in sorted(self._peers.items())]

    async def close(self) -> None:
        """Stop following."""
        tasks = list(self._tasks.values())
        self.set_peers(())
        await asyncio.gather(*tasks, return_exceptions=True)

    def _changed(self) -> None:
        for peer in self._peers.values():
            peer.news.set()
            if self.core.snapshot.waiting:
                peer.wake.set()


class _Peer:
    """One peer: what it said last, and what it must not do again."""

    def __init__(self, gossip: Gossip, url: str) -> None:
        self.url = url
        self.wake = asyncio.Event()
        self.news = asyncio.Event()
        self._gossip = gossip
        self._core = gossip.core
        self._client = PeerClient(url, gossip.effects.transport)
        self._strikes = Strikes(clock=gossip.effects.clock)
        self._entropy = gossip.effects.entropy
        self._work = gossip.effects.work
        self._status: Status | None = None
        self._problem: str | None = "not asked yet"
        self._seen: object = None
        self._told: tuple[str, int] | None = None
        self._pool: str | None = None
        self._head: str | None = None

    def about(self) -> dict[str, Any]:
        """Return what is known about the peer."""
        return {
            "url": self.url,
            "head": self._status.head if self._status else None,
            "index": self._status.index if self._status else None,
            "problem": self._problem,
            "paused": round(self._strikes.paused, 1),
            "pauses": self._strikes.pauses,
        }

    def hinted(self, head: str, pool: str) -> None:
        """Note what the peer says to have; ask it when that is news."""
        self._head = head
        if pool != self._pool or not self._knows(head):
            self.wake.set()

    def _knows(self, head: str) -> bool:
        try:
            return self._core.knows(bytes.fromhex(head))
        except ValueError:
            return True

    async def run(self) -> None:
        """Follow the peer until cancelled; whatever goes wrong is logged and tried again."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pull())
                group.create_task(self._tell())
        finally:
            await self._client.close()

    async def _pull(self) -> None:
        while True:
            wait = _POLL
            try:
                await self._once()
                self._problem = None
            except LedgerUnavailable as error:
                self._problem = str(error)
                wait = _OFFLINE
            except (Misbehaved, MalformedBlock, MalformedTransaction) as error:
                self._strikes.strike()
                self._problem = str(error)
                logger.warning("peer %s: %s", self.url, error)
            except Exception:
                self._problem = "an error of this node: see its log"
                logger.exception("following peer %s", self.url)
            if (pause := self._strikes.paused) > 0:
                logger.warning("peer %s is left alone for %.0f s", self.url, pause)
                await asyncio.sleep(pause)
            elif self._status is not None and self._status.network != self._gossip.network:
                await asyncio.sleep(_STRANGE)
            else:
                await asyncio.sleep(_GAP)
                await set_within(self.wake, wait)
                self.wake.clear()

    async def _once(self) -> None:
        """Ask the peer what it has, and fetch what is news."""
        core = self._core
        status = self._status = await self._client.status()
        if status.network != self._gossip.network:
            self._problem = "another network: block 0 or leader rule differ"
            raise LedgerUnavailable(self._problem)
        if not core.knows(bytes.fromhex(status.head)) and int(status.work) >= core.snapshot.work:
            await self._fetch_blocks(status)
        self._head, self._pool = status.head, str(status.pool)
        now = (status.pool, core.snapshot.head)
        if status.pending and now != self._seen:
            await self._fetch_transactions()
            self._seen = now
        await self._fetch_contents()

    async def _fetch_blocks(self, status: Status) -> None:
        core, head = self._core, bytes.fromhex(status.head)
        if status.index > core.now() + MAX_DRIFT - core.born:
            raise Misbehaved(f"it says to have {status.index} blocks, more than milliseconds")
        common = locator(core.snapshot)
        last: bytes | None = None
        left, old = status.index + MAX_LIST, core.snapshot.blocks + MAX_LIST
        while left > 0 and old > 0 and not core.knows(head):
            page = await self._client.blocks([last, *common] if last else common)
            if not page:
                return  # it has moved to another branch meanwhile
            left -= len(page)
            for data in page:
                outcome = await self._work.run(core.accept, data)
                if outcome is Outcome.ORPHAN:
                    raise Misbehaved("its blocks do not follow what was asked")
                if outcome is Outcome.EARLY:
                    raise LedgerUnavailable("its block's time has not come yet")
                old -= outcome is Outcome.KNOWN
            following = _hash_of(page[-1])
            if following == last:
                raise Misbehaved("it sends the same blocks again")
            last = following
        if not core.knows(head):
            raise Misbehaved("it sends more blocks than it said to have, or again what it sent")

    async def _fetch_transactions(self) -> None:
        core = self._core
        news = [one for one in await self._client.pending() if core.is_news(one)]
        for at in range(0, len(news), MAX_LIST):
            for raw in await self._client.transactions(news[at : at + MAX_LIST]):
                await self._work.run(core.offer, raw)

    async def _fetch_contents(self) -> None:
        core = self._core
        fetched = False
        waiting = core.snapshot.waiting
        # Any of them: what nobody has must not keep the others waiting.
        for cid in self._entropy.sample(waiting, min(_AT_ONCE, len(waiting))):
            try:
                data = await self._client.content(cid, MAX_CONTENT)
            except LedgerUnavailable:
                continue  # another peer may have it
            await self._work.run(_keep, core, cid, data)
            fetched = True
        if fetched:
            await self._work.run(core.tend)

    async def _tell(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            now = self._core.snapshot
            told = (now.head.hex(), now.pool)
            stale = self._told is None or self._told[1] != now.pool
            if told == self._told or (told[0] == self._head and not stale):
                continue  # it has been told, or has said so itself
            try:
                await self._client.hint(self._gossip.url, *told)
                self._told = told
            except (LedgerUnavailable, Misbehaved) as error:
                logger.debug("no hint to %s: %s", self.url, error)
            except Exception:
                logger.exception("telling peer %s", self.url)
            await asyncio.sleep(_GAP)


def _keep(core: Core, cid: str, data: bytes) -> None:
    """Put a content into the store if it is what the CID says."""
    actual = cid_of(data, profile_named(core.store.profile))
    if actual != cid:
        raise Misbehaved(f"content of {cid} hashes to {actual}")
    try:
        core.store.put(data)
    except StoreError as error:
        raise LedgerUnavailable(f"the store takes no content: {error}") from error


def _hash_of(envelope: bytes) -> bytes:
    return Envelope.decode(envelope).block.header.hash
