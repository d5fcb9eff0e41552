"""The server: one strategy on a ledger, then the audit of what it left there."""

import time
from logging import INFO, WARNING
from pathlib import Path

from flwr.app import Context
from flwr.common import log
from flwr.serverapp import Grid, ServerApp

from fedledger.clients import SimulationKeys
from fedledger.errors import AuditError, ConfigError
from fedledger.experiments.config.approaches import kind_of
from fedledger.experiments.config.cells import Cell
from fedledger.experiments.config.loading import config_of
from fedledger.experiments.run.cell import run_cell
from fedledger.experiments.run.money import minter_of, open_with
from fedledger.ledger_plugins import open_store
from fedledger.strategies import audit_ledger
from fedledger.urls import mask_url

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the cell that the run config describes, and audit it."""
    options = context.run_config
    cell = cell_of(options, clients=count_nodes(grid))
    folder = folder_of(str(options["folder"]), context.run_id)
    ledger_url = str(options["ledger"]) or f"local://{folder}/chain.db"
    store_url = str(options["store"]) or f"file://{folder}/store"
    keys = SimulationKeys.create(folder / "simulation.secret")
    minter = minter_of(cell.terms.faucet, "", keys)
    account = keys.account("server")
    with open_with(ledger_url, minter) as ledger, open_store(store_url, account=account) as store:
        result = run_cell(cell, grid, ledger, store, keys, report, minter)
        audit = audit_ledger(ledger, store, tasks=[result.task])
    log(INFO, "accuracy: %.3f after %d rounds", result.accuracy, cell.scenario.rounds)
    log(INFO, "ledger: %s", mask_url(ledger_url))
    log(INFO, "store: %s", store_url)
    if not audit.passed:
        raise AuditError(f"audit: FAILED: {audit.reason}")
    log(INFO, "audit: passed")


def cell_of(options: dict[str, bool | float | int | str], *, clients: int) -> Cell:
    """Turn the run config into one cell of an experiment, checked like any other."""
    attacked = options["attack"] != "none"
    approach = approach_of(str(options["strategy"]), float(options["malicious"]), clients)
    values = {
        "name": "flwr-run",
        "clients": clients,
        "rounds": options["num-server-rounds"],
        "seeds": [options["seed"]],
        "datasets": [options["dataset"]],
        "partitions": [{"name": "dirichlet", "alpha": 3.0}],
        "attacks": [options["attack"]],
        "malicious": [options["malicious"]] if attacked else [],
        "model": {"name": "mlp", "hidden": 64},
        "training": {
            "epochs": options["local-epochs"],
            "batch_size": options["batch-size"],
            "learning_rate": options["learning-rate"],
        },
        "faucet": options["faucet"],
        "bond": options["bond"],
        "transport": options["transport"],
        "ledger": options["ledger"] or "local://{run}/chain.db",
        "approaches": [approach],
    }
    return config_of(values, "run config").matrix[0]


def approach_of(strategy: str, malicious: float, clients: int) -> dict[str, object]:
    """Return how to aggregate; a federation too small for what was asked tolerates less."""
    approach: dict[str, object] = {"name": strategy, "strategy": strategy}
    if "byzantine" not in kind_of(strategy).model_fields:
        return approach
    wanted = int(malicious * clients + 0.5)
    tolerated = min(wanted, max(0, (clients - 3) // 2))  # Krum needs 2f+3
    if tolerated < wanted:
        log(
            WARNING,
            "%d nodes are too few to tolerate %d malicious ones: f = %d. For more nodes: %s",
            clients,
            wanted,
            tolerated,
            '--federation-config "num-supernodes=20 client-resources-num-cpus=1"',
        )
    approach["byzantine"] = tolerated
    if clients < 3:
        approach["min_submissions"] = 1
        if strategy == "pofl":
            approach["rules"] = ["trimmed_mean", "median"]
    if strategy == "bulyan" or (strategy == "pofl" and clients >= 3):
        approach["strict"] = False  # Bulyan would need 4f+3 clients
    return approach


def folder_of(given: str, run_id: int) -> Path:
    """Return the folder for chain, store and keys, made when missing."""
    if given and not Path(given).is_absolute():
        raise ConfigError(f"folder: {given!r} is not absolute; the SuperLink runs elsewhere")
    folder = Path(given) if given else Path.home() / ".fedledger" / "runs" / str(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def count_nodes(grid: Grid) -> int:
    """Return the number of nodes once it has not changed for two seconds: they join one by one."""
    count, since = 0, time.monotonic()
    while count == 0 or time.monotonic() - since < 2:
        found = len(list(grid.get_node_ids()))
        if found != count:
            count, since = found, time.monotonic()
        time.sleep(0.2)
    return count


def report(server_round: int, accuracy: float) -> None:
    """Say how good the model of a round is."""
    log(INFO, "round %d: accuracy %.3f", server_round, accuracy)
