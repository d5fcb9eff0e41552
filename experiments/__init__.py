"""Experiments: data sets, models, attacks, the runner and its configs.

One TOML file is one table or figure; `run_experiment(load_config("quickstart"))` makes it.
`simulate` runs a ClientApp of your own on a ledger.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config.experiment import ExperimentConfig
    from .config.loading import load_config
    from .report.results import RunResult
    from .run.runner import run_experiment
    from .run.simulation import Simulation, simulate

__all__ = [
    "ExperimentConfig",
    "RunResult",
    "Simulation",
    "load_config",
    "run_experiment",
    "simulate",
]

_HOMES = {
    "ExperimentConfig": "config.experiment",
    "load_config": "config.loading",
    "RunResult": "report.results",
    "run_experiment": "run.runner",
    "Simulation": "run.simulation",
    "simulate": "run.simulation",
}


def __getattr__(name: str) -> Any:
    """Import on first use: a client that only needs a data set must not wait for a plot library."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when something is asked for

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
