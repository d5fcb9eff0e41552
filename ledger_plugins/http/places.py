"""Who has a connection when there are not enough: no address has many while another has few."""

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from .limits import network_of

__all__ = ["CONNECTION", "CONNECTIONS", "CONNECTIONS_OF_ADDRESS", "Places"]

CONNECTION = "connection"
"""Where a request's ASGI state has the connection it came by."""

CONNECTIONS = 512
CONNECTIONS_OF_ADDRESS = 64


class _Used(Protocol):
    @property
    def use(self) -> tuple[bool, float]:
        """How much it is used; what is smaller gives way first."""


ConnectionT = TypeVar("ConnectionT", bound=_Used)


class Places(Generic[ConnectionT]):
    """The open connections of a server, by the network they come from.

    When all places are taken, a connection from a network with fewer of them, or none, takes the
    place of the least used one of the network with most. So whoever opens all it can keeps an equal
    share, and who comes for the first time is always let in.

    Args:
        peers: addresses whose connections give way to nobody.
        total: places; peers find one beyond them, up to their own share.
        of_address: places of one network.
    """

    def __init__(
        self,
        peers: Collection[str] = (),
        *,
        total: int = CONNECTIONS,
        of_address: int = CONNECTIONS_OF_ADDRESS,
    ) -> None:
        self._peers = peers
        self._total = total
        self._of_address = of_address
        self._taken: dict[str, set[ConnectionT]] = {}
        self._where: dict[ConnectionT, str] = {}

    def __len__(self) -> int:
        return len(self._where)

    def has_room(self, address: str) -> bool:
        """Tell whether one more connection from an address finds a place."""
        own = len(self._taken.get(network_of(address), ()))
        if own >= self._of_address:
            return False
        if len(self) < self._total or address in self._peers:
            return True
        most = max(map(len, self._others().values()), default=0)
        return own + 1 < most or own < min(most, 1)

    def take(self, address: str, connection: ConnectionT) -> ConnectionT | None:
        """Give a place to a connection for which there is room; return what gives way for it."""
        gone = None
        if len(self) >= self._total and (others := self._others()):
            most = max(others.values(), key=len)
            gone = min(most, key=lambda one: one.use)
            self.leave(gone)
        network = network_of(address)
        self._taken.setdefault(network, set()).add(connection)
        self._where[connection] = network
        return gone

    def leave(self, connection: ConnectionT) -> None:
        """Free its place; nothing happens when it has none."""
        network = self._where.pop(connection, None)
        if network is None:
            return
        self._taken[network].discard(connection)
        if not self._taken[network]:
            del self._taken[network]

    def _others(self) -> dict[str, set[ConnectionT]]:
        """Return the connections that may have to give way."""
        kept = {network_of(one) for one in self._peers}
        return {network: taken for network, taken in self._taken.items() if network not in kept}
