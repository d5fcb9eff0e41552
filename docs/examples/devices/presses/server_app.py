"""The server: PoFL among the devices whose addresses it was given."""

from logging import INFO
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.common import log
from flwr.serverapp import Grid, ServerApp

from fedledger.ledger_plugins.accounts import load_account
from fedledger.strategies import ArrivalWindow, PoFL
from fedledger.urls import mask_url

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and say where the evidence is."""
    options = context.run_config
    folder = Path(str(options["folder"]))
    folder.mkdir(parents=True, exist_ok=True)
    ledger = str(options["ledger"]) or f"local://{folder}/chain.db"
    store = str(options["store"]) or f"file://{folder}/store"
    password = Path(str(options["password-file"])).read_text(encoding="utf-8").splitlines()[0]
    window = ArrivalWindow(seconds=float(options["window"]))
    strategy = PoFL(
        ledger,
        store,
        account=load_account(str(options["account"]), password),
        clients=str(options["clients"]).split(),
        model_id="press-7",
        byzantine=int(options["malicious"]),
        rules=("krum", "trimmed_mean", "median"),
        window=window,
        salts=window,
        binding=str(options["binding"]),
        transport=str(options["transport"]),
    )
    model = ArrayRecord({"w": Array(np.zeros(3, np.float32))})
    result = strategy.start(grid, model, num_rounds=int(options["num-server-rounds"]))
    log(INFO, "model: %s", result.arrays["w"].numpy())
    log(INFO, "ledger: %s, store: %s", mask_url(ledger), mask_url(store))
