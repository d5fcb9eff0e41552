"""A process that runs cells for a run; `parallel` starts it.

It reads ids of cells, one a line, from standard input, and answers each on standard output with
lines of JSON: {"round": 1, "accuracy": 0.5} after each round, and at the end {"done": true} or
{"error": "why"}. The result itself is the cell's file in the run's folder. Whatever else the
process prints goes to standard error. An empty line says that there are no more. When the input
ends, so does the process with all that it started, at once and in the middle of a cell: then the
run was killed, and nobody must write to a ledger when it is resumed.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

from flwr.serverapp import Grid

from ...strategies.aggregation import threads
from .client import build_client_app, reproducible
from .engines import get_engine
from .job import Job, log_to
from .rundir import RunDirectory

__all__ = ["main"]

logger = logging.getLogger(__name__)


def main(folder: str, engine: str) -> None:
    """Run the cells that standard input names, until one has no name."""
    answers = _own_output()
    wanted: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=(wanted,), daemon=True).start()
    run = RunDirectory.open(Path(folder))
    config = run.config
    cells = {cell.id: cell for cell in config.matrix}
    asked = iter(wanted.get, "")

    def run_cell(name: str, grid: Grid) -> None:
        with Job(run, config) as job:
            job.run_cell(
                cells[name], grid, lambda number, accuracy: say(round=number, accuracy=accuracy)
            )

    def attempt(name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever breaks one cell must not stop the others
            logger.exception("cell %s failed", name)
            say(error=f"{type(error).__name__}: {error}")
        else:
            say(done=True)

    def run_all(grid: Grid) -> None:
        for name in asked:
            attempt(name, partial(run_cell, name, grid))

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    simulate = partial(get_engine(engine).run, build_client_app(), config.clients)
    with log_to(run.path / "run.log", "fedledger"), reproducible():
        if engine == "inprocess":  # beside others, on one core
            with threads(1):
                for name in asked:
                    # A fresh engine for each cell: what nodes remember ends with it.
                    attempt(name, partial(simulate, partial(run_cell, name)))
        else:  # which takes seconds to start
            attempt("that was asked for", partial(simulate, run_all))


def _own_output() -> IO[str]:
    """Return standard output, and let everyone else's prints go to standard error."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


def _read(wanted: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        wanted.put(line.strip())
    os.killpg(os.getpid(), signal.SIGKILL)  # what it has started too
