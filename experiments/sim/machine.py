"""A machine that runs a node: it starts, is killed, and starts again with what its disk kept."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from fedledger.effects import Effects
from fedledger.errors import FedledgerError, StoreUnavailable

from ...ledger_plugins.local.node.chain.core import Core
from ...ledger_plugins.local.node.http.service import NodeService
from ...ledger_plugins.local.node.process.member import Member, NodeConfig
from ...ledger_plugins.storage.base import Store
from ...ledger_plugins.storage.local import FileStore
from ...ledger_plugins.storage.pieces import Incoming
from .disk import MemoryDisk
from .network import MemoryTransport, Network
from .values import InlineWork, SeededEntropy, VirtualClock

__all__ = ["Machine"]


class _StoreFromOutside(FileStore):
    """A machine's store for who outlives the machine: what comes too late is not stored."""

    def __init__(self, folder: Path, effects: Effects, disk: MemoryDisk) -> None:
        super().__init__(folder, effects)
        self._machine = disk

    def _write_all(self, contents: Sequence[Incoming]) -> None:
        super()._write_all(contents)
        if self._machine.dead:
            raise StoreUnavailable(f"the machine went off while {contents[0].cid} was written")


class Machine:
    """One machine with one node.

    Args:
        name: its name; its node is at "http://NAME:1".
        config: how its node runs.
        seed: the simulation's.
        network: where it answers.
        skew: seconds by which its wall clock is ahead.
        broken: told what a node must not do: fail, or raise what nobody expects.
    """

    def __init__(
        self,
        name: str,
        config: NodeConfig,
        *,
        seed: int,
        network: Network,
        skew: float,
        broken: Callable[[str], object],
    ) -> None:
        self.name = name
        self.url = f"http://{name}:1"
        self.service: NodeService | None = None
        self.kills = 0
        self._config = config
        self._seed = seed
        self._network = network
        self._clock = VirtualClock(network.loop, skew)
        self._broken = broken
        self._lives = 0
        self._disk = self._new_disk({})
        self._tasks: set[asyncio.Task[Any]] = set()
        network.join(self.url, self)

    @property
    def core(self) -> Core:
        """The running node's core."""
        assert self.service is not None  # noqa: S101 - asked of a node that answers
        return self.service._core  # noqa: SLF001 - looked at from outside, as a test does

    def __str__(self) -> str:
        if self.service is None:
            return "is off"
        now = self.core.snapshot
        return (
            f"is at {now.index} {now.head.hex()[:8]}, has {now.pending} pending, and waits for "
            f"{len(now.waiting)} contents"
        )

    def store(self) -> Store:
        """Return the node's store, as who stands beside the machine sees it."""
        effects = self._effects(self._disk, f"{self.name} store")
        return _StoreFromOutside(self._config.data / "store", effects, self._disk)

    def burn(self, changes: int) -> None:
        """Let the power go in the middle of the disk's so-many-th change from now on."""
        self._disk.fuse = self._disk.changes + changes

    def disarm(self) -> None:
        """Let the power be: too little was written to lose it."""
        self._disk.fuse = None

    def start(self) -> None:
        """Start the node; nothing happens when it runs."""
        if self._tasks:
            return
        self._lives += 1
        self._network.note(self.name, f"starts, life {self._lives}")
        self.spawn(self._live(self._disk, f"{self.name} life {self._lives}"))

    def kill(self) -> None:
        """Take the power away; nothing happens when it is off."""
        if not self._disk.dead:
            self._network.note(self.name, f"is killed after {self._disk.changes} changes of disk")
            self._off()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run a task that dies with the machine."""
        task = self._network.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def serve(self, service: NodeService, *, up: asyncio.Event, end: asyncio.Event) -> None:
        """Answer what the network carries here."""
        self.service = service
        up.set()
        await end.wait()
        if self.service is service:
            self.service = None

    async def _live(self, disk: MemoryDisk, life: str) -> None:
        effects = self._effects(disk, life)
        try:
            member = Member(self._config, self.url, effects)
            store = FileStore(self._config.data / "store", effects)
            await member.run(store, self, self._is_up)
        except (FedledgerError, OSError) as error:
            if not disk.dead:
                self._broken(f"{self.name} ends: {type(error).__name__}: {error}")

    def _effects(self, disk: MemoryDisk, who: str) -> Effects:
        def alive() -> bool:
            return not disk.dead

        return Effects(
            clock=self._clock,
            entropy=SeededEntropy(self._seed, f"{who} entropy"),
            transport=MemoryTransport(self._network, self.name, alive),
            disk=disk,
            work=InlineWork(SeededEntropy(self._seed, f"{who} work"), alive),
        )

    def _is_up(self, _url: str) -> None:
        self._network.note(self.name, "answers")

    def _cut(self) -> None:
        """Let the power go while the disk is written."""
        self._network.note(self.name, f"loses power at change {self._disk.changes} of its disk")
        self._off()

    def _off(self) -> None:
        self.kills += 1
        self.service = None
        self._disk = self._new_disk(self._disk.cut())
        ending, self._tasks = list(self._tasks), set()
        for task in sorted(ending, key=lambda task: task.get_name()):
            self._network.loop.call_soon(task.cancel)

    def _new_disk(self, files: Any) -> MemoryDisk:
        entropy = SeededEntropy(self._seed, f"{self.name} disk {self._lives}")
        return MemoryDisk(entropy, self._cut, files)
