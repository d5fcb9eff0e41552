"""The server of the benchmark `overhead`: what it does comes with the library."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedledger.experiments.benchmarks.overhead.server import measure_all

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what the file of settings says."""
    measure_all(grid, str(context.run_config["settings"]))
