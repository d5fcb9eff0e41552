"""What it takes to run a run's cells, in the run's own process or in one beside it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from flwr.serverapp import Grid

from ...clients import SimulationKeys
from ...ledger_plugins import Ledger, Store, open_store
from ...ledger_plugins.money import check_minter
from ..config.cells import Cell
from ..config.experiment import ExperimentConfig
from ..report.results import CellResult
from .cell import OnRound, run_cell
from .money import minter_of, open_with
from .rundir import SECRET, RunDirectory, read_model

__all__ = ["Job", "finished_cell", "log_to"]


class Job:
    """Runs cells; its ledgers and stores are each opened once and closed at the end of `with`.

    Args:
        run: the run's folder.
        config: its config.
    """

    def __init__(self, run: RunDirectory, config: ExperimentConfig) -> None:
        self._run = run
        self._config = config
        self._keys = SimulationKeys.create(run.path / SECRET)
        self._minter = minter_of(config.faucet, config.minter, self._keys)
        self._stack = ExitStack()
        self._ledgers: dict[str, Ledger] = {}
        self._stores: dict[str, Store] = {}

    def __enter__(self) -> Self:
        # Flower's logger gets its file here, inside the engine, which silences older handlers.
        self._stack.enter_context(log_to(self._run.path / "run.log", "flwr"))
        return self

    def __exit__(self, *_: object) -> None:
        self._ledgers.clear()
        self._stores.clear()
        self._stack.close()

    def check_ledger(self) -> None:
        """Open the ledger of a config whose cells share one, and close it again.

        Raises:
            LedgerError: it cannot be opened.
            ConfigError: nobody may mint on it what the faucet is to give.
        """
        with open_with(self._run.url(self._config.ledger), self._minter) as ledger:
            if self._minter is not None:
                check_minter(ledger, self._minter)

    def run_cell(self, cell: Cell, grid: Grid, on_round: OnRound) -> CellResult:
        """Run a cell, or what is left of it, and keep its result on disk; see `run_cell`."""
        result = run_cell(
            cell,
            grid,
            ledger=self._ledger(cell.id),
            store=self._store(self._run.url(self._config.store, cell.id)),
            keys=self._keys,
            on_round=on_round,
            minter=self._minter,
        )
        self._run.write_json(_file_of(cell), result.model_dump(mode="json"))
        return result

    def _ledger(self, cell: str) -> Ledger:
        url = self._run.url(self._config.ledger, cell)
        if url not in self._ledgers:
            ledger = self._stack.enter_context(open_with(url, self._minter))
            if (places := ledger.places) is not None:
                self._run.note_places(self._config.ledger.replace("{cell}", cell), places)
            self._ledgers[url] = ledger
        return self._ledgers[url]

    def _store(self, url: str) -> Store:
        if url not in self._stores:
            self._stores[url] = self._stack.enter_context(open_store(url))
        return self._stores[url]


def finished_cell(run: RunDirectory, cell: Cell) -> CellResult | None:
    """Return a cell's result from disk, or None when it is not finished.

    Raises:
        RunError: the file cannot be read.
    """
    path = run.path / _file_of(cell)
    if not path.exists():
        return None
    return read_model(path, CellResult)


@contextmanager
def log_to(path: Path, name: str) -> Iterator[None]:
    """Send a logger's messages to a file and not to the console, where the progress bar is."""
    log = logging.getLogger(name)
    handler = _Log(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(min(log.getEffectiveLevel(), logging.INFO))
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
        handler.close()


class _Log(logging.FileHandler):
    """A log that ends where the disk is full: what the run then cannot write, the run says."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # of lines that could not be written before
            super().close()


def _file_of(cell: Cell) -> str:
    return f"cells/{cell.id}.json"
