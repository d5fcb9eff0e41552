"""The page's app runs with a server as well: the same folder, as `flwr run` takes it."""

from importlib import import_module
from pathlib import Path

from flwr.app import Context, RecordDict

from fedledger.experiments.run.engines.inprocess import InProcessGrid
from fedledger.experiments.run.engines.wire import quiet_flower, task_identity
from fedledger.experiments.vehicles.app import load_vehicle_app
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.strategies import audit_ledger

APP = Path(__file__).parents[3] / "docs" / "examples" / "vehicles"


def test_the_same_app_with_a_server(tmp_path, monkeypatch):
    """Its ServerApp trains with five simulated vehicles, and the audit passes."""
    monkeypatch.syspath_prepend(str(APP))
    changes = {"folder": str(tmp_path), "num-server-rounds": 1, "local-epochs": 1}
    app = load_vehicle_app(APP, run_config=changes, node_config={}, train_config={})
    assert app.train_config["lr"] == app.run_config["learning-rate"] == 0.1
    server = import_module("vehicles.server_app").app
    grid = InProcessGrid(app.client, 5, run_config=app.run_config)
    context = Context(1, 1, {}, RecordDict(), dict(app.run_config))
    with quiet_flower(quiet=True), task_identity(grid.run.run_id):
        server(grid, context)
    with open_ledger(f"local://{tmp_path}/chain.db", read_only=True) as ledger:
        report = audit_ledger(ledger, open_store(f"file://{tmp_path}/store", read_only=True))
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [5]
