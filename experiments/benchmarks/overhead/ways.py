"""The ways in which the same devices train, from Flower's FedAvg alone to PoFL with a ledger."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Strategy

from ....ledger_plugins.accounts import Account
from ....strategies import Anchored, ArrivalWindow, PoFL
from .settings import Places, Settings

__all__ = ["BASE", "TWICE", "WAYS", "Way", "strategy_of"]

BASE = "fedavg"
TWICE = "fedavg-twice"
_RULES = ("krum", "trimmed_mean", "median")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to train.

    Attributes:
        said: what it is, for people.
        phases: messages that each device answers in a round.
        signed: whether devices sign.
        direct: whether they send what they sign to a node themselves.
        quick: whether Flower's own waiting is replaced by ours, which looks 20 times a second.
    """

    said: str
    phases: int = 1
    signed: bool = False
    direct: bool = False
    quick: bool = False


WAYS = {
    BASE: Way("FedAvg"),
    "fedavg-quick": Way("FedAvg, replies taken as quickly as ours", quick=True),
    TWICE: Way("FedAvg, and a second message that asks for nothing", phases=2),
    "anchored": Way("FedAvg, anchored", signed=True),
    "pofl": Way("PoFL, one phase", signed=True),
    "pofl-lot": Way("PoFL, a lot by a second phase", phases=2, signed=True),
    "pofl-direct": Way(
        "PoFL, a lot, devices call a node themselves", phases=2, signed=True, direct=True
    ),
}


class _Twice(FedAvg):
    """FedAvg that sends each device a second message, after training, which asks for nothing."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Remember the grid and who is asked."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._grid, self._config = grid, config
        self._nodes = [message.metadata.dst_node_id for message in messages]
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate once the second messages are answered."""
        records = [RecordDict({"config": self._config}) for _ in self._nodes]
        self._grid.send_and_receive(
            [
                Message(record, dst_node_id=node, message_type="query")
                for record, node in zip(records, self._nodes, strict=True)
            ],
            timeout=3600,
        )
        return super().aggregate_train(server_round, replies)


def strategy_of(
    name: str, settings: Settings, account: Account, model_id: str, observers: list[Any]
) -> Strategy:
    """Return the strategy of a way; it waits for all devices in each phase."""
    way, devices = WAYS[name], settings.devices
    plain: dict[str, Any] = {
        "fraction_evaluate": 0.0,
        "min_train_nodes": devices,
        "min_available_nodes": devices,
    }
    if not way.signed:
        return (_Twice if way.phases > 1 else FedAvg)(**plain)
    places: Places = settings.direct if way.direct else settings.local
    common: dict[str, Any] = {
        "account": account,
        "clients": places.clients,
        "model_id": model_id,
        "binding": "required",
        "transport": "store" if way.direct else "inline",
        "observers": observers,
    }
    if name == "anchored":
        return Anchored(FedAvg(**plain), places.ledger, places.store, **common)
    long = ArrivalWindow(3600.0)
    return PoFL(
        places.ledger,
        places.store,
        byzantine=0,
        min_available_nodes=devices,
        rules=_RULES if way.phases > 1 else _RULES[1:2],
        window=long,
        salts=long,
        **common,
    )
