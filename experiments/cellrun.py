"""One cell: one Flower strategy, started once, for all rounds."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp import Grid

from fedledger.arrays import from_safetensors, to_record
from fedledger.errors import RunError

from ..clients import SimulationKeys
from ..clients.training import evaluate, get_arrays, set_arrays
from ..ledger_plugins import Ledger, Store
from ..ledger_plugins.contracts import TrainingTask
from .adversary import AdversaryGrid
from .approaches import build_strategy
from .attacks import ModelAttack
from .cells import Cell
from .client import SCENARIO, make_reproducible
from .datasets import Dataset
from .federation import federation_of
from .grid import CheckedGrid
from .results import CellResult
from .rundir import SERVER

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OnRound", "run_cell"]

OnRound = Callable[[int, float], None]
"""Called after each round with its number and the new model's accuracy."""


def run_cell(  # noqa: PLR0917 - the order is that of a round: who asks, where it goes
    cell: Cell,
    grid: Grid,
    ledger: Ledger,
    store: Store,
    keys: SimulationKeys,
    on_round: OnRound,
) -> CellResult:
    """Run a cell, or what is left of it when the ledger already holds a part.

    Args:
        cell: the cell.
        grid: the engine's grid; one node for each client.
        ledger: where the rounds go.
        store: where the models go.
        keys: accounts of the server and the clients.
        on_round: progress; round 0 is the model the run begins with.

    Raises:
        RunError: a client failed, or the rounds on the ledger are not those of this cell.
    """
    started = time.perf_counter()
    make_reproducible()
    scenario = cell.scenario.model_dump_json()
    federation = federation_of(scenario)
    model = federation.initial_model()
    judge = _Judge(model, federation.dataset, on_round)
    server = keys.account(SERVER)
    contract = TrainingTask(ledger)
    before = contract.find(server.address, cell.id)
    done = contract.task(before[-1]).current_round if before else 0
    strategy = build_strategy(
        cell,
        ledger,
        store,
        account=server,
        clients=[keys.account(client).address for client in range(cell.scenario.clients)],
        colluders=federation.colluders,
    )
    if isinstance(federation.attack, ModelAttack):
        grid = AdversaryGrid(grid, federation.attack, federation.malicious, seed=cell.scenario.seed)
    strategy.start(
        grid=CheckedGrid(grid),
        initial_arrays=get_arrays(model),
        num_rounds=cell.scenario.rounds,
        train_config=ConfigRecord({SCENARIO: scenario, "simulation-keys": str(keys.path)}),
        evaluate_fn=judge,
    )
    task = contract.task(contract.find(server.address, cell.id)[-1])
    aggregates = contract.aggregates(task.id)
    if [aggregate.round for aggregate in aggregates] != list(range(1, cell.scenario.rounds + 1)):
        raise RunError(f"cell {cell.id}: the ledger does not hold every round of task {task.id}")
    judge.fill_in([task.model_cid, *(aggregate.cid for aggregate in aggregates)], store)
    return CellResult(
        id=cell.id,
        accuracy=judge.accuracy[cell.scenario.rounds],
        accuracy_by_round=tuple(judge.accuracy[index] for index in range(len(aggregates) + 1)),
        seconds=time.perf_counter() - started,
        rules=tuple(aggregate.rule for aggregate in aggregates),
        task=task.id,
        model=task.current_cid,
        resumed_after=done,
    )


class _Judge:
    """Measures models on the test images; Flower's `evaluate_fn`."""

    def __init__(self, model: "nn.Module", dataset: Dataset, on_round: OnRound) -> None:
        self._model = model
        self._dataset = dataset
        self._on_round = on_round
        self.accuracy: dict[int, float] = {}

    def __call__(self, server_round: int, arrays: ArrayRecord) -> MetricRecord:
        loss, accuracy = self._measure(arrays)
        self.accuracy[server_round] = accuracy
        self._on_round(server_round, accuracy)
        return MetricRecord({"loss": loss, "accuracy": accuracy})

    def fill_in(self, models: list[str], store: Store) -> None:
        """Measure the rounds a killed run had finished, from the models the ledger names."""
        for server_round, cid in enumerate(models):
            if server_round not in self.accuracy:
                arrays = to_record(from_safetensors(store.get(cid)))
                self.accuracy[server_round] = self._measure(arrays)[1]

    def _measure(self, arrays: ArrayRecord) -> tuple[float, float]:
        set_arrays(self._model, arrays)
        return evaluate(self._model, self._dataset.test_x, self._dataset.test_y)
