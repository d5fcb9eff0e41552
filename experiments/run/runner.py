"""Running an experiment: its cells in one engine, its evidence, its results, its audit."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote

from flwr.serverapp import Grid

from ..config.cells import Cell
from ..config.experiment import ExperimentConfig
from ..needs import check_needs
from ..report.audit import RunAudit, audit_run
from ..report.outputs import write_outputs
from ..report.results import CellResult, RunResult
from .client import build_client_app, reproducible
from .engines import get_engine
from .job import Job, finished_cell, log_to
from .parallel import jobs_of, run_parallel, runs_apart
from .progress import Reporter, make_reporter
from .rundir import RunDirectory
from .urls import given

__all__ = ["RunResult", "run_experiment"]

logger = logging.getLogger(__name__)


def run_experiment(
    config: ExperimentConfig,
    *,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    progress: bool = True,
) -> RunResult:
    """Run every cell of an experiment, then audit what the ledger says about it.

    A cell that fails is reported and the others still run. A cell's result is on disk as soon as
    the cell is done, so a killed run goes on where it stopped: finished cells are not run again,
    and an unfinished one continues after the last round the ledger holds, to the same final model.
    Where each cell has a ledger of its own, several run at once (`ExperimentConfig.jobs`), to the
    same models: what a worker process cannot see is what this process registered at run time.

    Args:
        config: the experiment.
        out: folder of all outputs (default: `outputs`); the run's folder is `out/NAME/TIME`.
        resume: folder of a run to go on with.
        progress: show progress on standard error.

    Returns:
        The results; `passed` tells whether every cell finished and used updates, and the audit
        passed.

    Raises:
        ConfigError: the engine, the data or the model needs what is not installed.
        LedgerUnavailable: the ledger that the config names cannot be opened, nor can any cell's.
        RunError: the folder cannot be written or resumed, or the engine failed.
    """
    check_needs()
    cells = config.matrix
    if resume is None:
        run = RunDirectory.create(config, Path(out or "outputs"))
    else:
        run = RunDirectory.open(Path(resume))
        run.check_same(config)
    for url in (config.ledger, config.store):
        run.url(url)  # what is secret in it is here, or that is said before anything else
    done = {cell.id: found for cell in cells if (found := finished_cell(run, cell)) is not None}
    left = [cell for cell in cells if cell.id not in done]
    shown = make_reporter(config.name, len(cells), config.rounds, shown=progress, done=len(done))
    with given(config), log_to(run.path / "run.log", "fedledger"), shown as reporter:
        reporter.note(f"{run.path} (if stopped: fedledger run --resume {quote(str(run.path))})")
        noted = _Progress(run, cells, reporter)
        if left:
            job = Job(run, config)  # makes the keys that workers share
            if "{" not in config.ledger:  # not the run's own: what is wrong with it is said once
                job.check_ledger()
            run.record_heads({})
            _run_cells(job, run, config, left, noted)
        known, failures = done | noted.results, noted.failures
        results = {cell.id: known[cell.id] for cell in cells if cell.id in known}
        reporter.phase("audit")
        audit = audit_run(run.path, just_run=True)
        _record_heads(run, audit)
        failures |= _unfounded(results, audit)
        results = {cell: known for cell, known in results.items() if cell not in failures}
        result = RunResult(run.path, config, results, failures, audit)
        reporter.phase("tables and plots")
        write_outputs(run, result)
        reporter.phase("done")
    return result


def _run_cells(
    job: Job, run: RunDirectory, config: ExperimentConfig, cells: Sequence[Cell], noted: "_Progress"
) -> None:
    jobs = jobs_of(config, len(cells))
    if not runs_apart(config, jobs):
        noted.phase(f"starting engine {config.engine}")
        _run_here(job, cells, config, noted)
    else:
        with reproducible():  # what is not installed is missed here, not in every process
            what = f"{jobs} processes" if jobs > 1 else f"engine {config.engine}"
            noted.phase(f"starting {what}")
        run_parallel(
            run.path,
            [cell.id for cell in cells],
            engine=config.engine,
            jobs=jobs,
            on_begin=noted.begin,
            on_round=noted.advance,
            on_end=noted.end,
        )


def _run_here(
    job: Job, cells: Sequence[Cell], config: ExperimentConfig, progress: "_Progress"
) -> None:
    """Run cells one after the other, all in one engine."""

    def run_cells(grid: Grid) -> None:
        with job:
            for cell in cells:
                progress.begin(cell.id)
                try:
                    job.run_cell(cell, grid, partial(progress.advance, cell.id))
                except Exception as error:  # whatever breaks one cell must not stop the others
                    logger.exception("cell %s failed", cell.id)
                    progress.end(cell.id, f"{type(error).__name__}: {error}")
                else:
                    progress.end(cell.id, None)

    with reproducible():
        get_engine(config.engine).run(build_client_app(), config.clients, run_cells)


class _Progress:
    """Notes what became of each cell, and tells the reporter."""

    def __init__(self, run: RunDirectory, cells: Sequence[Cell], reporter: Reporter) -> None:
        self._run = run
        self._cells = {cell.id: (position, cell) for position, cell in enumerate(cells, start=1)}
        self._reporter = reporter
        self.results: dict[str, CellResult] = {}
        self.failures: dict[str, str] = {}

    def phase(self, text: str) -> None:
        self._reporter.phase(text)

    def begin(self, cell: str) -> None:
        self._reporter.begin(cell, self._cells[cell][0])

    def advance(self, cell: str, server_round: int, accuracy: float) -> None:
        self._reporter.advance(cell, server_round, accuracy)

    def end(self, cell: str, failure: str | None) -> None:
        result = None if failure else finished_cell(self._run, self._cells[cell][1])
        if result is None:
            self.failures[cell] = failure or "RunError: its result is not there"
        else:
            self.results[cell] = result
        self._reporter.finish(cell, result or self.failures[cell])


def _unfounded(results: Mapping[str, CellResult], audit: RunAudit) -> dict[str, str]:
    """Return the cells whose model is on no ledger that passed: somebody took a ledger away."""
    there = {(one.model_id, one.record.aggregate) for led in audit.ledgers for one in led.rounds}
    said = "RunError: it was finished before, and its rounds are not on the ledger any more"
    lost = [cell for cell, result in results.items() if (cell, result.model) not in there]
    return dict.fromkeys(lost, said) if audit.passed else {}


def _record_heads(run: RunDirectory, audit: RunAudit) -> None:
    """Note the heads of the ledgers that passed, so that a later audit can compare."""
    passed = (ledger for ledger in audit.ledgers if ledger.passed)
    run.record_heads({ledger.ledger: ledger.head for ledger in passed if ledger.head is not None})
