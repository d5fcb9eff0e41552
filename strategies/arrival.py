"""When updates arrive, and when the window closes (Bift, section III-A step 3 and Algorithm 2).

Time here is in whole milliseconds since the round's messages were sent: what goes into the
evidence is then exact, and an auditor gets the same split.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from fedledger.errors import ConfigError
from fedledger.grids import WrappedGrid

__all__ = [
    "LEDGER_CLOCK",
    "ArrivalGrid",
    "ArrivalWindow",
    "Clock",
    "SimulatedLatency",
    "WallClock",
]

LEDGER_CLOCK = {"name": "ledger"}
"""Describes rounds without a server's clock: an update arrives with the block that holds it.

Its arrival is the number of blocks since the one that opened the round, and the contract's own
window closes the round, so that every miner sees the same arrivals.
"""


@dataclass(frozen=True, slots=True)
class ArrivalWindow:
    """The window in which updates count; what comes later is discarded.

    Attributes:
        seconds: length of the window from the moment the messages were sent.
        quiet: when set, the window also closes as soon as no update has arrived for this many
            seconds after the last one (T_m of Algorithm 2).

    Raises:
        ConfigError: a length that is not positive.
    """

    seconds: float
    quiet: float | None = None

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ConfigError(f"window: seconds must be positive, not {self.seconds}")
        if self.quiet is not None and not self.quiet > 0:
            raise ConfigError(f"window: quiet must be positive, not {self.quiet}")

    def closes(self, arrivals: Iterable[int]) -> int:
        """Return the millisecond after which nothing counts, given when updates arrived."""
        end = round(self.seconds * 1000)
        if self.quiet is None:
            return end
        quiet = round(self.quiet * 1000)
        ordered = sorted(arrivals)
        for arrival, following in zip(ordered, [*ordered[1:], end + quiet], strict=False):
            if arrival + quiet < min(following, end):
                return arrival + quiet
        return end


class Clock(ABC):
    """Says when a client's update arrived."""

    waits_for_all: bool
    """Whether the strategy must wait for every reply (simulated time) or may stop pulling."""

    @abstractmethod
    def arrival(self, server_round: int, client: int, stamped: int) -> int:
        """Return the arrival in milliseconds after the messages were sent.

        Args:
            server_round: the round, from 1.
            client: the client's position in the task's list of clients.
            stamped: milliseconds after which the reply was pulled.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings for the task's specification (JSON values, no secrets)."""


class WallClock(Clock):
    """Real time: an update arrives when its reply is pulled from Flower."""

    waits_for_all = False

    def arrival(self, server_round: int, client: int, stamped: int) -> int:  # noqa: ARG002 - Clock
        """Return the time the reply was pulled."""
        return stamped

    def describe(self) -> dict[str, Any]:
        """Return the name."""
        return {"name": "wall"}


@dataclass(frozen=True, slots=True)
class SimulatedLatency(Clock):
    """Seeded latencies for simulations, where real arrival says nothing about the clients.

    A client's latency in a round is log-normal with the given mean and spread, plus its `extra`.
    The draw depends only on seed, round and client, so every engine and every resumed run sees the
    same arrivals.

    Attributes:
        seed: seed of the draws.
        mean: mean latency in seconds.
        spread: standard deviation of the latency's logarithm.
        extra: client position to extra seconds, for example what colluders lose by exchanging
            their parameters before they upload (Bift, section VI-B).
    """

    seed: int
    mean: float = 2.0
    spread: float = 0.25
    extra: Mapping[int, float] = field(default_factory=dict)

    waits_for_all = True

    def arrival(self, server_round: int, client: int, stamped: int) -> int:  # noqa: ARG002 - Clock
        """Return the simulated arrival."""
        rng = np.random.default_rng([self.seed, server_round, client])
        drawn = self.mean * math.exp(self.spread * rng.standard_normal() - self.spread**2 / 2)
        return round(1000 * (drawn + self.extra.get(client, 0.0)))

    def describe(self) -> dict[str, Any]:
        """Return the parameters; not which clients are late."""
        return {"name": "simulated", "seed": self.seed, "mean": self.mean, "spread": self.spread}


class ArrivalGrid(WrappedGrid):
    """A Flower grid that stamps each reply when it is pulled and stops when the window closes.

    Args:
        grid: the grid to send through.
        window: the window of training messages; None waits for everybody or the timeout.
        poll: seconds between two pulls.
    """

    def __init__(self, grid: Grid, window: ArrivalWindow | None, *, poll: float = 0.05) -> None:
        super().__init__(grid)
        self._window = window
        self._poll = poll
        self.sent: dict[str, int] = {}
        """Of the last training round: message id to node id."""
        self.stamps: dict[str, int] = {}
        """Of the last training round: message id to milliseconds until its reply was pulled."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send, then pull until everybody replied, the window closed or the timeout passed."""
        outgoing = list(messages)
        if not outgoing:
            return []
        training = outgoing[0].metadata.message_type.startswith("train")
        started = time.monotonic()
        ids = list(self._grid.push_messages(outgoing))
        nodes = [message.metadata.dst_node_id for message in outgoing]
        sent = {key: node for key, node in zip(ids, nodes, strict=True) if key}
        stamps: dict[str, int] = {}
        replies: list[Message] = []
        limit = float("inf") if timeout is None else timeout * 1000
        while len(stamps) < len(sent):
            pulled = list(self._grid.pull_messages([key for key in sent if key not in stamps]))
            now = round(1000 * (time.monotonic() - started))
            for reply in pulled:
                stamps.setdefault(reply.metadata.reply_to_message_id, now)
            replies.extend(pulled)
            closes = self._window.closes(stamps.values()) if self._window and training else limit
            if now > min(closes, limit) or len(stamps) >= len(sent):
                break
            if not pulled:
                time.sleep(self._poll)
        if training:
            self.sent, self.stamps = sent, stamps
        return replies
