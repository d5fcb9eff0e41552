"""A simulated federation of your own ClientApp with a ledger and a store in one folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result

from ...clients import SimulationKeys
from ...clients.contents import simulated_store
from ...ledger_plugins import open_ledger, open_store
from ...ledger_plugins.base import Ledger
from ...ledger_plugins.storage.base import Store
from ...strategies.rounds.server.strategy import LedgerStrategy
from .engines import Engine, get_engine

__all__ = ["Simulation", "simulate"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulated federation has.

    Attributes:
        app: the clients' app; it must use `signing_mod`.
        clients: number of clients.
        keys: the accounts of clients and server.
        ledger: the embedded chain.
        store: the file store.
        engine: what runs the clients.
    """

    app: ClientApp
    clients: int
    keys: SimulationKeys
    ledger: Ledger
    store: Store
    engine: Engine

    @property
    def evidence(self) -> dict[str, Any]:
        """What `PoFL` and `Anchored` need to leave evidence: ledger, store and accounts."""
        return {
            "ledger": self.ledger,
            "store": self.store,
            "account": self.keys.account("server"),
            "clients": [self.keys.account(client).address for client in range(self.clients)],
        }

    def start(
        self,
        strategy: LedgerStrategy,
        initial_arrays: ArrayRecord,
        *,
        train_config: ConfigRecord | None = None,
        **options: Any,
    ) -> Result:
        """Run a strategy; `options` are those of Flower's `Strategy.start`."""
        own = simulated_store(self.store) if strategy.transport.way == "store" else {}
        keys = {"simulation-keys": str(self.keys.path)}
        config = ConfigRecord({**(train_config or {}), **keys, **own})
        options["evaluate_config"] = ConfigRecord({**(options.get("evaluate_config") or {}), **own})

        def main(grid: Grid) -> Result:
            return strategy.start(grid, initial_arrays, train_config=config, **options)

        return self.engine.run(self.app, self.clients, main)


@contextmanager
def simulate(
    app: ClientApp, *, clients: int, folder: str | Path, engine: str = "inprocess"
) -> Iterator[Simulation]:
    """Open ledger, store and accounts in `folder`, made when missing, and close them at the end.

    Args:
        app: the clients' app, with `signing_mod` among its mods.
        clients: number of clients.
        folder: where chain, store and the secret of the simulated accounts lie.
        engine: "inprocess" or "flower".

    Raises:
        ConfigError: no such engine.
        ChainCorrupted: the folder holds a chain that does not verify.
    """
    here = Path(folder).resolve()
    keys = SimulationKeys.create(here / "simulation.secret")
    with (
        open_ledger(f"local://{here}/chain.db") as ledger,
        open_store(f"file://{here}/store") as store,
    ):
        yield Simulation(app, clients, keys, ledger, store, get_engine(engine))
