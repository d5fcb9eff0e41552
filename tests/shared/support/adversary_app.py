"""An app whose clients can collude, and runs of it with an adversary; importable by processes."""

import json
import sys
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.arrays import to_record
from fedledger.clients import signing_mod
from fedledger.experiments.adversary.attacks import load_attack
from fedledger.experiments.adversary.collusion import PARTITION, collusion_mod, report_partition
from fedledger.experiments.adversary.grid import AdversaryGrid
from fedledger.experiments.config.choices import Choice
from fedledger.experiments.run.engines import get_engine
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger

from .federation import Federation, initial_model

SIZE, MALICIOUS = 13, (1, 4, 9)
FLOATS = ("layer.weight", "layer.bias")


def vector(arrays):
    """Return the values that an attack sees of a model or an update, as float64."""
    return np.concatenate([np.asarray(arrays[key], np.float64).ravel() for key in FLOATS])


app = ClientApp(mods=[signing_mod, collusion_mod])
app.query(PARTITION)(report_partition)


@app.train()
def train(message, context):
    """Move towards ones, with more noise; fail or return NaN where the config says so."""
    partition = int(context.node_config["partition-id"])
    config = message.content.config_records["config"]
    if partition in config.get("raise", []):
        raise ZeroDivisionError("as asked")
    rng = np.random.default_rng([partition, int(config["server-round"])])
    arrays = {}
    for key, array in message.content.array_records["arrays"].items():
        values = array.numpy()
        if values.dtype.kind == "f":
            noise = 0.2 * rng.standard_normal(values.shape)
            values = np.asarray(values + 0.1 * (1 - values) + noise, dtype=values.dtype)
            if partition in config.get("nan", []):
                values[...] = np.nan
        else:
            values = np.asarray(values + 1 + partition)
        arrays[key] = values
    metrics = MetricRecord({"num-examples": 10 + partition, "accuracy": 0.5, "loss": 1.5})
    content = RecordDict({"arrays": to_record(arrays), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message, context):
    """Answer with the partition as a loss."""
    partition = int(context.node_config["partition-id"])
    metrics = MetricRecord({"num-examples": 10, "loss": float(partition)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def a_federation(folder):
    return Federation(Path(folder), size=SIZE, byzantine=len(MALICIOUS))


def run(federation, strategy, attack, *, rounds=1, engine="inprocess", config=None, **start):
    """Run a strategy against an attack by name, or against nobody when it is None."""
    return run_all(
        federation, [(strategy, attack)], rounds=rounds, engine=engine, config=config, **start
    )[0]


def run_all(federation, pairs, *, rounds=1, engine="inprocess", config=None, **start):
    """Run pairs of a strategy and an attack one after another in one engine."""

    def against(strategy, attack, grid):
        if attack is not None:
            name, parameters = attack if isinstance(attack, tuple) else (attack, {})
            chosen = load_attack(Choice(name=name, parameters=parameters))
            grid = AdversaryGrid(grid, chosen, MALICIOUS, seed=7)
        keys = {
            "simulation-keys": str(federation.keys.path),
            "simulation-salts": federation.salts,
        }
        return strategy.start(
            grid=grid,
            initial_arrays=to_record(initial_model()),
            num_rounds=rounds,
            train_config=ConfigRecord(keys | (config or {})),
            **start,
        )

    def main(grid):
        return [against(strategy, attack, grid) for strategy, attack in pairs]

    return get_engine(engine).run(app, federation.size, main)


def in_both_engines(folder):
    """Print what every attack leads to in either engine."""
    history = {}
    for engine in ("inprocess", "flower"):
        federation = a_federation(Path(folder) / engine)
        attacks = ("krum_attack", "gaussian")
        pairs = [(federation.pofl(model_id=attack), attack) for attack in attacks]
        run_all(federation, pairs, rounds=2, engine=engine)
        contract = TrainingTask(federation.ledger)
        report = audit_ledger(federation.ledger, federation.store)
        history[engine] = {
            "audit": report.reason or "passed",
            "rounds": [[a.rule, a.cid] for task in (1, 2) for a in contract.aggregates(task)],
            "uploads": [
                sorted(upload.cid for upload in contract.submissions(task, 2).values())
                for task in (1, 2)
            ],
        }
        federation.ledger.close()
    sys.stdout.write(json.dumps(history))
