"""What a strategy says about how models travel."""

from dataclasses import dataclass
from typing import Literal, get_args

from flwr.serverapp import Grid

from fedledger.effects import Effects
from fedledger.errors import ConfigError, UnknownNameError

from ....ledger_plugins.storage.base import Store
from ....ledger_plugins.storage.waiting import LONGEST
from .fetching import Contents
from .outgoing import ReferringGrid

__all__ = ["CONTENT_SECONDS", "Transport", "Transporting"]

Transport = Literal["inline", "store"]
"""Whether models travel in messages, or by the store, with messages that name them."""

CONTENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Transporting:
    """How the models of a strategy travel.

    Nothing that is signed, recorded or audited depends on it.

    Attributes:
        way: in messages, or by the store.
        seconds: how long after a phase's end contents that were named in time may still come.
        effects: fetch in the background.

    Raises:
        UnknownNameError: another way.
        ConfigError: a time that is not positive, or too long.
    """

    way: Transport
    seconds: float
    effects: Effects

    def __post_init__(self) -> None:
        if self.way not in get_args(Transport):
            raise UnknownNameError("transport", str(self.way), get_args(Transport))
        if not 0 < self.seconds <= LONGEST:
            raise ConfigError(
                f"content_seconds must be positive and at most {LONGEST:g}, not {self.seconds}"
            )

    def grid(self, grid: Grid, store: Store) -> Grid:
        """Return the grid by which messages leave."""
        return grid if self.way == "inline" else ReferringGrid(grid, store)

    def contents(self, store: Store) -> Contents | None:
        """Return where contents come from that replies only name."""
        if self.way == "inline":
            return None
        return Contents(store, self.effects.clock, self.effects.work, self.seconds)
