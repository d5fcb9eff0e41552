"""The same task with a server: `flwr run`. Vehicles that follow a chain do not use this."""

from pathlib import Path

from flwr.app import ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp

from fedledger.clients import SimulationKeys
from fedledger.clients.training import get_arrays
from fedledger.strategies import ArrivalWindow, PoFL
from vehicles.task import new_model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train with simulated vehicles."""
    options = context.run_config
    folder, count = Path(str(options["folder"])), int(options["num-partitions"])
    keys = SimulationKeys.create(folder / "simulation.secret")
    strategy = PoFL(
        f"local://{folder}/chain.db",
        f"file://{folder}/store",
        account=keys.account("server"),
        clients=[keys.account(number).address for number in range(count)],
        model_id="digits",
        byzantine=1,
        rules=("krum", "trimmed_mean", "median"),
        window=ArrivalWindow(seconds=60),
    )
    config = {"lr": float(options["learning-rate"]), "simulation-keys": str(keys.path)}
    strategy.start(
        grid,
        get_arrays(new_model()),
        num_rounds=int(options["num-server-rounds"]),
        train_config=ConfigRecord(config),
    )
