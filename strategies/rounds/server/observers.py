"""Observers of a run: whoever wants to hear of rounds, and may neither delay nor fail them."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from fedledger.effects import Work, Worker
from fedledger.guards import spared

from ..evidence.documents import Evidence

__all__ = ["Observer", "Observers"]

logger = logging.getLogger(__name__)

Observer = Callable[[Evidence], None]

_WAITING = 64
_PATIENCE = 5.0


class Observers:
    """Tells observers what happened, by a worker for which only so many rounds wait.

    When observers are slower than rounds and too many wait, a round is not told, and counted in
    `missed`. An observer that raises is logged and told the next round. What it is told is its own.

    Args:
        observers: whom to tell.
        work: has the worker.
        waiting: rounds that may wait.
    """

    def __init__(
        self, observers: Sequence[Observer], work: Work, *, waiting: int = _WAITING
    ) -> None:
        self._observers = tuple(observers)
        self._work = work
        self._waiting = waiting
        self._worker: Worker | None = None
        self.missed = 0

    def tell(self, evidence: Evidence) -> None:
        """Tell a round; returns at once."""
        if self._worker is None or self._worker.give(partial(self._tell, evidence)):
            return
        self.missed += 1
        logger.warning("round %d is not told: observers are too slow", evidence.round)

    def __enter__(self) -> Self:
        if self._observers:
            self._worker = self._work.worker("observers", waiting=self._waiting)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and not worker.close(_PATIENCE):
            logger.warning("observers do not come to an end and are left behind")

    def _tell(self, evidence: Evidence) -> None:
        for observer in self._observers:
            with spared("an observer", logger):  # whatever it does, rounds go on
                observer(evidence.model_copy(deep=True))
