"""Speed of training in a sweep: the engine `inprocess`, ledger included, beside a plain loop.

    python -m fedledger.experiments.benchmarks.sweep [--rounds 50] [--format json]

The plain loop is what one writes without any framework: for every client, load the global model,
step through the same batches, keep the weights; average them after each round. No messages, no
signatures, no ledger, no store. Ours is the approach "fedavg", run as a cell of an experiment is
run, on an embedded chain on disk. Both use one thread and take turns, and the table says how far
apart the models are that they end with, and how much of our time ledger and store took. `--flower`
times the engine `flower` as well, start of Flower's simulation runtime included.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from flwr.serverapp import Grid
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fedledger.arrays import Arrays, from_safetensors
from fedledger.errors import FedledgerError

from ...clients import SimulationKeys
from ...ledger_plugins import open_ledger, open_store
from ..config.approaches import FlowerApproach
from ..config.cells import Cell
from ..config.choices import Choice
from ..config.experiment import ExperimentConfig
from ..config.settings import Training
from ..run.cell import run_cell
from ..run.client import build_client_app, reproducible
from ..run.engines import get_engine
from ..run.federation import Federation, federation_of

__all__ = ["Throughput", "main", "measure_sweep"]

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was measured.

    Attributes:
        dataset: the data set.
        clients: number of clients.
        rounds: rounds of training.
        images: images trained on in all, an image counted once an epoch.
        plain_s: shortest time of the plain loop in seconds.
        ours_s: shortest time of each engine in seconds, by its name.
        evidence_s: seconds of that in calls of ledger and store, waiting for the disk included.
        largest_gap: largest difference between the weights both end with.
    """

    dataset: str
    clients: int
    rounds: int
    images: int
    plain_s: float
    ours_s: dict[str, float]
    evidence_s: dict[str, float]
    largest_gap: float

    def share(self, engine: str) -> float:
        """Return an engine's throughput as a fraction of the plain loop's."""
        return self.plain_s / self.ours_s[engine]


def measure_sweep(
    *,
    dataset: str = "traffic_lights",
    clients: int = 30,
    rounds: int = 50,
    width: int = 8,
    training: Training | None = None,
    engines: Sequence[str] = ("inprocess",),
    turns: int = 1,
) -> Throughput:
    """Train one federation plainly and through each engine, in turns.

    Raises:
        ConfigError: the data set is missing; says how to fetch it.
    """
    config = ExperimentConfig(
        name="sweep",
        clients=clients,
        rounds=rounds,
        datasets=(dataset,),
        model=Choice(name="cnn", parameters={"width": width}),
        training=training or Training(epochs=5, batch_size=10, learning_rate=0.01),
        approaches=(FlowerApproach(name="FedAvg", strategy="fedavg"),),
    )
    [cell] = config.matrix
    federation = federation_of(cell.scenario.model_dump_json())
    plain, ours = [], {engine: list[tuple[float, float]]() for engine in engines}
    gap = 0.0
    with reproducible():
        for _ in range(turns):
            started = time.perf_counter()
            expected = _plain(federation)
            plain.append(time.perf_counter() - started)
            for engine in engines:
                seconds, evidence, found = _through(engine, cell)
                ours[engine].append((seconds, evidence))
                gap = max(gap, float(np.abs(found - expected).max()))
    images = sum(len(part) for part in federation.parts) * config.training.epochs * rounds
    best = {engine: min(times) for engine, times in ours.items()}
    return Throughput(
        dataset,
        clients,
        rounds,
        images,
        plain_s=min(plain),
        ours_s={engine: seconds for engine, (seconds, _) in best.items()},
        evidence_s={engine: evidence for engine, (_, evidence) in best.items()},
        largest_gap=gap,
    )


def _plain(federation: Federation) -> Vector:
    """Train without any framework; return the final weights, flat."""
    import torch  # noqa: PLC0415 - seconds
    from torch.nn.functional import cross_entropy  # noqa: PLC0415 - the same

    scenario = federation.scenario
    settings = scenario.training
    model = federation.initial_model()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    data = [
        tuple(map(torch.tensor, federation.client_data(client)))
        for client in range(scenario.clients)
    ]
    total = sum(len(labels) for _, labels in data)
    for server_round in range(1, scenario.rounds + 1):
        average = {key: torch.zeros_like(value) for key, value in weights.items()}
        for client, (images, labels) in enumerate(data):
            model.load_state_dict(weights)
            optimiser = torch.optim.SGD(
                model.parameters(), lr=settings.learning_rate, momentum=settings.momentum
            )
            seed = federation.batch_seed(server_round, client)
            generator = torch.Generator().manual_seed(seed)
            model.train()
            for _ in range(settings.epochs):
                order = torch.randperm(len(labels), generator=generator)
                for batch in torch.split(order, settings.batch_size):
                    optimiser.zero_grad()
                    torch.autograd.backward(cross_entropy(model(images[batch]), labels[batch]))
                    optimiser.step()
            for key, value in model.state_dict().items():
                average[key] += value * (len(labels) / total)
        weights = average
    return _flat({key: value.numpy() for key, value in weights.items()})


class _Stopwatch:
    """Adds up the time in methods of objects, a method called by another one counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def watch(self, thing: object) -> None:
        """Time every public method of `thing` from now on."""
        for name in dir(type(thing)):
            if not name.startswith("_") and callable(getattr(type(thing), name)):
                setattr(thing, name, self._timed(getattr(thing, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def timed(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            self._depth += 1
            try:
                return method(*args, **options)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - started

        return timed


def _through(engine: str, cell: Cell) -> tuple[float, float, Vector]:
    """Run the cell on an embedded chain.

    Returns:
        Its seconds, those in ledger and store, and the final weights, flat.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        watch = _Stopwatch()
        keys = SimulationKeys.create(root / "simulation.secret")
        with (
            open_ledger(f"local://{root}/chain.db") as ledger,
            open_store(f"file://{root}/store") as store,
        ):
            watch.watch(ledger)
            watch.watch(store)

            def serve(grid: Grid) -> str:
                return run_cell(cell, grid, ledger, store, keys, lambda *_: None).model

            started = time.perf_counter()
            cid = get_engine(engine).run(build_client_app(), cell.scenario.clients, serve)
            seconds, evidence = time.perf_counter() - started, watch.seconds
            arrays = from_safetensors(store.get(cid))
    return seconds, evidence, _flat(arrays)


def _flat(arrays: Arrays) -> Vector:
    return np.concatenate([np.ravel(arrays[key]) for key in sorted(arrays)])


def as_table(measured: Throughput) -> Table:
    """Return the measurement as a table for people."""
    table = Table(
        title=f"{measured.clients} clients x {measured.rounds} rounds, CNN on {measured.dataset}",
        caption=f"largest difference between the final weights: {measured.largest_gap:.1e}",
    )
    table.add_column("who trains")
    for heading in ("seconds", "images/s", "of the plain loop", "ledger, store"):
        table.add_column(heading, justify="right")
    for name, seconds in {"plain PyTorch loop": measured.plain_s, **measured.ours_s}.items():
        share = measured.plain_s / seconds
        speed = measured.images / seconds
        evidence = measured.evidence_s.get(name, 0.0) / seconds
        table.add_row(name, f"{seconds:.1f}", f"{speed:,.0f}", f"{share:.1%}", f"{evidence:.1%}")
    return table


def as_json(measured: Throughput) -> str:
    """Return the measurement as JSON, shares included, for programs."""
    shares = {engine: measured.share(engine) for engine in measured.ours_s}
    return json.dumps({**asdict(measured), "share": shares}, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Throughput of a sweep beside a plain loop.")
    parser.add_argument("--dataset", default="traffic_lights", help="(traffic_lights)")
    parser.add_argument("--clients", type=int, default=30, help="(30)")
    parser.add_argument("--rounds", type=int, default=50, help="(50)")
    parser.add_argument("--width", type=int, default=8, help="of the CNN's first block (8)")
    parser.add_argument("--turns", type=int, default=1, help="times each is run (1)")
    parser.add_argument("--flower", action="store_true", help="time the engine flower too")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    measured = measure_sweep(
        dataset=options.dataset,
        clients=options.clients,
        rounds=options.rounds,
        width=options.width,
        engines=("inprocess", "flower") if options.flower else ("inprocess",),
        turns=options.turns,
    )
    if options.format == "json":
        sys.stdout.write(as_json(measured) + "\n")
    else:
        Console().print(as_table(measured))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FedledgerError as error:  # a data set that was not fetched, ray that is not installed
        sys.exit(f"error: {error}")
