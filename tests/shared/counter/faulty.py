"""Twins with faults: what nobody should install, and somebody will."""

from typing import Any

from fedledger.ledger_plugins.contracts.twin import Birth, Key, State

from .first import Counter


class Unborn(Counter):
    @classmethod
    def genesis(cls, _birth: Birth) -> dict[Key, int]:
        raise ValueError("no storage")


class Mutable(Counter):
    @classmethod
    def genesis(cls, _birth: Birth) -> dict[Key, Any]:
        return {("count",): [1]}


class Stuck(Counter):
    @classmethod
    def upgrade(cls, state: State) -> None:
        state["count",] = state["nothing",]


class Breaks(Counter):
    def increase(self, by: int) -> None:
        self.state["count",] = by
        raise ZeroDivisionError(by)
