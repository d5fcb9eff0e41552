"""Ledgers and stores by their URLs: opened by whom they were given to, and closed again."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from fedledger.clients import SimulationKeys, signing_mod
from fedledger.errors import ConfigError
from fedledger.experiments.run.engines import get_engine
from fedledger.ledger_plugins import open_ledger
from fedledger.strategies import Anchored, audit_ledger
from fedledger.strategies.rounds.evidence.checks import Outcome

app = ClientApp(mods=[signing_mod])


@app.train()
def train(message, context):
    w = message.content["arrays"]["w"].numpy() + np.float32(context.node_config["partition-id"])
    arrays, metrics = ArrayRecord({"w": Array(w)}), MetricRecord({"num-examples": 10})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


def run(strategy, keys, rounds):
    def main(grid):
        return strategy.start(
            grid,
            ArrayRecord({"w": Array(np.zeros(3, np.float32))}),
            num_rounds=rounds,
            train_config=ConfigRecord({"simulation-keys": str(keys.path)}),
        )

    return get_engine("inprocess").run(app, 3, main)


def test_by_urls_a_run_and_its_audit_leave_nothing_open(tmp_path):
    """After `start` others may write; the audit opens to read and closes, again and again."""
    ledger, store = f"local://{tmp_path}/chain.db", f"file://{tmp_path}/store"
    keys = SimulationKeys.create(tmp_path / "secret")
    strategy = Anchored(
        FedAvg(fraction_evaluate=0.0),
        ledger,
        store,
        account=keys.account("server"),
        clients=[keys.account(client).address for client in range(3)],
        model_id="urls",
    )
    result = run(strategy, keys, 2)
    assert result.arrays["w"].numpy().tolist() == [2.0, 2.0, 2.0]
    for _ in range(2):
        open_ledger(ledger).close()  # one process alone may have it open to write
        report = audit_ledger(ledger, store)
        assert report.passed
        assert len(report.rounds) == 2
        assert run(strategy, keys, 2).arrays["w"].numpy().tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(("ledger", "store"), [("no.db", "store"), ("chain.db", "nowhere")])
def test_what_is_not_there_could_not_be_checked(tmp_path, ledger, store):
    """A missing chain or store is neither passed nor failed, and is not made."""
    open_ledger(f"local://{tmp_path}/chain.db").close()
    (tmp_path / "store").mkdir()
    before = sorted(tmp_path.rglob("*"))
    report = audit_ledger(f"local://{tmp_path}/{ledger}", f"file://{tmp_path}/{store}")
    assert report.outcome is Outcome.UNCHECKED
    assert sorted(tmp_path.rglob("*")) == before


def test_a_url_of_nothing_is_an_error():
    """What names no backend is the caller's mistake."""
    with pytest.raises(ConfigError, match="'foo'"):
        audit_ledger("foo://bar", "file:///nowhere")
