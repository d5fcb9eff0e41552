"""A paper's numbers, beside ours."""

from math import isclose

from .cells import Cell
from .experiment import ExperimentConfig

__all__ = ["published_accuracy", "sources"]


def published_accuracy(config: ExperimentConfig, cell: Cell) -> float | None:
    """Return the accuracy a paper reports for a cell's approach and attack, in per cent, or None.

    Where several entries fit, the first one counts.
    """
    scenario = cell.scenario
    for entry in config.paper:
        if (
            cell.approach.name in entry.accuracy
            and scenario.attack.is_called(entry.attack)
            and isclose(scenario.malicious, entry.malicious)
        ):
            return entry.accuracy[cell.approach.name]
    return None


def sources(config: ExperimentConfig) -> list[str]:
    """Return where the paper's numbers are from, each once."""
    return list(dict.fromkeys(entry.source for entry in config.paper if entry.source))
