"""The miner: one task that makes a block when there is something to put into one."""

import asyncio
import hashlib
import itertools
import logging
import math
from collections.abc import Callable

from fedledger.effects import Effects
from fedledger.errors import FedledgerError, MalformedBlock

from ....accounts import Account
from ...chain.block import Block, seal
from ...chain.codec import uint
from ..chain.core import Core
from ..chain.envelope import Envelope
from ..chain.moments import Source, Template
from .timing import set_within

__all__ = ["Miner"]

_IDLE = 0.5
_STEP = 4_096

logger = logging.getLogger(__name__)


class Miner:
    """Mines on a core while it runs.

    Between two attempts it waits a random time (exponential with mean `interval`), so that with the
    tiny difficulty that Bift asks for the miners take turns instead of all answering at once. The
    wait is good manners, not a rule: against miners without manners only a difficulty helps that
    makes a block cost more than they have.

    Args:
        core: the node.
        account: who signs the blocks; None leaves them unsigned.
        effects: draw the waits, compute.
        interval: mean seconds before an attempt.
        empty: whether to make blocks without transactions all the time.
        source: makes calls of the miner itself, for example a round's aggregate.
    """

    def __init__(
        self,
        core: Core,
        account: Account | None,
        effects: Effects,
        *,
        interval: float,
        empty: bool = False,
        source: Source | None = None,
    ) -> None:
        self.mined = 0
        """Blocks made since the start."""
        self._core = core
        self._account = account
        self._entropy = effects.entropy
        self._work = effects.work
        self._interval = interval
        self._empty = empty
        self._source = source
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        core.subscribe(lambda: loop.call_soon_threadsafe(self._changed.set))

    @property
    def running(self) -> bool:
        """Whether it mines."""
        return self._task is not None

    def start(self) -> None:
        """Start; nothing happens when it runs."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="miner")

    async def stop(self) -> None:
        """Stop; when this returns, no block is being made or taken into the core."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._once()
            except FedledgerError as error:
                logger.warning("mining: %s", error)
                await asyncio.sleep(_IDLE)
            except Exception:
                logger.exception("mining")
                await asyncio.sleep(_IDLE)

    async def _once(self) -> None:
        self._changed.clear()
        if self._interval:
            await asyncio.sleep(-self._interval * math.log(1 - self._entropy.uniform()))
        miner = self._account.address if self._account else None
        template = await self._work.run(self._core.template, miner, self._source)
        if template is None:
            await asyncio.sleep(0.05)
            return
        if not template.transactions and not self._empty:
            restless = await self._work.run(self._core.restless)
            if not restless:
                await set_within(self._changed, _IDLE)
                return
        block = await self._work.run(self._seal, template)
        if block is None:
            return
        data = Envelope.sign(block, self._account).encode()
        try:
            await self._work.run(self._core.accept, data)
        except MalformedBlock as error:
            logger.warning("this miner's own block is refused: %s", error)
            return
        self.mined += 1

    def _seal(self, template: Template) -> Block | None:
        """Find the nonce; None when the head has changed meanwhile."""
        core = self._core

        def given_up() -> bool:
            return core.snapshot.head != template.previous_hash or self._task is None

        try:
            return seal(
                index=template.index,
                previous_hash=template.previous_hash,
                timestamp=template.timestamp,
                transactions=template.transactions,
                model_info=template.model_info,
                difficulty=core.genesis.difficulty,
                search=lambda block, difficulty: _search(block, difficulty, given_up),
            )
        except _GaveUpError:
            return None


class _GaveUpError(Exception):
    """Nobody needs this block any more."""


def _search(block_hash: bytes, difficulty: int, given_up: Callable[[], bool]) -> int:
    """Find what `block.mine` finds, looking up now and then."""
    bound = uint(difficulty - 1, 32)
    sha256 = hashlib.sha256
    for first in itertools.count(0, _STEP):
        if given_up():
            break
        for nonce in range(first, first + _STEP):
            if sha256(block_hash + nonce.to_bytes(8, "big")).digest() <= bound:
                return nonce
    raise _GaveUpError
