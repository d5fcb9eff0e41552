"""What goes through the SuperLink in a round: models in messages, or by the store.

    python -m fedledger.experiments.benchmarks.transport [--parameters 100000 1000000 …]
        [--transport inline store] [--clients 2] [--format json]

A round of `Anchored(FedAvg)` on Flower's grid in this process, with Flower's own serialisation both
ways; clients add a number to a float32 model. Server, clients, embedded chain and a store in a
folder share the process, so its memory is that of all of them together. Bytes are those of the
training messages and of their replies, each counted for its node: what the nodes fetch from the
SuperLink, and bring it. By the store the models go past it, as often and as large.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from rich.console import Console
from rich.table import Table

from fedledger.arrays import to_record
from fedledger.errors import RunError
from fedledger.grids import WrappedGrid

from ...clients import signing_mod
from ...clients.contents import simulated_store
from ...ledger_plugins.contracts import TrainingTask
from ...strategies import Anchored, audit_ledger
from ...strategies.rounds.transport.options import Transport
from ..run.engines.wire import pack
from ..run.simulation import Simulation, simulate
from .measure import extra_memory

__all__ = ["Moved", "as_table", "main", "measure_transport"]

_SIZES = (100_000, 1_000_000, 10_000_000)
_LAYERS = 4
_WAYS: tuple[Transport, ...] = ("inline", "store")


@dataclass(frozen=True, slots=True)
class Moved:
    """A round of one model by one transport.

    Attributes:
        parameters: number of float32 values of the model.
        transport: "inline" or "store".
        clients: number of clients.
        down: bytes of the messages that ask for training.
        up: bytes of their replies.
        seconds: how long the run took: the task's proposal, the round, the confirmations.
        extra_mb: what memory peaked at beyond what was there before, in MB of 10⁶ bytes; None where
            the system does not tell.
        aggregate: CID of the model that came out.
    """

    parameters: int
    transport: Transport
    clients: int
    down: int
    up: int
    seconds: float
    extra_mb: float | None
    aggregate: str


class _Scales(WrappedGrid):
    """Weighs the training messages that pass, and their replies."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self.weighed: Counter[str] = Counter()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Weigh messages on their way down."""
        outgoing = list(messages)
        for message in outgoing:
            self._weigh("down", message)
        return self._grid.push_messages(outgoing)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Weigh replies on their way up."""
        replies = list(self._grid.pull_messages(message_ids))
        for reply in replies:
            if reply.has_error():
                raise RunError(f"a client failed: {reply.error.reason}")
            self._weigh("up", reply)
        return replies

    def _weigh(self, way: str, message: Message) -> None:
        arrays = message.content.array_records
        if not arrays:
            return  # not about a model
        rest = RecordDict({**message.content, **{name: ArrayRecord() for name in arrays}})
        framing: dict[str, bytes] = {}
        pack(rest, framing)
        values = sum(len(one.data) for record in arrays.values() for one in record.values())
        self.weighed[way] += values + sum(map(len, framing.values()))


def measure_transport(parameters: int, transport: Transport, *, clients: int = 2) -> Moved:
    """Run one round, and weigh what passed.

    Args:
        parameters: number of float32 values, four at least.
        transport: how models travel.
        clients: number of clients.

    Raises:
        RunError: a client failed, or the audit does not pass.
    """
    weighed: Counter[str] = Counter()
    found: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="fedledger-") as folder,
        simulate(_app(), clients=clients, folder=Path(folder)) as simulation,
    ):

        def run() -> None:
            started = time.perf_counter()
            weighed.update(_round(simulation, parameters, transport))
            found["seconds"] = time.perf_counter() - started

        extra = extra_memory(run)
        if extra is None:
            run()
        report = audit_ledger(simulation.ledger, simulation.store)
        if not report.passed:
            raise RunError(f"audit: {report.reason}")
        aggregate = TrainingTask(simulation.ledger).task(1).current_cid
    return Moved(
        parameters,
        transport,
        clients,
        weighed["down"],
        weighed["up"],
        found["seconds"],
        extra,
        aggregate,
    )


def _round(simulation: Simulation, parameters: int, transport: Transport) -> Counter[str]:
    strategy = Anchored(
        FedAvg(
            fraction_evaluate=0.0,
            min_train_nodes=simulation.clients,
            min_available_nodes=simulation.clients,
        ),
        **simulation.evidence,
        model_id="transport",
        transport=transport,
    )
    own = {"simulation-keys": str(simulation.keys.path), **simulated_store(simulation.store)}

    def main(grid: Grid) -> Counter[str]:
        scales = _Scales(grid)
        strategy.start(scales, _model(parameters), num_rounds=1, train_config=ConfigRecord({**own}))
        return scales.weighed

    return simulation.engine.run(simulation.app, simulation.clients, main)


def _model(parameters: int) -> ArrayRecord:
    share = parameters // _LAYERS
    sizes = [share] * (_LAYERS - 1) + [parameters - (_LAYERS - 1) * share]
    return to_record(
        {f"layer.{number}": np.zeros(size, np.float32) for number, size in enumerate(sizes)}
    )


def _app() -> ClientApp:
    app = ClientApp(mods=[signing_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        step = np.float32(1 + int(context.node_config["partition-id"]))
        sent = message.content.array_records["arrays"]
        arrays = to_record({key: array.numpy() + step for key, array in sent.items()})
        metrics = MetricRecord({"num-examples": 1})
        content = RecordDict({"arrays": arrays, "metrics": metrics})
        return Message(content, reply_to=message)

    return app


def as_table(measured: Sequence[Moved]) -> Table:
    """Return measurements as a table for people."""
    table = Table(title="Through the SuperLink, a round and client")
    table.add_column("parameters", justify="right")
    table.add_column("transport")
    for heading in ("down", "up", "run", "memory"):
        table.add_column(heading, justify="right")
    for one in measured:
        memory = "-" if one.extra_mb is None else f"{one.extra_mb:,.0f} MB"
        table.add_row(
            f"{one.parameters:,}",
            one.transport,
            *(f"{size / one.clients:,.0f} B" for size in (one.down, one.up)),
            f"{one.seconds:.1f} s",
            memory,
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Models in messages, and by the store.")
    parser.add_argument("--parameters", type=int, nargs="+", default=list(_SIZES))
    parser.add_argument("--transport", choices=_WAYS, nargs="+", default=_WAYS)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    measured = [
        measure_transport(parameters, way, clients=options.clients)
        for parameters in options.parameters
        for way in options.transport
    ]
    if options.format == "json":
        sys.stdout.write(json.dumps([asdict(one) for one in measured], indent=2) + "\n")
        return 0
    Console().print(as_table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
