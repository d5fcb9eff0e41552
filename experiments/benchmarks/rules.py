"""Speed and memory of the aggregation rules beside Flower's, ByzFL's and the memory's floor.

    python -m fedledger.experiments.benchmarks.rules [--n 30] [--d 1000000] [--format json]

All are timed in this process, in turns, on the same updates: standard normal float32 vectors, each
an array of its own. Wall time is the best of several calls; extra memory is the peak of resident
memory during a call beyond what was resident before, the result included. The floor is the time in
which the same number of threads loads all updates once.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
from rich.console import Console
from rich.table import Table

from ...strategies.aggregation import get_rule
from ...strategies.aggregation.kernels.parallel import thread_count
from .measure import Measurement, measure
from .memory import read_once
from .peers import Peer, byzfl_rules, flower_rules

__all__ = ["Comparison", "Row", "compare", "main"]

RULES = ("krum", "multi_krum", "bulyan", "trimmed_mean", "median", "mean")


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: ours and the peers', by name of the implementation ("ours", "flower", "byzfl")."""

    rule: str
    byzantine: int
    measured: dict[str, Measurement]

    def ratio(self, peer: str) -> float | None:
        """Return how many times as long the peer takes as we do; None where it has no such rule."""
        found = self.measured.get(peer)
        return None if found is None else found.ms / self.measured["ours"].ms


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rules at one size.

    Attributes:
        n: number of updates.
        d: coordinates of each.
        threads: threads our rules used.
        floor_ms: time to read all updates once with as many threads.
        rows: one a rule.
        machine: processor, Python and versions.
    """

    n: int
    d: int
    threads: int
    floor_ms: float
    rows: tuple[Row, ...]
    machine: dict[str, str]


def compare(
    n: int,
    d: int,
    *,
    byzantine: int | None = None,
    rules: Sequence[str] = RULES,
    seconds: float = 3.0,
) -> Comparison:
    """Measure the rules on n random updates of d coordinates.

    Args:
        n: number of updates.
        d: coordinates of each.
        byzantine: f; 30 % of n where None. Bulyan takes (n - 3) // 4 where that is less.
        rules: which rules.
        seconds: how long to time each rule, its peers included, at least.
    """
    random = np.random.default_rng(0)
    updates = [random.standard_normal(d, dtype=np.float32) for _ in range(n)]
    peers: dict[str, dict[str, Peer]] = {"flower": flower_rules(), "byzfl": byzfl_rules() or {}}
    wanted = 3 * n // 10 if byzantine is None else byzantine
    rows = []
    for name in rules:
        f = min(wanted, (n - 3) // 4) if name == "bulyan" else wanted
        calls: dict[str, Callable[[], object]] = {
            "ours": partial(get_rule(name), updates, byzantine=f)
        }
        for peer, theirs in peers.items():
            if name in theirs:
                calls[peer] = partial(theirs[name], updates, f)
        rows.append(Row(name, f, measure(calls, seconds=seconds)))
    floor = measure({"floor": partial(read_once, updates)}, seconds=seconds)["floor"]
    return Comparison(n, d, thread_count(), floor.ms, tuple(rows), _machine())


def _machine() -> dict[str, str]:
    packages = {name: version(name) for name in ("flwr", "numba", "numpy")}
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    } | packages


def as_table(comparison: Comparison) -> Table:
    """Return the comparison as a table for people."""
    table = Table(
        title=f"n = {comparison.n}, d = {comparison.d:,}, {comparison.threads} threads",
        caption=f"floor: all updates read once in {comparison.floor_ms:.1f} ms",
    )
    table.add_column("rule")
    for heading in ("f", "ours ms", "MB", "x floor", "Flower ms", "MB", "ratio"):
        table.add_column(heading, justify="right")
    for heading in ("ByzFL ms", "MB", "ratio"):
        table.add_column(heading, justify="right")
    for row in comparison.rows:
        ours = row.measured["ours"]
        cells = [row.rule, str(row.byzantine), *_cells(ours)]
        cells.append(f"{ours.ms / comparison.floor_ms:.1f}")
        for peer in ("flower", "byzfl"):
            ratio = row.ratio(peer)
            cells += _cells(row.measured.get(peer))
            cells.append("-" if ratio is None else f"{ratio:.1f}x")
        table.add_row(*cells)
    return table


def _cells(measurement: Measurement | None) -> list[str]:
    if measurement is None:
        return ["-", "-"]
    extra = measurement.extra_mb
    return [f"{measurement.ms:.1f}", "?" if extra is None else f"{extra:.0f}"]


def as_json(comparison: Comparison) -> str:
    """Return the comparison as JSON, ratios included, for programs."""
    document = asdict(comparison)
    for row, written in zip(comparison.rows, document["rows"], strict=True):
        written["ratio"] = {peer: row.ratio(peer) for peer in row.measured if peer != "ours"}
    return json.dumps(document, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Speed and memory of the aggregation rules.")
    parser.add_argument("--n", type=int, default=30, help="number of updates (30)")
    parser.add_argument("--d", type=int, default=1_000_000, help="coordinates of each (1000000)")
    parser.add_argument("--byzantine", type=int, help="f (30 %% of n; Bulyan at most (n-3)/4)")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=RULES, help="which (all)")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="to time each rule, at least (3)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    comparison = compare(
        options.n,
        options.d,
        byzantine=options.byzantine,
        rules=options.rules,
        seconds=options.seconds,
    )
    if options.format == "json":
        sys.stdout.write(as_json(comparison) + "\n")
        return 0
    console = Console()
    console.print(as_table(comparison))
    if not any("byzfl" in row.measured for row in comparison.rows):
        console.print("ByzFL is not installed or cannot be imported: its columns stay empty.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
