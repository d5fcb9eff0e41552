"""The files a run leaves behind for its readers."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from ..run.rundir import RunDirectory
from .latex import to_latex
from .plots import plot
from .results import RunResult
from .tables import summarise, to_markdown
from .trainers import trainer_lines, trainer_rows

__all__ = ["to_csv", "write_outputs"]


def write_outputs(run: RunDirectory, result: RunResult) -> None:
    """Write results.json, results.csv, table.md, table.tex, and plots as PNG and SVG.

    Where the config asks for trainers there is trainers.csv too.
    """
    run.write_json("results.json", result.to_json())
    run.write("results.csv", to_csv(result))
    if trainers := trainer_rows(result):
        run.write("trainers.csv", _csv(trainers))
    summary = summarise(result)
    below = "\n".join(trainer_lines(result))
    run.write("table.md", to_markdown(result, summary) + (f"\n{below}" if below else ""))
    run.write("table.tex", to_latex(result, summary))
    for name, content in plot(result).items():
        run.write(name, content)


def to_csv(result: RunResult) -> str:
    """Return the rows as CSV, with a header."""
    return _csv(result.rows())


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
