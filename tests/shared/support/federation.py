"""A small federation: real ledger, store and messages; numpy models that train in no time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, Result

from fedledger.arrays import to_record
from fedledger.clients import SimulationKeys, signing_mod
from fedledger.effects import Clock
from fedledger.experiments.run.engines import get_engine
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import Anchored, ArrivalWindow, PoFL, SimulatedLatency

Tamper = Callable[[Message, Message, Context], Message]


def initial_model() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    return {
        "layer.weight": rng.standard_normal((3, 4)).astype(np.float32),
        "layer.bias": np.zeros(3, dtype=np.float32),
        "counter": np.array(5, dtype=np.int64),
    }


def make_app(
    before_signing: Mapping[int, Tamper] | None = None,
    after_signing: Mapping[int, Tamper] | None = None,
    *,
    signed: bool = True,
    outermost: Callable[..., Message] | None = None,
    lies: Mapping[int, Callable[[float], float]] | None = None,
) -> ClientApp:
    """Return an app whose clients move towards a common target, plus noise of their own.

    Tampering with a partition's reply happens before or after the signing mod sees it; a mod may be
    outside of all. As miners,
    clients report the squared distance to the target, or what `lies` makes of it.
    """

    def tamper(table: Mapping[int, Tamper] | None) -> Callable[..., Message]:
        def mod(message: Message, context: Context, call_next: Callable[..., Message]) -> Message:
            reply = call_next(message, context)
            change = (table or {}).get(int(context.node_config["partition-id"]))
            return change(reply, message, context) if change else reply

        return mod

    first = [] if outermost is None else [outermost]
    mods = [
        *first,
        tamper(after_signing),
        *([signing_mod] if signed else []),
        tamper(before_signing),
    ]
    app = ClientApp(mods=mods)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        partition = int(context.node_config["partition-id"])
        server_round = int(message.content.config_records["config"]["server-round"])
        rng = np.random.default_rng([partition, server_round])
        arrays = {}
        for key, array in message.content.array_records["arrays"].items():
            values = array.numpy()
            if np.issubdtype(values.dtype, np.floating):
                noise = 0.05 * rng.standard_normal(values.shape)
                values = np.asarray(values + 0.3 * (1 - values) + noise, dtype=values.dtype)
            else:
                values = np.asarray(values + 1)
            arrays[key] = values
        metrics = MetricRecord({"num-examples": 10 + partition, "accuracy": 0.5, "loss": 1.5})
        return Message(
            RecordDict({"arrays": to_record(arrays), "metrics": metrics}), reply_to=message
        )

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        arrays = message.content.array_records["arrays"]
        loss = float(np.mean((arrays["layer.weight"].numpy() - 1) ** 2))
        lie = (lies or {}).get(int(context.node_config["partition-id"]))
        metrics = MetricRecord({"num-examples": 10, "loss": lie(loss) if lie else loss})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


@dataclass
class Federation:
    """Everything one run needs, on disk under one folder, or on the ledger of a URL.

    With `admin` the aggregator is also the embedded ledger's admin.
    """

    path: Path
    size: int = 7
    byzantine: int = 2
    salts: str = "test"
    url: str = ""
    admin: bool = False
    keys: SimulationKeys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = SimulationKeys.create(self.path / "simulation.secret")
        self.server = self.keys.account("server")
        self.clients = [self.keys.account(index).address for index in range(self.size)]
        made = {"admin": self.server.address} if self.admin else {}
        if self.url:
            self.ledger = open_ledger(self.url)
        else:
            self.ledger = open_ledger(f"local://{self.path}/chain.db", chain_id=4242, **made)
        self.store = open_store(f"file://{self.path}/store")

    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = open_ledger(f"local://{self.path}/chain.db")

    def close(self) -> None:
        self.ledger.close()
        self.store.close()

    def pofl(self, **changes: Any) -> PoFL:
        options: dict[str, Any] = {
            "account": self.server,
            "clients": self.clients,
            "model_id": "test",
            "byzantine": self.byzantine,
            "rules": ("krum", "trimmed_mean", "median"),
            "window": ArrivalWindow(seconds=60.0),
            "clock": SimulatedLatency(seed=1),
            "min_submissions": 3,
        }
        return PoFL(self.ledger, self.store, **(options | changes))

    def anchored(self, inner: Any = None, **changes: Any) -> Anchored:
        options: dict[str, Any] = {
            "account": self.server,
            "clients": self.clients,
            "model_id": "test",
        }
        strategy = inner if inner is not None else FedAvg(fraction_evaluate=0.0)
        return Anchored(strategy, self.ledger, self.store, **(options | changes))

    def run(
        self,
        strategy: Any,
        app: ClientApp,
        rounds: int = 2,
        engine: str = "inprocess",
        model: Mapping[str, np.ndarray[Any, Any]] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        **start: Any,
    ) -> Result:
        def main(grid: Any) -> Result:
            result: Result = strategy.start(
                grid=grid,
                initial_arrays=to_record(initial_model() if model is None else model),
                num_rounds=rounds,
                train_config=ConfigRecord(
                    {"simulation-keys": str(self.keys.path), "simulation-salts": self.salts}
                    | dict(config or {})
                ),
                **start,
            )
            return result

        result: Result = get_engine(engine).run(app, self.size, main)
        return result


def timed_federation(path: Path, clock: Clock) -> Federation:
    """Return a federation whose ledger has a clock of its own."""
    federation = Federation(path)
    federation.ledger.close()
    federation.ledger = open_local_ledger(f"local://{path}/timed.db", clock=clock)
    return federation


def arrays_of(record: ArrayRecord) -> dict[str, np.ndarray[Any, Any]]:
    return {key: array.numpy() for key, array in record.items()}


def same(left: ArrayRecord, right: ArrayRecord) -> bool:
    a, b = arrays_of(left), arrays_of(right)
    return list(a) == list(b) and all(np.array_equal(a[key], b[key]) for key in a)
