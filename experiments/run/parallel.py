"""Cells in worker processes: several side by side, each on one core, or one with ray below it.

A worker is a fresh interpreter (see `worker`), so nothing is inherited but the run's folder, and a
script needs no guard around its main part. Only the names of cells and the rounds' accuracies go
between the processes. A worker that dies takes its cell with it; the next cell gets a new one.

A worker has a session of its own: Ctrl-C reaches the run alone, which kills each worker with all
that it started. A cell can be killed at any moment and gone on with, and ray cannot be interrupted
in every one: it hangs, or crashes.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any

from ..config.experiment import ExperimentConfig

__all__ = ["jobs_of", "run_parallel", "runs_apart"]

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)

# A worker finds modules where this process finds them, once its interpreter has started.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {__package__}.worker import main; main(*sys.argv[2:])"
)

_GRACE_SECONDS = 10.0  # to close an engine; nothing is lost by killing it

OnBegin = Callable[[str], None]
OnRound = Callable[[str, int, float], None]
OnEnd = Callable[[str, str | None], None]


def jobs_of(config: ExperimentConfig, cells: int) -> int:
    """Return how many cells to run at once; 1: in the run's own process.

    Args:
        config: the config.
        cells: how many there are to run.
    """
    if config.engine != "inprocess" or "{cell}" not in config.ledger or _alone(config):
        return 1
    return max(1, min(cells, config.jobs or _cores()))


def runs_apart(config: ExperimentConfig, jobs: int) -> bool:
    """Return whether cells run in processes beside the run's own: several at once, or with ray."""
    return jobs > 1 or (config.engine == "flower" and not _alone(config))


def _alone(config: ExperimentConfig) -> bool:
    return config.ledger.startswith("ethereum+tester:")  # no other process sees this chain


def run_parallel(
    folder: Path,
    cells: Sequence[str],
    *,
    engine: str,
    jobs: int,
    on_begin: OnBegin,
    on_round: OnRound,
    on_end: OnEnd,
) -> None:
    """Run cells in worker processes; returns when all have ended.

    The callbacks come from several threads, but never two at once.

    Args:
        folder: the run's folder.
        cells: ids of the cells, in the order in which they are started.
        engine: what runs them; the folder's config may name another.
        jobs: number of workers.
        on_begin: called with a cell's id when it is started.
        on_round: called with a cell's id, a round and the new model's accuracy.
        on_end: called with a cell's id, and None or what went wrong.
    """
    waiting: SimpleQueue[str] = SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    crew = _Crew(folder, engine, waiting, on_begin=on_begin, on_round=on_round, on_end=on_end)
    with ThreadPoolExecutor(jobs, thread_name_prefix="fedledger-cells") as pool:
        try:
            for shift in [pool.submit(crew.work) for _ in range(jobs)]:
                shift.result()
        finally:
            crew.stop()


class _Crew:
    """The workers, one for each thread that calls `work`."""

    def __init__(
        self,
        folder: Path,
        engine: str,
        waiting: "SimpleQueue[str]",
        *,
        on_begin: OnBegin,
        on_round: OnRound,
        on_end: OnEnd,
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._waiting = waiting
        self._on_begin, self._on_round, self._on_end = on_begin, on_round, on_end
        self._lock = Lock()
        self._stopped = Event()
        self._processes: set[subprocess.Popen[str]] = set()

    def work(self) -> None:
        """Have one worker run cells until none is left or `stop` was called."""
        process: subprocess.Popen[str] | None = None
        with (self._folder / "run.log").open("ab") as log:
            while not self._stopped.is_set():
                try:
                    cell = self._waiting.get_nowait()
                except Empty:
                    break
                with self._lock:
                    if self._stopped.is_set():
                        break
                    if process is None or process.poll() is not None:
                        process = self._start(log)
                    self._on_begin(cell)
                outcome = self._run(process, cell)
                with self._lock:
                    if not self._stopped.is_set():
                        self._on_end(cell, outcome)
        if process is not None:
            self._let_go(process)

    def stop(self) -> None:
        """Kill what still runs."""
        self._stopped.set()
        with self._lock:
            for process in self._processes:
                _kill(process)

    def _start(self, log: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
            [
                sys.executable,
                "-P",
                "-c",
                _START,
                json.dumps(sys.path),
                str(self._folder),
                self._engine,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=os.environ | (_ONE_THREAD if self._engine == "inprocess" else {}),
            start_new_session=True,
        )
        self._processes.add(process)
        return process

    def _run(self, process: "subprocess.Popen[str]", cell: str) -> str | None:
        """Have a worker run a cell; return None, or what went wrong."""
        try:
            for answer in _talk(process, cell):
                if "round" in answer:
                    with self._lock:
                        self._on_round(cell, answer["round"], answer["accuracy"])
                else:
                    return answer.get("error")
        except BrokenPipeError:
            pass  # it died before it was asked, which the following says
        self._dismiss(process)
        return f"RunError: its process ended with status {process.returncode}; run.log says more"

    def _let_go(self, process: "subprocess.Popen[str]") -> None:
        """Let a worker with nothing left to do close what it has open."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            if process.stdin is not None:
                process.stdin.write("\n")
                process.stdin.flush()
            process.wait(_GRACE_SECONDS)
        self._dismiss(process)

    def _dismiss(self, process: "subprocess.Popen[str]") -> None:
        """End a worker that has nothing to do, or clear up after one that died."""
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it died with something still to read
        process.wait()
        with self._lock:
            self._processes.discard(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a worker and what it started, which outlives a worker that died."""
    with contextlib.suppress(ProcessLookupError):  # nothing of its group is left
        os.killpg(process.pid, signal.SIGKILL)


def _talk(process: "subprocess.Popen[str]", cell: str) -> Iterable[dict[str, Any]]:
    """Name a cell to a worker and yield its answers until it hangs up."""
    if process.stdin is None or process.stdout is None:
        return
    process.stdin.write(f"{cell}\n")
    process.stdin.flush()
    for line in process.stdout:
        yield json.loads(line)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
