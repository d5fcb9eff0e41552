"""The files that measured transfers leave: numbers, a table, and the two figures."""

import csv
import io
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ..config.transfers import Links
from ..report.plots import COLOURS, MARKERS, pictures
from ..run.rundir import RunDirectory
from .results import TransferResult
from .ways import DOWN, UP, Way, ways_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BUSY", "TITLES", "columns", "notes", "table_rows", "to_markdown", "write_outputs"]

TITLES = {
    DOWN: "Bift, figure 13: download, Mbit/s a client",
    UP: "Bift, figure 14: upload, Mbit/s a client",
}
BUSY = "*"
_SPEED = (
    "A client's speed is its bytes by the seconds from when all clients were connected until its "
    "last byte was there and checked; the number is the mean of the clients."
)
_PANEL = (3.6, 3.0)
_LEGEND = 0.9


def write_outputs(run: RunDirectory, result: TransferResult) -> None:
    """Write results.json, results.csv, table.md, and the figures as PNG and SVG."""
    run.write_json("results.json", result.to_json())
    run.write("results.csv", to_csv(result))
    run.write("table.md", to_markdown(result))
    figures = {f"figure-{name}": partial(draw, result, name) for name in TITLES}
    for name, content in pictures(figures).items():
        run.write(name, content)


def to_csv(result: TransferResult) -> str:
    """Return the rows as CSV, with a header."""
    rows = [one.row() for one in result.transfers]
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def columns(result: TransferResult, figure: str) -> list[Way]:
    """Return the ways that a figure compares."""
    return [way for way in ways_of(result.config) if way.figure == figure]


def table_rows(result: TransferResult, figure: str) -> Iterator[tuple[str, ...]]:
    """Give a table's lines: links, size, clients, and the speed of each way."""
    for links, size, clients in result.config.cases():
        values = []
        for way in columns(result, figure):
            found = result.find(links.name, size, clients, way.name)
            if found is None or (found.speed is None and not found.failure):
                values.append("-")
            elif found.speed is None:
                values.append("failed")
            else:
                values.append(_shown(found.speed) + BUSY * found.limited_here)
        yield (links.name, f"{size:g}", str(clients), *values)


def notes(result: TransferResult) -> list[str]:
    """Return what belongs below the tables."""
    config = result.config
    where = ", ".join(f"{name} {value}" for name, value in result.machine.items())
    lines = [
        "Links: " + "; ".join(one.said for one in config.links) + ".",
        _SPEED,
    ]
    if any(one.limited_here for one in result.transfers):
        lines.append(
            f"{BUSY} the processors of this machine were busy, all or that of one process: they, "
            "and not the links, may be the limit."
        )
    if any(one.left_out for one in result.transfers):
        lines.append(
            f"-: left out, the links alone take more than {config.longest:g} s, or all clients "
            f"together move more than {config.largest:g} MB."
        )
    return [*lines, f"Measured on: {where}."]


def to_markdown(result: TransferResult) -> str:
    """Return both tables as a Markdown document."""
    lines = [f"# {result.config.title or result.config.name}", ""]
    for figure, title in TITLES.items():
        ways = columns(result, figure)
        lines += [f"## {title}", ""]
        lines.append(f"| links | MB | clients | {' | '.join(way.said for way in ways)} |")
        lines.append(f"| --- |{' ---: |' * (2 + len(ways))}")
        lines += [f"| {' | '.join(row)} |" for row in table_rows(result, figure)]
        lines.append("")
    return "\n".join([*lines, *(f"{note}  " for note in notes(result)), ""])


def draw(result: TransferResult, figure: str) -> "Figure":
    """Return a figure: a panel for each case of links and size, a line for each way.

    Hollow marks: processors may have been the limit. Dotted: the rate of a client's link.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - a second
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    config = result.config
    rows, across = len(config.links), len(config.sizes)
    drawn = Figure(
        figsize=(_PANEL[0] * max(across, 2), _PANEL[1] * rows + _LEGEND), layout="constrained"
    )
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    for links, line in zip(config.links, panels, strict=True):
        for size, axes in zip(config.sizes, line, strict=True):
            _draw_panel(result, axes, links, size, columns(result, figure))
            axes.set_title(f"{links.name}, {size:g} MB", fontsize="small")
        line[0].set_ylabel("Mbit/s a client")
    for axes in panels[-1]:
        axes.set_xlabel("clients at once")
    handles, labels = panels[0][0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", frameon=False, ncols=2)
    drawn.suptitle(f"{TITLES[figure]}{_hollow(result)}", fontsize="medium")
    return drawn


def _draw_panel(
    result: TransferResult, axes: "Axes", links: Links, size: float, ways: list[Way]
) -> None:
    from matplotlib.ticker import (  # noqa: PLC0415 - as above
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
    )

    for way, colour, marker in zip(ways, COLOURS, MARKERS, strict=False):
        found = [result.find(links.name, size, n, way.name) for n in sorted(result.config.clients)]
        there = [(one, one.speed) for one in found if one is not None and one.speed is not None]
        axes.plot(
            [one.clients for one, _ in there],
            [speed for _, speed in there],
            color=colour,
            label=way.said,
        )
        for one, speed in there:
            full = "white" if one.limited_here else colour
            axes.plot(one.clients, speed, marker, c=colour, markerfacecolor=full, markersize=4)
    axes.axhline(links.client, color="#888888", linewidth=0.8, linestyle=(0, (1, 1.5)))
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _hollow(result: TransferResult) -> str:
    busy = any(one.limited_here for one in result.transfers)
    return " (hollow: processors busy)" if busy else ""


def _shown(speed: float) -> str:
    return f"{speed:.0f}" if speed >= 1000 else f"{speed:.1f}" if speed >= 10 else f"{speed:.2f}"
