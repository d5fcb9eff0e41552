"""The ways in which a content is moved: what figures compare."""

from dataclasses import dataclass
from typing import Literal

from ..config.transfers import MB, Links, TransferConfig

__all__ = ["DOWN", "UP", "WAYS", "Way", "seconds_needed", "ways_of"]

DOWN, UP = "13", "14"
"""The figures of Bift: downloads and uploads."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way.

    Attributes:
        name: in results.
        figure: which figure it is in.
        said: what it is called for people.
        limit: which links limit it: none, each client's alone, or one server's as well.
    """

    name: str
    figure: str
    said: str
    limit: Literal["nothing", "own", "shared"]


_SFTP_GET = Way("sftp-get", DOWN, "SFTP get", "shared")
_SERVED_GET = Way("served-get", DOWN, "store, its server has it", "shared")
_STORE_GET = Way("store-get", DOWN, "store, one peer has it", "shared")
_PEERS_GET = Way("peers-get", DOWN, "store, as many peers have it as fetch it", "own")
_SFTP_PUT = Way("sftp-put", UP, "SFTP put", "shared")
_STORE_PUT = Way("store-put", UP, "store, put over the network", "shared")
_STORE_PASS = Way("store-pass", UP, "store, until a second peer has all", "shared")
_STORE_ADD = Way("store-add", UP, "store, added locally", "nothing")

WAYS = {
    way.name: way
    for way in (
        _SFTP_GET,
        _SERVED_GET,
        _STORE_GET,
        _PEERS_GET,
        _SFTP_PUT,
        _STORE_PUT,
        _STORE_PASS,
        _STORE_ADD,
    )
}


def ways_of(config: TransferConfig) -> tuple[Way, ...]:
    """Return the ways that a config can measure, in the order of the figures' legends.

    Embedded stores are started, as many as it takes. Of a store that somebody else runs there is
    one, and what is added to it gets to a second peer where that is given too.
    """
    out: list[Way] = []
    if config.store:
        out = [_SERVED_GET, _PEERS_GET, *([] if config.peer else [_STORE_PASS])]
    return tuple(way for way in WAYS.values() if way not in out)


def seconds_needed(way: Way, links: Links, size: float, clients: int) -> float:
    """Return what a transfer takes by the rates of the links alone, when all share fairly.

    Args:
        way: the way.
        links: the rates.
        size: MB of each client.
        clients: how many there are.
    """
    if way.limit == "nothing":
        return 0.0
    slowest = links.client
    if links.server is not None:
        slowest = min(slowest, links.server / (clients if way.limit == "shared" else 1))
    return size * MB * 8 / (slowest * 1e6)
