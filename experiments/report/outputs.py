"""The files a run leaves behind for its readers."""

import csv
import io

from ..run.rundir import RunDirectory
from .latex import to_latex
from .plots import plot
from .results import RunResult
from .tables import summarise, to_markdown

__all__ = ["to_csv", "write_outputs"]


def write_outputs(run: RunDirectory, result: RunResult) -> None:
    """Write results.json, results.csv, table.md, table.tex, and plots as PNG and SVG."""
    run.write_json("results.json", result.to_json())
    run.write("results.csv", to_csv(result))
    summary = summarise(result)
    run.write("table.md", to_markdown(result, summary))
    run.write("table.tex", to_latex(result, summary))
    for name, content in plot(result).items():
        run.write(name, content)


def to_csv(result: RunResult) -> str:
    """Return the rows as CSV, with a header."""
    rows = result.rows()
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
