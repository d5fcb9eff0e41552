"""A node in a thread of the test's own process: starts in milliseconds."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from fedledger.effects import Effects
from fedledger.ledger_plugins.local.node.process.node import Node, NodeConfig


class NodeThread:
    """A node that mines as soon as something waits.

    Args:
        data: its folder.
        effects: what it meets the world by; this machine's by default.
        **options: of `NodeConfig`.
    """

    def __init__(self, data: Path, *, effects: Effects | None = None, **options: Any) -> None:
        defaults: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "new_chain": True,
            "mine": True,
            "interval": 0.0,
            "difficulty": 2**256,
        }
        self._effects = effects or Effects.real()
        self._config = NodeConfig(data=data, **(defaults | options))
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        if self._failure is not None:
            raise self._failure
        self.url = self.node.url

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised again where the test waits
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.node = Node(self._config, self._effects)
        await self.node.run(lambda _url: self._ready.set())

    def stop(self) -> None:
        """Stop it, and raise what went wrong in it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.node.stop)
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure
