"""When updates arrive, and when the window closes (Bift, section III-A step 3 and Algorithm 2).

Time here is in whole milliseconds since the round's messages were sent: what goes into the
evidence is then exact, and an auditor gets the same split.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from fedledger import effects
from fedledger.errors import ConfigError

__all__ = [
    "LONGEST",
    "ArrivalWindow",
    "Clock",
    "Exchange",
    "LedgerClock",
    "SimulatedLatency",
    "WallClock",
]

LONGEST = 1e9
"""Seconds that a window has at most, some thirty years."""


@dataclass(frozen=True, slots=True)
class ArrivalWindow:
    """The window in which updates count; what comes later is discarded.

    Attributes:
        seconds: length of the window from the moment the messages were sent.
        quiet: when set, the window also closes as soon as no answer has arrived for this many
            seconds after the last one (T_m of Algorithm 2).
        quorum: answers that have to be there before `quiet` closes anything.

    Raises:
        ConfigError: a length that is not positive, or above `LONGEST`.
    """

    seconds: float
    quiet: float | None = None
    quorum: int = 0

    def __post_init__(self) -> None:
        for name, length in (("seconds", self.seconds), ("quiet", self.quiet)):
            if length is not None and not 0 < length <= LONGEST:
                raise ConfigError(
                    f"window: {name} must be positive and at most {LONGEST:g}, not {length}"
                )

    def closes(self, arrivals: Iterable[int]) -> int:
        """Return the millisecond after which nothing counts, given when updates arrived."""
        end = round(self.seconds * 1000)
        if self.quiet is None:
            return end
        quiet = round(self.quiet * 1000)
        ordered = sorted(arrivals)
        following = [*ordered[1:], end + quiet]
        for count, (arrival, after) in enumerate(zip(ordered, following, strict=False), start=1):
            if count >= self.quorum and arrival + quiet < min(after, end):
                return arrival + quiet
        return end


class Clock(ABC):
    """Says when a client's update arrived."""

    waits_for_all: bool
    """Whether the strategy must wait for every reply (simulated time) or may stop pulling."""

    @abstractmethod
    def arrival(self, server_round: int, client: int, stamped: int, *, first: bool = True) -> int:
        """Return the arrival in milliseconds after the messages were sent.

        Args:
            server_round: the round, from 1.
            client: the client's position in its party's list.
            stamped: milliseconds after which the reply was pulled.
            first: whether it is the round's first phase.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings for the task's specification (JSON values, no secrets)."""


class WallClock(Clock):
    """Real time: an update arrives when its reply is pulled from Flower."""

    waits_for_all = False

    def arrival(self, server_round: int, client: int, stamped: int, *, first: bool = True) -> int:  # noqa: ARG002 - Clock
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

    def arrival(self, server_round: int, client: int, stamped: int, *, first: bool = True) -> int:  # noqa: ARG002 - Clock
        """Return the simulated arrival; `extra` is lost in the round's first phase alone."""
        rng = np.random.default_rng([self.seed, server_round, client])
        drawn = self.mean * math.exp(self.spread * rng.standard_normal() - self.spread**2 / 2)
        return round(1000 * (drawn + (self.extra.get(client, 0.0) if first else 0.0)))

    def describe(self) -> dict[str, Any]:
        """Return the parameters; not which clients are late."""
        return {"name": "simulated", "seed": self.seed, "mean": self.mean, "spread": self.spread}


@dataclass(frozen=True, slots=True)
class LedgerClock(Clock):
    """The ledger's own clock: an answer arrives with the block that holds it.

    A round lasts as long as the contract takes updates, and what counts is read from the ledger
    then: so who calls by itself counts as who is relayed does. It needs a window of the contract.

    Attributes:
        sealed: whether calls name openings, so that nobody learns what they name, or is first with
            it, before the window is over.
    """

    sealed: bool = False

    waits_for_all = False

    def arrival(self, server_round: int, client: int, stamped: int, *, first: bool = True) -> int:  # noqa: ARG002 - Clock
        """Return when the reply was pulled, which counts for nothing: the block does."""
        return stamped

    def describe(self) -> dict[str, Any]:
        """Return who keeps the clock."""
        return {"by": "ledger"} | ({"submissions": "sealed"} if self.sealed else {})


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of a phase's messages.

    Attributes:
        asked: the nodes that were asked.
        answered: those that replied, with whatever.
        milliseconds: how long it took.
    """

    asked: Sequence[int]
    answered: frozenset[int]
    milliseconds: int


def exchange(
    grid: Grid,
    messages: Sequence[Message],
    *,
    window: ArrivalWindow | None,
    timeout: float,
    accept: Callable[[Message, Message, int], bool],
    complete: Callable[[], bool] = lambda: False,
    time: effects.Clock,
    settle: Callable[[], None] = lambda: None,
    turn: Callable[[], bool] = lambda: False,
    further: Sequence[int] = (),
    poll: float = 0.05,
) -> Exchange:
    """Send messages, then pull until all who matter replied, the window closed or the time is up.

    Args:
        grid: the grid to send through.
        messages: the messages; a list, since Flower loses what a generator yields when deployed.
        window: closes the phase; None waits for everybody or the timeout.
        timeout: seconds after which nothing is waited for.
        accept: takes a reply, the message it answers, and the milliseconds until it was pulled;
            tells whether it is an answer. Only answers count for the window.
        complete: whether nothing can be added to the answers that were taken: whoever has not
            replied then is not waited for.
        time: says how long it took, and waits between two pulls.
        settle: called after each pull or turn that brought something.
        turn: called after each pull; tells whether answers came of replies that had been pulled.
        further: the milliseconds until these were pulled.
        poll: seconds between two pulls.
    """
    if not messages:
        return Exchange((), frozenset(), 0)
    started = time.monotonic()
    ids = list(grid.push_messages(list(messages)))
    sent = {key: message for key, message in zip(ids, messages, strict=True) if key}
    waiting, arrivals = dict(sent), list[int]()
    while waiting:
        pulled = list(grid.pull_messages(list(waiting)))
        elapsed = round(1000 * (time.monotonic() - started))
        for reply in pulled:
            key = reply.metadata.reply_to_message_id
            if key in waiting and accept(reply, sent[key], elapsed):
                arrivals.append(elapsed)
            waiting.pop(key, None)
        if turn() or pulled:
            settle()
        closes = window.closes([*arrivals, *further]) if window else timeout * 1000
        if elapsed > min(closes, timeout * 1000) or not waiting or complete():
            break
        if not pulled:
            time.sleep(poll)
    asked = list(dict.fromkeys(message.metadata.dst_node_id for message in sent.values()))
    late = {message.metadata.dst_node_id for message in waiting.values()}
    return Exchange(asked, frozenset(asked) - late, round(1000 * (time.monotonic() - started)))
