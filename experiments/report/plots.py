"""Accuracy by round, and a config's figures of test error by round, as PNG and SVG."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fedledger.registry import check_installed

from ..config.cells import Cell, shows
from ..config.settings import Figure as FigureSpec
from .results import RunResult
from .tables import heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "MARKERS", "draw", "draw_figure", "pictures", "plot"]

# Okabe and Ito's palette: told apart with every common form of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
MARKERS = "os^Dv*Px"
_PANEL = (6.4, 4.0)
_SMALL = (3.4, 2.6)
_ACROSS = 4
_MARKS = 10
_MOST_LINES = 12


def plot(result: RunResult) -> dict[str, bytes]:
    """Return the plots' files by name; the same results give the same bytes."""
    drawings: dict[str, Callable[[], Figure]] = {"accuracy": partial(draw, result)}
    for spec in result.config.figures:
        drawings[f"figure-{spec.name}"] = partial(draw_figure, result, spec)
    return pictures(drawings)


def pictures(drawings: "Mapping[str, Callable[[], Figure]]") -> dict[str, bytes]:
    """Return a PNG and an SVG of each drawing, by the files' names."""
    check_installed("a plot", "experiments", "matplotlib")
    import matplotlib as mpl  # noqa: PLC0415 - a second, only where something is drawn

    files = {}
    with mpl.rc_context({"svg.hashsalt": "fedledger", "svg.fonttype": "none"}):
        for name, drawn in drawings.items():
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
                buffer = io.BytesIO()
                drawn().savefig(buffer, format=kind, dpi=150, metadata=metadata)
                files[f"{name}.{kind}"] = buffer.getvalue()
    return files


def draw(result: RunResult) -> "Figure":
    """Return the figure of everything: a panel for each data set and partition.

    A line is an approach under an attack; an approach has a colour and a marker, an attack a dash.
    Where there are more attacks than dashes, or too many lines, each attack has its own panel.
    With several seeds a line is their mean, in a band from the worst to the best.
    """
    cells = [cell for cell in result.cells if cell.id in result.results]
    attacks = {heading(cell) for cell in result.cells}
    lines = len(attacks) * len(result.config.approaches)
    apart = len(attacks) > len(_DASHES) or lines > _MOST_LINES
    panels: dict[str, list[Cell]] = {}
    for cell in cells:
        name = _panel(result, cell) if apart else _data(cell)
        panels.setdefault(name, []).append(cell)
    title = result.config.title or result.config.name
    if apart and panels:
        return _many(result, panels, title)
    return _few(result, panels, title, error=False)


def draw_figure(result: RunResult, spec: FigureSpec) -> "Figure":
    """Return one of the config's figures: test error by round, lines as in `draw`."""
    panels: dict[str, list[Cell]] = {}
    for cell in result.cells:
        if cell.id in result.results and shows(spec, cell):
            panels.setdefault(_data(cell), []).append(cell)
    return _few(result, panels, spec.title or f"{result.config.name}: {spec.name}", error=True)


def _few(result: RunResult, panels: dict[str, list[Cell]], title: str, *, error: bool) -> "Figure":
    """Return panels side by side, every line in the legend with its last value."""
    names = list(panels) or [""]
    figure, places = _empty(1, len(names), (_PANEL[0] * len(names) + 2, _PANEL[1]))
    for axes, name in zip(places, names, strict=True):
        _draw_panel(result, axes, panels.get(name, []), error=error, ends=True)
        axes.set_title(name, fontsize="medium")
    if error:
        places[0].set_ylabel("error on the test images")
        places[0].set_ylim(0, _ceiling(result, [c for cells in panels.values() for c in cells]))
    else:
        places[0].set_ylabel("accuracy on the test images")
        places[0].set_ylim(_floor(result), 1)
    return _finished(figure, places[0], title)


def _many(result: RunResult, panels: dict[str, list[Cell]], title: str) -> "Figure":
    """Return small panels in rows, one legend for all of them."""
    rows = -(-len(panels) // _ACROSS)
    figure, places = _empty(rows, _ACROSS, (_SMALL[0] * _ACROSS + 2, _SMALL[1] * rows + 0.5))
    for axes, (name, cells) in zip(places, panels.items(), strict=False):
        _draw_panel(result, axes, cells, error=False, ends=False)
        axes.set_title(name, fontsize="small")
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    for axes in places[::_ACROSS]:
        axes.set_ylabel("accuracy")
    places[0].set_ylim(_floor(result), 1)
    return _finished(figure, places[0], title)


def _empty(rows: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, list[Axes]]":
    check_installed("a plot", "experiments", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)


def _finished(figure: "Figure", first: "Axes", title: str) -> "Figure":
    handles, labels = first.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(title, fontsize="medium")
    return figure


def _floor(result: RunResult) -> float:
    """Return where the axis starts: a full tenth below all rounds but the untrained first."""
    trained = [value for found in result.results.values() for value in found.accuracy_by_round[1:]]
    return min(9, int(10 * min(trained, default=0.0))) / 10


def _ceiling(result: RunResult, cells: Sequence[Cell]) -> float:
    """Return where an axis of errors ends: a full tenth above all rounds but the first."""
    trained = [v for cell in cells for v in result.results[cell.id].accuracy_by_round[1:]]
    return min(10, int(10 * (1 - min(trained, default=0.0))) + 1) / 10


def _data(cell: Cell) -> str:
    return f"{cell.scenario.dataset}, {cell.scenario.partition.label}"


def _panel(result: RunResult, cell: Cell) -> str:
    several = len(result.config.datasets) * len(result.config.partitions) > 1
    return f"{heading(cell)}\n{_data(cell)}" if several else heading(cell)


def _draw_panel(
    result: RunResult, axes: "Axes", cells: Sequence[Cell], *, error: bool, ends: bool
) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter  # noqa: PLC0415 - as above

    approaches = [approach.name for approach in result.config.approaches]
    # A figure has few attacks; dashes are dealt among those it shows, not among the config's.
    shown = cells if error else result.cells
    headings = list(dict.fromkeys(heading(cell) for cell in shown))
    for name, column in dict.fromkeys((cell.approach.name, heading(cell)) for cell in cells):
        runs = [
            result.results[cell.id].accuracy_by_round
            for cell in cells
            if (cell.approach.name, heading(cell)) == (name, column)
        ]
        by_round = list(zip(*runs, strict=True))
        if error:
            by_round = [tuple(1 - value for value in values) for values in by_round]
        rounds = range(len(by_round))
        index = approaches.index(name)
        colour = COLOURS[index % len(COLOURS)]
        end = f"{name}, {column}: {100 * sum(by_round[-1]) / len(runs):.1f} %"
        axes.plot(
            rounds,
            [sum(values) / len(values) for values in by_round],
            color=colour,
            linestyle=_DASHES[headings.index(column) % len(_DASHES)] if ends else "-",
            marker=MARKERS[index % len(MARKERS)],
            markevery=max(1, len(by_round) // _MARKS),
            markersize=4,
            label=end if ends else name,
        )
        if len(runs) > 1:
            low, high = [min(v) for v in by_round], [max(v) for v in by_round]
            axes.fill_between(rounds, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("round")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
