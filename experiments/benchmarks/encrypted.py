"""Where the time of an encrypted round goes, trainer by trainer and phase by phase.

    python -m fedledger.experiments.benchmarks.encrypted [--values 100000] [--bits 16]
        [--trainers 10] [--threshold 6] [--key-bits 2048] [--format json]

A federation in this process runs two rounds on a model of so many values, with real signatures, a
chain and a store in a temporary folder, on one core. "Training" adds noise and takes no time, so
all that is left is what encryption, proofs and evidence cost. Seconds are of the processor. The
second round is the one measured: keys are accepted in the first.
"""

import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import numpy as np
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from rich.table import Table

from fedledger.arrays import read_record, to_record
from fedledger.errors import RunError
from fedledger.records import SigningRequest

from ...clients import signing_mod
from ...strategies import ThresholdPaillier, audit_ledger
from ...strategies.rounds.evidence.documents import Evidence
from ..run.dealing import simulated_dealer
from ..run.simulation import simulate
from .measure import extra_memory
from .program import told

__all__ = ["Measured", "main", "measure_encrypted"]

_LONG = 1e6


@dataclass(slots=True)
class Measured:
    """What was measured.

    Attributes:
        key_bits: bits of the modulus.
        bits: bits of a rounded value.
        values: values of the model.
        trainers: n.
        threshold: t.
        trainer_s: processor seconds of a trainer, by phase; the mean of all of them.
        slowest_s: of the slowest trainer, by phase.
        server_s: processor seconds of the server.
        audit_s: of the audit of both rounds.
        bytes: of the contents of each phase, all trainers together.
        extra_mb: peak of resident memory beyond what was there, of the whole process.
    """

    key_bits: int
    bits: int
    values: int
    trainers: int
    threshold: int
    trainer_s: dict[str, float] = field(default_factory=dict)
    slowest_s: dict[str, float] = field(default_factory=dict)
    server_s: float = 0.0
    audit_s: float = 0.0
    bytes: dict[str, int] = field(default_factory=dict)
    extra_mb: float | None = None

    @property
    def round_wall_s(self) -> float:
        """Seconds of a round in which each trainer has a core of its own."""
        return self.server_s + sum(self.slowest_s.values())

    def document(self) -> dict[str, object]:
        """Return everything as JSON has it."""
        together = {"trainer_s_total": sum(self.trainer_s.values())}
        return together | {"round_wall_s": self.round_wall_s} | asdict(self)


def measure_encrypted(
    *,
    key_bits: int = 2048,
    bits: int = 16,
    values: int = 100_000,
    trainers: int = 10,
    threshold: int = 6,
) -> Measured:
    """Run two encrypted rounds, and measure the second.

    Args:
        key_bits: bits of the modulus.
        bits: bits of a rounded value.
        values: values of the model.
        trainers: n.
        threshold: t.

    Raises:
        RunError: a round kept its model, or the audit failed.
        ConfigError: the settings do not go together.
    """
    found = Measured(key_bits, bits, values, trainers, threshold)
    spent: dict[tuple[int, str], list[float]] = defaultdict(list)
    marks: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, _one_core():

        def ended(evidence: Evidence) -> None:
            marks[evidence.round] = time.process_time()

        def run() -> None:
            app = _app(spent)
            with simulate(app, clients=trainers, folder=folder) as simulation:
                ledger, store = simulation.ledger, simulation.store
                server = simulation.keys.account("server")
                deal = simulated_dealer(ledger, store, simulation.keys, server.address, "cost")
                strategy = ThresholdPaillier(
                    **simulation.evidence,
                    model_id="cost",
                    keys=deal(trainers, threshold, key_bits),
                    bits=bits,
                    weights="equal",
                    windows=(_LONG,) * 4,
                    quiet=_LONG,
                    observers=[ended],
                )
                model = {"values": np.zeros(values, np.float32)}
                simulation.start(strategy, to_record(model), num_rounds=2)
                marks[2] = time.process_time()
                report = audit_ledger(ledger, store)
                found.audit_s = time.process_time() - marks[2]
                if not report.passed or [one.aggregate for one in report.rounds] != ["proved"] * 2:
                    raise RunError(f"the rounds are not proved: {report.reason}")
                found.bytes = {one.name: one.bytes for one in report.rounds[1].record.phases}

        found.extra_mb = extra_memory(run)
        if found.extra_mb is None:
            run()
    phases = [phase for who, phase in spent if who == 0 and phase != "keys"]
    for phase in phases:
        seconds = [spent[who, phase][-1] for who in range(trainers)]
        found.trainer_s[phase], found.slowest_s[phase] = sum(seconds) / trainers, max(seconds)
    all_trainers = trainers * sum(found.trainer_s.values())
    found.server_s = marks[2] - marks[1] - all_trainers
    return found


def _app(spent: dict[tuple[int, str], list[float]]) -> ClientApp:
    def timed(
        message: Message, context: Context, call_next: Callable[[Message, Context], Message]
    ) -> Message:
        request = SigningRequest.of(message.content)
        started = time.process_time()
        reply = call_next(message, context)
        if request is not None:
            who = int(context.node_config["partition-id"])
            spent[who, request.phase].append(time.process_time() - started)
        return reply

    app = ClientApp(mods=[timed, signing_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        [(name, record)] = message.content.array_records.items()
        drawn = np.random.default_rng(int(context.node_config["partition-id"]))
        arrays = {
            key: array + drawn.normal(0, 0.1, array.shape).astype(np.float32)
            for key, array in read_record(record).items()
        }
        metrics = MetricRecord({"num-examples": 1})
        content = RecordDict({name: to_record(arrays), "metrics": metrics})
        return Message(content, reply_to=message)

    return app


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep this process on one core for a while, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def as_table(measured: Measured) -> Table:
    """Return where the time goes, as a table for people."""
    table = Table(
        title=f"{measured.values:,} values of {measured.bits} bits, {measured.threshold} of "
        f"{measured.trainers} trainers, modulus of {measured.key_bits}"
    )
    table.add_column("phase")
    for heading in ("a trainer", "the slowest", "bytes of all"):
        table.add_column(heading, justify="right")
    for phase, seconds in measured.trainer_s.items():
        size = f"{measured.bytes.get(phase, 0):,}"
        table.add_row(phase, f"{seconds:.2f} s", f"{measured.slowest_s[phase]:.2f} s", size)
    table.add_row("all phases", f"{sum(measured.trainer_s.values()):.2f} s", "", "")
    table.add_row("server", f"{measured.server_s:.2f} s", "", "")
    table.add_row("audit of two rounds", f"{measured.audit_s:.2f} s", "", "")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    options = {
        "values": (100_000, "of the model"),
        "bits": (16, "of a rounded value"),
        "trainers": (10, "who train"),
        "threshold": (6, "who open together"),
        "key_bits": (2048, "of the modulus"),
    }
    about = "What an encrypted round costs."
    return told(about, options, measure_encrypted, as_table, _lines, arguments)


def _lines(measured: Measured) -> list[str]:
    found = [
        f"a round takes {measured.round_wall_s:.1f} s where each trainer has a core of its own"
    ]
    if measured.extra_mb is not None:
        found.append(f"memory of all parties: {measured.extra_mb:,.0f} MB more than before")
    return found


if __name__ == "__main__":
    sys.exit(main())
