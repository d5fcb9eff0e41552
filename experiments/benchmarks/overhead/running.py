"""Measuring from the command line."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from fedledger.errors import ConfigError, RunError

from ...run.progress import Bar
from ...transfers.machine import busy_since, described, ticks
from .hall import Hall, Started, last_of
from .results import Overhead, lines_of, read_overhead, tables
from .server import NOTES
from .settings import Settings
from .ways import WAYS

__all__ = ["main", "measure_overhead"]

_PATIENCE = 900.0
"""Seconds without a round, besides its training, after which a run is given up."""

_LEAST = {"seconds": 0, "devices": 3, "parameters": 4, "rounds": 1, "turns": 1}


def measure_overhead(
    folder: Path,
    *,
    devices: int = 3,
    seconds: float = 30.0,
    parameters: int = 10_000,
    rounds: int = 3,
    turns: int = 2,
    ways: Sequence[str] = tuple(WAYS),
    progress: bool = False,
) -> tuple[Overhead, Settings]:
    """Train in each way with the same SuperNodes, in one run of Flower's.

    Args:
        folder: an empty folder for all of it.
        devices: how many; PoFL needs three.
        seconds: how long training takes.
        parameters: number of float32 values of the model, four at least.
        rounds: rounds that are timed of each way and turn, after a first one that warms up.
        turns: how often all ways are gone through.
        ways: their names (`WAYS`).
        progress: show progress on standard error.

    Raises:
        ConfigError: not Linux, whose /proc says when processes began.
        RunError: a process does not start, a device failed, or a round did not count everybody.
    """
    if not sys.platform.startswith("linux"):
        raise ConfigError("this benchmark reads /proc: it needs Linux")
    with Hall(folder, devices) as hall:
        settings = Settings(
            devices=devices,
            seconds=seconds,
            parameters=parameters,
            rounds=rounds,
            turns=turns,
            ways=tuple(ways),
            notes=hall.notes,
            superlink=hall.superlink.log,
            process=hall.superlink.process.pid,
            local=hall.local,
            direct=hall.direct,
        )
        path = hall.folder / "settings.json"
        path.write_text(settings.model_dump_json(indent=1), encoding="utf-8")
        console = Console(stderr=True, quiet=not progress)
        with Bar("rounds", turns * len(ways) * (rounds + 1), console) as shown:
            _watch(hall.train(path), settings, shown)
        return read_overhead(settings), settings


def _watch(run: Started, settings: Settings, shown: Bar) -> None:
    """Wait until all rounds are made.

    Raises:
        RunError: they are not.
    """
    total = settings.turns * len(settings.ways) * (settings.rounds + 1)
    patience = settings.seconds + _PATIENCE
    made, since = 0, time.monotonic()
    while True:
        ended = run.process.poll() is not None
        noted = list(lines_of(settings.notes / NOTES))
        timed = [line for line in noted if "round" in line]
        for line in timed[made:]:
            lasted = line["ended"] - line["began"]
            shown.count(f"{WAYS[line['way']].said}, round {line['round']}: {lasted:.1f} s")
        if len(timed) > made:
            made, since = len(timed), time.monotonic()
        if ended and sum("opening" in line for line in noted) == settings.turns * len(
            settings.ways
        ):
            return
        if ended:
            raise RunError(f"{made} of {total} rounds were made: {_why(run.said)}")
        if time.monotonic() - since > patience:
            raise RunError(f"{made} of {total} rounds were made, and none in {patience:.0f} s")
        time.sleep(0.2)


def _why(said: str) -> str:
    """Return the line of a log that says most."""
    errors = [line for line in said.splitlines() if "Error" in line]
    return last_of(errors[-1] if errors else said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description="What a deployed round costs, beside the same devices with plain FedAvg."
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of training (30)")
    parser.add_argument("--devices", type=int, default=3, help="3 at least (3)")
    parser.add_argument("--parameters", type=int, default=10_000, help="of the model (10000)")
    parser.add_argument("--rounds", type=int, default=3, help="timed, of each way and turn (3)")
    parser.add_argument("--turns", type=int, default=2, help="through all ways (2)")
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS))
    parser.add_argument("--folder", type=Path, help="keep files and logs there; a new folder")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    for name, least in _LEAST.items():
        if getattr(options, name) < least:
            parser.error(f"--{name}: at least {least}")
    if options.folder is not None and options.folder.exists():
        parser.error(f"--folder: {options.folder} is there already: name a new one")
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            made = tempfile.TemporaryDirectory(prefix="fedledger-")
            folder = Path(stack.enter_context(made))
        else:
            folder.mkdir(parents=True)
        before = ticks()
        found, settings = measure_overhead(
            folder,
            devices=options.devices,
            seconds=options.seconds,
            parameters=options.parameters,
            rounds=options.rounds,
            turns=options.turns,
            ways=options.ways,
            progress=True,
        )
        machine: dict[str, Any] = {**described(), "busy": busy_since(before)}
    if options.format == "json":
        sys.stdout.write(json.dumps(found.to_json(settings, machine), indent=2) + "\n")
        return 0
    console = Console()
    for table in tables(found, settings):
        console.print(table)
    return 0
