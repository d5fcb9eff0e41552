"""Tables with a line for each trainer: what the federation is worth to it (FLChain, V and VI)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from operator import attrgetter
from statistics import mean, stdev
from typing import Any

from ..config.cells import Cell
from ..config.experiment import ExperimentConfig
from ..config.settings import PublishedTrainers
from .results import Accuracies, CellResult, RunResult
from .tables import FAILED, NOTHING, Summary, SummaryRow, lines_of, situation

__all__ = ["corner", "trainer_lines", "trainer_notes", "trainer_rows", "trainer_tables"]

_GLOBAL = "global model"
_FULL = "full set"
_VALUES = {"validation": attrgetter("validation"), "test": attrgetter("test")}

Pair = tuple[float, float]


def trainer_tables(result: RunResult) -> dict[str, Summary]:
    """Return the tables by their titles: one for each data set, partition and attack."""
    groups = _groups(result)
    return {
        "Trainers" if len(groups) == 1 else f"Trainers, {where}": _table(result, cells)
        for where, cells in groups.items()
    }


def trainer_lines(result: RunResult) -> list[str]:
    """Return tables and notes in Markdown; nothing where the config asks for no trainers."""
    lines = []
    for title, table in trainer_tables(result).items():
        lines += [f"## {title}", "", *lines_of(corner(result), table)]
    return [*lines, *trainer_notes(result), ""] if lines else []


def corner(result: RunResult) -> str:
    """Return what stands above the titles of such a table: what its numbers are."""
    return f"accuracy, {' / '.join(_values(result))}"


def trainer_rows(result: RunResult) -> list[dict[str, Any]]:
    """Return one row for each cell and model, accuracies as fractions, for finished cells."""
    return [
        {
            "approach": cell.approach.name,
            "attack": cell.scenario.attack.label,
            "malicious": cell.scenario.malicious,
            "dataset": cell.scenario.dataset,
            "partition": cell.scenario.partition.label,
            "seed": cell.scenario.seed,
            "model": name,
            "validation": found.validation,
            "test": found.test,
        }
        for cells in _groups(result).values()
        for cell in cells
        if (known := result.results.get(cell.id)) is not None
        for name, found in _models(known).items()
    ]


def trainer_notes(result: RunResult) -> list[str]:
    """Return the sentences below the tables: what lines are, times, how far approaches differ."""
    config = result.config
    if config.trainers is None:
        return []
    more, paper = _many(config.trainers.epochs, "epoch"), config.trainers.paper
    lines = [_length(config, dataset) for dataset in config.datasets]
    lines.append(
        f"A trainer has the last global model, trained {more} more on its own part. Single set: "
        "the mean of trainers that train alone, each on its part; full set: one model on all "
        "parts; both from the initial model, for as long as the federation trains. The run "
        "measures these models; no ledger has them."
    )
    lines += _times(result, paper.seconds if paper else None)
    lines += [_apart(result, cells) for cells in _groups(result).values()]
    if paper and paper.source:
        lines.append(f"Paper: {paper.source}.")
    return [line for line in lines if line]


def _length(config: ExperimentConfig, dataset: str) -> str:
    """Return how long is trained on a data set, in a sentence."""
    training, rounds = config.training_on(dataset), config.rounds
    each, what = (training.steps, "step") if training.steps else (training.epochs, "epoch")
    on = f"{dataset}: " if len(config.datasets) > 1 else ""
    return (
        f"{on}{_many(rounds, 'round')} of {_many(each, what)} are {_many(rounds * each, what)}, in "
        f"batches of {training.batch_size} with a learning rate of {training.learning_rate:g}."
    )


def _groups(result: RunResult) -> dict[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in result.cells if result.config.trainers else ():
        groups.setdefault(situation(result, cell), []).append(cell)
    return groups


def _models(known: CellResult) -> dict[str, Accuracies]:
    """Return a cell's models by name."""
    found = {_GLOBAL: Accuracies(validation=known.validation, test=known.accuracy)}
    if known.trainers is not None:
        each, alone = (
            {f"trainer {n}{word}": one for n, one in enumerate(models, start=1)}
            for word, models in (("", known.trainers.each), (" alone", known.trainers.alone))
        )
        found = each | found | alone | {_FULL: known.trainers.full}
    return found


def _lines(result: RunResult) -> Iterator[tuple[str, list[str], Pair | None]]:
    """Yield each line's title, the models that it is the mean of, and the paper's numbers."""
    paper = (result.config.trainers and result.config.trainers.paper) or PublishedTrainers()
    each = [f"trainer {n + 1}" for n in range(result.config.clients)]
    for n, name in enumerate(each):
        yield name, [name], paper.each[n] if paper.each else None
    yield "trainers, mean", each, _mean(paper.each) if paper.each else None
    yield _GLOBAL, [_GLOBAL], None
    yield "single set", [f"{name} alone" for name in each], paper.alone
    yield _FULL, [_FULL], paper.full


def _mean(pairs: Sequence[Pair]) -> Pair:
    first, second = (mean(values) for values in zip(*pairs, strict=True))
    return first, second


def _table(result: RunResult, cells: Sequence[Cell]) -> Summary:
    values, approaches = _values(result), _by_approach(cells)
    published = any(paper for _, _, paper in _lines(result))
    rows = []
    for title, models, paper in _lines(result):
        texts = [
            _text([_over_seeds(result, own, models, value) for value in values])
            for own in approaches.values()
        ]
        if published:
            said = dict(zip(_VALUES, paper, strict=True)) if paper else {}
            texts.append(_text([[said[value]] for value in values]) if said else NOTHING)
        rows.append(SummaryRow(title, tuple(texts), ()))
    return Summary((*approaches, *(["paper"] * published)), tuple(rows), ())


def _values(result: RunResult) -> list[str]:
    return [name for name in _VALUES if name == "test" or result.config.validation]


def _by_approach(cells: Sequence[Cell]) -> Mapping[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.approach.name, []).append(cell)
    return found


def _over_seeds(
    result: RunResult, cells: Sequence[Cell], models: Sequence[str], value: str
) -> list[float] | None:
    """Return, for each seed, the mean of some models' values in per cent; None: a cell failed."""
    found = []
    for cell in cells:
        known = result.results.get(cell.id)
        there = _models(known) if known else {}
        if not all(name in there for name in models):
            return None
        found.append(100 * mean(_VALUES[value](there[name]) for name in models))
    return found


def _text(found: Sequence[Sequence[float] | None]) -> str:
    """Return values over seeds: "84.31 / 83.02 %", "84.31 ± 0.20 / 83.02 ± 0.31 %"."""
    texts = []
    for values in found:
        if values is None:
            return FAILED
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        texts.append(f"{mean(values):.2f}{spread}")
    return f"{' / '.join(texts)} %"


def _times(result: RunResult, published: float | None) -> Iterator[str]:
    """Yield how long each approach took, keys and all, beside the paper's time."""
    for name, cells in _by_approach(result.cells).items():
        known = [result.results[cell.id] for cell in cells if cell.id in result.results]
        whole = [one.seconds for one in known if not one.resumed_after]
        if whole:
            share = f", {100 * mean(whole) / published:.2g} % of the paper's" if published else ""
            yield f"{name}: {mean(whole):.1f} s in all{share}."
    if published:
        yield f"The paper's training took {published:,.0f} s."


def _apart(result: RunResult, cells: Sequence[Cell]) -> str:
    """Return how far approaches lie apart, in a sentence; nothing where there is one alone."""
    gaps: dict[bool, float] = {}
    for one, other in combinations(_by_approach(cells).values(), 2):
        for title, models, _ in _lines(result):
            for value in _values(result):
                ours, theirs = (_over_seeds(result, own, models, value) for own in (one, other))
                if ours and theirs and len(models) == 1 and title != _FULL:
                    gap = abs(mean(ours) - mean(theirs))
                    gaps[title == _GLOBAL] = max(gap, gaps.get(title == _GLOBAL, 0.0))
    if len(gaps) < 2:
        return ""
    return (
        f"Approaches differ by {gaps[True]:.2f} points at most in the global model's accuracies, "
        f"and by {gaps[False]:.2f} in a trainer's."
    )


def _many(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"
