"""The table of a run: mean and spread over the seeds, and a paper's number beside ours.

Approaches go down and attacks across; where there are more attacks than fit, the other way round.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from statistics import mean, stdev

from ..adversary.attacks import NO_ATTACK
from ..config.cells import Cell
from ..config.references import published_accuracy, sources
from .results import RunResult

__all__ = [
    "FAILED",
    "NOTHING",
    "Summary",
    "SummaryRow",
    "described",
    "heading",
    "lines_of",
    "remarks",
    "situation",
    "summarise",
    "to_markdown",
]

FAILED = "failed"
NOTHING = "-"
_MOST_ACROSS = 5
_ROUND = "time of a round"
_ATTACKED = (
    "Attacked 4/12: in 4 of 12 rounds malicious models were uploaded; in the others the attack had "
    "none to offer, and the malicious clients uploaded honest ones. In time: rounds in which one "
    "of them was among the updates that the rule saw."
)


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A line of the table.

    Attributes:
        title: what the line is about.
        values: one text for each column: "94.2 %", "94.2 ± 0.5 %", "94.2 % (paper 92.3)",
            "94.2 % (paper 92.3; attacked 4/12, in time 0)", "failed".
        marks: numbers of the footnotes that belong to it, from 1.
    """

    title: str
    values: tuple[str, ...]
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The table.

    Attributes:
        columns: headings: "no attack", "label_flip, 30 %"; or the approaches.
        rows: the lines.
        footnotes: texts; a row's marks count from 1 into them.
    """

    columns: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    footnotes: tuple[str, ...]


def heading(cell: Cell) -> str:
    """Return the column a cell belongs to."""
    scenario = cell.scenario
    if scenario.attack.name == NO_ATTACK:
        return "no attack"
    return f"{scenario.attack.label}, {100 * scenario.malicious:g} %"


def summarise(result: RunResult) -> Summary:
    """Return a run's table of final accuracies."""
    cells = result.cells
    across: Callable[[Cell], str] = heading
    down = partial(_title, result)
    if _turned(result):
        across, down = attrgetter("approach.name"), partial(situation, result)
    columns = list(dict.fromkeys(across(cell) for cell in cells))
    notes: dict[str, int] = {}
    rows = []
    for title in dict.fromkeys(down(cell) for cell in cells):
        own = [cell for cell in cells if down(cell) == title]
        marks = {
            notes.setdefault(note, len(notes) + 1)
            for cell in own
            for note in result.footnotes(cell)
        }
        values = [
            _value(result, [cell for cell in own if across(cell) == column]) for column in columns
        ]
        if not _turned(result):
            values.append(_round_time(result, own))
        rows.append(SummaryRow(title, tuple(values), tuple(sorted(marks))))
    if _turned(result):
        groups = [[cell for cell in cells if across(cell) == column] for column in columns]
        rows.append(SummaryRow(_ROUND, tuple(_round_time(result, group) for group in groups), ()))
    else:
        columns.append(_ROUND)
    return Summary(tuple(columns), tuple(rows), tuple(notes))


def to_markdown(result: RunResult, summary: Summary) -> str:
    """Return the table as a Markdown document."""
    config = result.config
    lines = [f"# {config.title or config.name}", ""]
    lines += lines_of("accuracy after the last round", summary)
    lines += ["", *described(result), ""]
    return "\n".join(lines)


def lines_of(first: str, summary: Summary) -> list[str]:
    """Return a table in Markdown, with `first` above its titles and its footnotes below it."""
    lines = _row([first, *summary.columns])
    lines += _row(["---", *("---:" for _ in summary.columns)])
    for row in summary.rows:
        marks = "".join(f"[{mark}]" for mark in row.marks)
        lines += _row([f"{row.title} {marks}".strip(), *row.values])
    lines.append("")
    return lines + [f"[{mark}] {note}  " for mark, note in enumerate(summary.footnotes, start=1)]


def described(result: RunResult) -> list[str]:
    """Return sentences that belong below every form of the table."""
    config = result.config
    seeds = ", ".join(str(seed) for seed in config.seeds)
    spread = ", mean ± standard deviation" if len(config.seeds) > 1 else ""
    lines = [
        f"{config.clients} clients, {config.rounds} rounds, model {config.model.label}.",
        f"Seed {seeds}{spread}. {result.audit.verdict[0].upper()}{result.audit.verdict[1:]}.",
    ]
    lines += remarks(result)
    if config.paper:
        where = "; ".join(sources(config))
        lines.append(f"In brackets what the paper reports{f' ({where})' if where else ''}.")
    return lines


def remarks(result: RunResult) -> list[str]:
    """Return what explains words in the table, where they are there."""
    return [_ATTACKED] if any(_fallen_short(result, [cell]) for cell in result.cells) else []


def _round_time(result: RunResult, cells: Iterable[Cell]) -> str:
    """Return the mean time of a round: training, aggregation, ledger, and an election if any."""
    found = [result.results[cell.id] for cell in cells if cell.id in result.results]
    rounds = sum(len(cell.rules) - cell.resumed_after for cell in found)
    return f"{sum(cell.seconds for cell in found) / rounds:.2f} s" if rounds else NOTHING


def _turned(result: RunResult) -> bool:
    """Return whether attacks go down: there are too many of them to stand side by side."""
    attacks = {heading(cell) for cell in result.cells}
    return len(attacks) > max(_MOST_ACROSS, len(result.config.approaches))


def situation(result: RunResult, cell: Cell) -> str:
    """Return the attack, and the data set and the partition where there are several."""
    return ", ".join([heading(cell), *_data(result, cell)])


def _title(result: RunResult, cell: Cell) -> str:
    return ", ".join([cell.approach.name, *_data(result, cell)])


def _data(result: RunResult, cell: Cell) -> list[str]:
    """Return the data set and the partition, where there are several."""
    parts = []
    if len(result.config.datasets) > 1:
        parts.append(cell.scenario.dataset)
    if len(result.config.partitions) > 1:
        parts.append(cell.scenario.partition.label)
    return parts


def _value(result: RunResult, cells: Sequence[Cell]) -> str:
    published = published_accuracy(result.config, cells[0]) if cells else None
    beside = [f"paper {published:.1f}"] if published is not None else []
    beside += _fallen_short(result, cells)
    return _ours(result, cells) + (f" ({'; '.join(beside)})" if beside else "")


def _fallen_short(result: RunResult, cells: Iterable[Cell]) -> list[str]:
    """Return in how many rounds the attack happened, where that is not all of them."""
    found = [
        (cell.scenario.rounds, one.attacked_rounds, one.arrived_rounds or 0)
        for cell in cells
        if cell.scenario.attack.name != NO_ATTACK
        and (one := result.results.get(cell.id)) is not None
        and one.attacked_rounds is not None
    ]
    rounds = sum(each[0] for each in found)
    attacked = sum(each[1] or 0 for each in found)
    arrived = sum(each[2] for each in found)
    if arrived == rounds:
        return []
    return [f"attacked {attacked}/{rounds}" + (f", in time {arrived}" * (arrived < attacked))]


def _ours(result: RunResult, cells: Iterable[Cell]) -> str:
    results = [result.results.get(cell.id) for cell in cells]
    accuracies = [100 * found.accuracy for found in results if found is not None]
    if not results:
        return NOTHING
    if len(accuracies) < len(results):
        return FAILED
    if len(accuracies) == 1:
        return f"{accuracies[0]:.1f} %"
    return f"{mean(accuracies):.1f} ± {stdev(accuracies):.1f} %"


def _row(cells: Iterable[str]) -> list[str]:
    return [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"]
