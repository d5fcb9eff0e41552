"""What transfers came to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from ..config.transfers import MB, TransferConfig
from .ways import WAYS

__all__ = ["Transfer", "TransferResult"]

_FULL = 0.9  # of a processor's time


@dataclass(frozen=True, slots=True)
class Transfer:
    """One way, of one size, by so many clients at once over such links.

    Attributes:
        links: name of the case of links.
        size: MB of each client.
        clients: how many there were.
        way: name of the way.
        seconds: that each client took.
        connected: seconds in which all of them had connected, before that.
        wall: seconds until the last had finished.
        cpu: seconds of processor time of servers, the store's own ("keeper"), links ("wires") and
            clients.
        busy: share of the machine's processors that was busy in this time; None where the system
            does not tell.
        failure: what went wrong; then there are no numbers.
        left_out: why it was not measured.
    """

    links: str
    size: float
    clients: int
    way: str
    seconds: tuple[float, ...] = ()
    connected: float = 0.0
    wall: float = 0.0
    cpu: Mapping[str, float] | None = None
    busy: float | None = None
    failure: str = ""
    left_out: str = ""

    @property
    def speed(self) -> float | None:
        """Mean over the clients of what each got through, in Mbit/s."""
        return mean(self._each()) if self.seconds else None

    @property
    def slowest(self) -> float | None:
        """The slowest client's, in Mbit/s."""
        return min(self._each()) if self.seconds else None

    @property
    def limited_here(self) -> bool:
        """Whether processors may have been what limited it: all were busy, or a process was."""
        most = max((self.cpu or {}).values(), default=0.0)
        return (self.busy or 0.0) > _FULL or most > _FULL * self.wall > 0

    @property
    def said(self) -> str:
        """What came of it, in words."""
        if self.failure:
            return f"FAILED: {self.failure}"
        if self.speed is None:
            return f"left out: {self.left_out}"
        mark = " (processors busy)" if self.limited_here else ""
        return f"{self.speed:.1f} Mbit/s a client{mark}"

    def row(self) -> dict[str, Any]:
        """Return what tables of numbers say of it."""
        cpu = {f"cpu_{role}_s": round(used, 3) for role, used in (self.cpu or {}).items()}
        return {
            "links": self.links,
            "size_mb": self.size,
            "clients": self.clients,
            "way": self.way,
            "figure": WAYS[self.way].figure,
            "mbit_s": None if self.speed is None else round(self.speed, 3),
            "slowest_mbit_s": None if self.slowest is None else round(self.slowest, 3),
            "wall_s": round(self.wall, 3),
            "connected_s": round(self.connected, 3),
            **{f"cpu_{role}_s": cpu.get(f"cpu_{role}_s") for role in _ROLES},
            "busy": None if self.busy is None else round(self.busy, 3),
            "limited_by_processors": self.limited_here,
            "failure": self.failure,
            "left_out": self.left_out,
        }

    def _each(self) -> list[float]:
        return [self.size * MB * 8 / 1e6 / one for one in self.seconds]


_ROLES = ("servers", "keeper", "wires", "clients")


@dataclass(frozen=True, slots=True)
class TransferResult:
    """All transfers of a config.

    Attributes:
        directory: folder of the results.
        config: what was measured.
        machine: where, and with which versions.
        transfers: each one.
    """

    directory: Path
    config: TransferConfig
    machine: Mapping[str, Any]
    transfers: tuple[Transfer, ...]

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return not any(one.failure for one in self.transfers)

    def find(self, links: str, size: float, clients: int, way: str) -> Transfer | None:
        """Return a transfer, if it is there."""
        key = (links, size, clients, way)
        for one in self.transfers:
            if (one.links, one.size, one.clients, one.way) == key:
                return one
        return None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        return {
            "config": self.config.to_toml(),
            "machine": dict(self.machine),
            "transfers": [asdict(one) for one in self.transfers],
            "rows": [one.row() for one in self.transfers],
        }
