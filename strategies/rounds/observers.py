"""Observers of a run: whoever wants to hear of rounds, and may neither delay nor fail them."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from .evidence.documents import Evidence

__all__ = ["Observer", "Observers"]

logger = logging.getLogger(__name__)

Observer = Callable[[Evidence], None]

_WAITING = 64
_PATIENCE = 5.0


class Observers:
    """Tells observers what happened, from a thread of its own and a bounded queue.

    When observers are slower than rounds and the queue is full, a round is not told, and counted in
    `missed`. An observer that raises is logged and told the next round. What it is told is its own.

    Args:
        observers: whom to tell.
        waiting: rounds that may wait.
    """

    def __init__(self, observers: Sequence[Observer], *, waiting: int = _WAITING) -> None:
        self._observers = tuple(observers)
        self._queue: queue.Queue[Evidence | None] = queue.Queue(maxsize=waiting)
        self._thread: threading.Thread | None = None
        self.missed = 0

    def tell(self, evidence: Evidence) -> None:
        """Tell a round; returns at once."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(evidence)
        except queue.Full:
            self.missed += 1
            logger.warning("round %d is not told: observers are too slow", evidence.round)

    def __enter__(self) -> Self:
        if self._observers:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._queue.put(None, timeout=_PATIENCE)
        except queue.Full:
            logger.warning("observers do not come to an end and are left behind")
            return
        thread.join(_PATIENCE)

    def _serve(self) -> None:
        while (evidence := self._queue.get()) is not None:
            for observer in self._observers:
                try:
                    observer(evidence.model_copy(deep=True))
                except Exception:  # whatever an observer does, rounds go on
                    logger.warning("an observer failed", exc_info=True)
