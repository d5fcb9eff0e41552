"""An event loop whose time is virtual: when nothing is left to do, the next moment has come."""

import asyncio
from typing import Any

__all__ = ["VirtualLoop"]


class _Clockwork:
    """In place of a selector: waiting moves the time on, and no socket is ever ready."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        """Let `timeout` pass at once."""
        if timeout is None:
            raise RuntimeError("everybody waits and nothing will ever happen")
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines and timers of one thread, in an order that only they decide."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Clockwork()
        self._clock_resolution = 1e-7  # more than the last bit of a year in seconds

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._selector.now

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: there are no events but timers."""

    def _write_to_self(self) -> None:
        """Do nothing: whoever calls from outside is in the loop's own thread."""
