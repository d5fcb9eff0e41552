"""The server: PoFL, encrypted rounds, or Flower's FedAvg, among devices that it was told of."""

import os
from collections.abc import Mapping
from logging import INFO
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, Context
from flwr.common import log
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from fedledger.arrays import read_record, to_record
from fedledger.errors import AuditError, ConfigError, UnknownNameError
from fedledger.ledger_plugins import Ledger, Store, open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account, load_account, read_password
from fedledger.strategies import (
    Anchored,
    ArrivalWindow,
    DealtKeys,
    LedgerStrategy,
    PoFL,
    ThresholdPaillier,
    audit_ledger,
)
from fedledger.urls import mask_url

from .task import load_test, measured, new_model

STRATEGIES = ("pofl", "threshold-paillier", "fedavg")
PLACES = ("ledger", "store")

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and audit what was left on the ledger."""
    options = context.run_config
    folder = Path(str(options["folder"])).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # A URL with a key in it belongs into the environment: devices see the run config.
    given = {name: options[name] or os.environ.get(f"FEDLEDGER_{name.upper()}") for name in PLACES}
    ledger = str(given["ledger"] or f"local://{folder}/chain.db")
    store = str(given["store"] or f"file://{folder}/store")
    password = read_password(str(options["password-file"]))
    account = load_account(str(options["account"]), password)
    with open_ledger(ledger) as opened, open_store(store, account=account) as contents:
        strategy = strategy_of(options, opened, contents, account)
        result = strategy.start(
            grid,
            to_record(new_model(str(options["model"]))),
            num_rounds=int(options["num-server-rounds"]),
        )
        audit = audit_ledger(opened, contents, tasks=[strategy.task.opened.id])
    accuracy = accuracy_of(0, result.arrays)["accuracy"]
    log(INFO, "accuracy: %.3f on %s images of no device", accuracy, len(load_test()[1]))
    log(INFO, "ledger: %s, store: %s", mask_url(ledger), mask_url(store))
    if not audit.passed:
        raise AuditError(f"audit: FAILED: {audit.reason}")
    log(INFO, "audit: passed")


def strategy_of(
    options: Mapping[str, bool | float | int | str],
    ledger: Ledger,
    store: Store,
    account: Account,
) -> LedgerStrategy:
    """Return the strategy that the run config describes."""
    clients, window = str(options["clients"]).split(), float(options["window"])
    if not clients:
        raise ConfigError("clients: the addresses of the devices' accounts, a blank between them")
    check_strategy(str(options["strategy"]))
    arrivals = ArrivalWindow(seconds=window)
    common: dict[str, Any] = {
        "account": account,
        "clients": clients,
        "model_id": str(options["task"]),
        "binding": str(options["binding"]),
        "membership": str(options["membership"]) or None,
        "transport": str(options["transport"]),
        "content_seconds": float(options["content-seconds"]),
        "measure": accuracy_of,
    }
    if options["strategy"] == "fedavg":
        inner = FedAvg(fraction_evaluate=0.0, min_available_nodes=len(clients))
        return Anchored(inner, ledger, store, window=arrivals, **common)
    if options["strategy"] == "threshold-paillier":
        keys = DealtKeys.find(ledger, store, str(options["dealer"]), str(options["dealing"]))
        return ThresholdPaillier(
            ledger,
            store,
            keys=keys,
            bits=int(options["bits"]),
            clip=float(options["clip"]),
            windows=(window,) * 4,
            **common,
        )
    return PoFL(
        ledger,
        store,
        byzantine=int(options["malicious"]),
        rules=("krum", "trimmed_mean", "median"),
        window=arrivals,
        salts=arrivals,
        **common,
    )


def check_strategy(name: str) -> None:
    """Refuse a strategy that this app does not have; UnknownNameError names the nearest."""
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)


def accuracy_of(_round: int, arrays: ArrayRecord) -> dict[str, float]:
    """Return what goes into each round's evidence as this account's word."""
    loss, accuracy = measured(read_record(arrays), *load_test())
    return {"loss": loss, "accuracy": accuracy}
