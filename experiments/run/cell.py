"""One cell: one Flower strategy, started once, for all rounds."""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp import Grid

from fedledger.arrays import Layout, read_record, to_record
from fedledger.errors import RunError

from ...clients import SimulationKeys
from ...clients.contents import simulated_store
from ...clients.training import evaluate, get_arrays, set_arrays
from ...ledger_plugins import Ledger, Store
from ...ledger_plugins.accounts import Account
from ...ledger_plugins.contracts import TrainingTask
from ...strategies import SimulatedLatency
from ...strategies.rounds.evidence.record import RoundRecord, read_rounds
from ...strategies.rounds.evidence.tally import Tally
from ...strategies.rounds.tasks.task import model_of
from ..adversary.attacks import ModelAttack
from ..adversary.grid import AdversaryGrid
from ..config.approaches import Surroundings
from ..config.cells import Cell
from ..datasets import Dataset
from ..report.results import CellResult
from .checked_grid import CheckedGrid
from .client import SCENARIO, make_reproducible
from .dealing import simulated_dealer
from .federation import Federation, federation_of
from .money import fund_accounts
from .rundir import SERVER
from .seeding import derive
from .trainers import measure_trainers, on_validation

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OnRound", "run_cell"]

_ATTACKED = "attacked"
"""Metric of a round's evidence: how many clients uploaded what an attack made of their model."""

OnRound = Callable[[int, float], None]
"""Called after each round with its number and the new model's accuracy."""


def run_cell(  # noqa: PLR0917 - the order is that of a round: who asks, where it goes
    cell: Cell,
    grid: Grid,
    ledger: Ledger,
    store: Store,
    keys: SimulationKeys,
    on_round: OnRound,
    minter: Account | None = None,
) -> CellResult:
    """Run a cell, or what is left of it when the ledger already holds a part.

    Args:
        cell: the cell.
        grid: the engine's grid; one node for each client.
        ledger: where the rounds go.
        store: where the models go.
        keys: accounts of the server and the clients.
        on_round: progress; round 0 is the model the run begins with.
        minter: who gives the accounts their tokens, where the cell has a faucet.

    Raises:
        ConfigError: nobody may mint what the faucet gives.
        RunError: a client failed, or the rounds on the ledger are not those of this cell.
    """
    started = time.perf_counter()
    make_reproducible()
    scenario = cell.scenario.model_dump_json()
    federation = federation_of(scenario)
    model = federation.initial_model()
    grid, uploaded = _attacked(grid, federation)
    judge = _Judge(model, federation.dataset, on_round, uploaded)
    server = keys.account(SERVER)
    clients = [keys.account(client) for client in range(cell.scenario.clients)]
    fund_accounts(ledger, minter, [server, *clients], cell.terms)
    contract = TrainingTask(ledger)
    before = contract.find(server.address, cell.id)
    done = contract.task(before[-1]).current_round if before else 0
    around = Surroundings(
        ledger=ledger,
        store=store,
        account=server,
        clients=[client.address for client in clients],
        model_id=cell.id,
        terms=cell.terms,
        byzantine=cell.byzantine,
        clock=_clock(cell, federation),
        deal=simulated_dealer(ledger, store, keys, server.address, cell.id),
        measure=judge.evidence,
    )
    strategy = cell.approach.build(around)
    own = simulated_store(store) if cell.terms.transport == "store" else {}
    strategy.start(
        grid=CheckedGrid(grid),
        initial_arrays=get_arrays(model),
        num_rounds=cell.scenario.rounds,
        train_config=ConfigRecord(
            {
                SCENARIO: scenario,
                "simulation-keys": str(keys.path),
                # Engines and resumed runs have to agree on the lots, so they follow from the seed.
                "simulation-salts": derive(cell.scenario.seed, "salts", cell.id).hex(),
                **own,
            }
        ),
        evaluate_config=ConfigRecord({**own}),
        evaluate_fn=judge,
    )
    task = contract.task(contract.find(server.address, cell.id)[-1])
    rounds = read_rounds(ledger, store, task.id)
    measured = [one.value("accuracy") for one in rounds]
    if len(rounds) != cell.scenario.rounds or None in measured:
        raise RunError(f"cell {cell.id}: the ledger does not hold every round of task {task.id}")
    tally = Tally.of(rounds)
    layout = Layout.from_arrays(read_record(get_arrays(model)))
    model_0 = model_of(store, task.model_cid, layout)
    initial = judge.measure(0, to_record(model_0))["accuracy"]
    by_round = (initial, *(value for value in measured if value is not None))
    malicious = {around.clients[client] for client in federation.malicious}
    attacked = [one.value(_ATTACKED) for one in rounds]
    seconds = time.perf_counter() - started
    last = to_record(model_of(store, task.current_cid, layout))
    set_arrays(model, last)
    return CellResult(
        id=cell.id,
        accuracy=by_round[-1],
        accuracy_by_round=by_round,
        validation=on_validation(federation, model),
        trainers=measure_trainers(scenario, last, cell.trainers) if cell.trainers else None,
        seconds=seconds,
        rules=tuple(one.rule for one in rounds),
        attacked=None if None in attacked else tuple(int(each or 0) for each in attacked),
        arrived=tuple(_counted(one, malicious) for one in rounds),
        task=task.id,
        model=task.current_cid,
        resumed_after=done,
        unused=tally.unused,
        trouble=tally.trouble,
    )


def _attacked(grid: Grid, federation: Federation) -> tuple[Grid, Callable[[int], AbstractSet[int]]]:
    """Return the grid with the adversary in it, and who uploads a malicious model in a round."""
    if isinstance(federation.attack, ModelAttack):
        seed = federation.scenario.seed
        adversary = AdversaryGrid(grid, federation.attack, federation.malicious, seed=seed)
        return adversary, adversary.uploaded
    poisoned = federation.poisoned
    return grid, lambda _: poisoned


def _counted(record: RoundRecord, accounts: AbstractSet[str]) -> int:
    """Return how many of some accounts had an update among those that a round's rule saw."""
    return sum(one.party in accounts for phase in record.phases[:1] for one in phase.accepted)


def _clock(cell: Cell, federation: Federation) -> SimulatedLatency:
    """Return the simulated arrivals; who pays for an exchange, only the clock knows."""
    latency = cell.scenario.latency
    return SimulatedLatency(
        seed=cell.scenario.seed,
        mean=latency.mean,
        spread=latency.spread,
        extra=dict.fromkeys(federation.colluders, latency.exchange),
    )


class _Judge:
    """Measures models on the test images: once a round, for the evidence and for Flower."""

    def __init__(
        self,
        model: "nn.Module",
        dataset: Dataset,
        on_round: OnRound,
        uploaded: Callable[[int], AbstractSet[int]],
    ) -> None:
        self._uploaded = uploaded
        self._model = model
        self._dataset = dataset
        self._on_round = on_round
        self._known: dict[int, dict[str, float]] = {}

    def __call__(self, server_round: int, arrays: ArrayRecord) -> MetricRecord:
        """Flower's `evaluate_fn`, called when a round is on the ledger."""
        found = self.measure(server_round, arrays)
        self._on_round(server_round, found["accuracy"])
        return MetricRecord(dict(found))

    def evidence(self, server_round: int, arrays: ArrayRecord) -> dict[str, float]:
        """Return what goes into a round's evidence: there it survives when the run is killed."""
        uploads = len(self._uploaded(server_round))
        return {**self.measure(server_round, arrays), _ATTACKED: float(uploads)}

    def measure(self, server_round: int, arrays: ArrayRecord) -> dict[str, float]:
        """Return loss and accuracy; a round's model is measured once."""
        if server_round not in self._known:
            set_arrays(self._model, arrays)
            loss, accuracy = evaluate(self._model, self._dataset.test_x, self._dataset.test_y)
            self._known[server_round] = {"loss": loss, "accuracy": accuracy}
        return self._known[server_round]
