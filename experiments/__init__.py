"""Experiments: data sets, models, attacks, the runner and its configs.

One TOML file is one table or figure; `run_experiment(load_config("quickstart"))` makes it.
`simulate` runs a ClientApp of your own on a ledger.
"""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .config.experiment import ExperimentConfig
    from .config.loading import load_any, load_config
    from .config.transfers import TransferConfig
    from .report.results import RunResult
    from .run.runner import run_experiment
    from .run.simulation import Simulation, simulate
    from .transfers.running import run_transfers

__all__ = [
    "ExperimentConfig",
    "RunResult",
    "Simulation",
    "TransferConfig",
    "load_any",
    "load_config",
    "run_experiment",
    "run_transfers",
    "simulate",
]

__getattr__ = lazily(
    __name__,
    {
        "ExperimentConfig": "config.experiment",
        "load_any": "config.loading",
        "load_config": "config.loading",
        "TransferConfig": "config.transfers",
        "RunResult": "report.results",
        "run_experiment": "run.runner",
        "run_transfers": "transfers.running",
        "Simulation": "run.simulation",
        "simulate": "run.simulation",
    },
)
"""A client that only needs a data set must not wait for a plot library."""
