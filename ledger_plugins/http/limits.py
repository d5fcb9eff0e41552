"""What keeps a node's work small, whoever talks to it: rates by address, strikes by peer."""

import logging
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from fedledger.effects import Clock

__all__ = ["RateLimit", "Sparsely", "Strikes", "network_of"]

_REMEMBERED = 4_096


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the 64 bits that one customer has."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))


class RateLimit:
    """A token bucket for each address (`network_of`).

    Args:
        rate: tokens a second.
        burst: tokens of a full bucket.
        clock: its monotonic seconds count.
    """

    def __init__(self, rate: float, burst: float, *, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, tokens: float = 1.0) -> bool:
        """Take tokens from an address's bucket; False, and nothing taken, when it has too few."""
        address = network_of(address)
        left = self._left(address)
        enough = left >= tokens
        self._put(address, left - tokens if enough else left)
        return enough

    def charge(self, address: str, tokens: float) -> None:
        """Take tokens for what an address has caused, even more than it has."""
        address = network_of(address)
        self._put(address, max(self._left(address) - tokens, -self._burst))

    def _left(self, address: str) -> float:
        now = self._clock.monotonic()
        left, since = self._buckets.get(address, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate)

    def _put(self, address: str, left: float) -> None:
        self._buckets[address] = (left, self._clock.monotonic())
        self._buckets.move_to_end(address)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)


class Sparsely:
    """Logs what addresses do, each address at most once in a while: nobody can fill the disk.

    Args:
        logger: where to.
        seconds: between two lines about one address; what it did meanwhile is counted.
        clock: its monotonic seconds count.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        seconds: float = 10.0,
        clock: Clock,
    ) -> None:
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._said: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def __call__(self, address: str, what: str, detail: str = "") -> None:
        """Log what `address` did; details of what it did the same may be left out."""
        kind = (address, what)
        now = self._clock.monotonic()
        since, unsaid = self._said.pop(kind, (now - self._seconds, 0))
        if now - since < self._seconds:
            self._said[kind] = (since, unsaid + 1)
            return
        self._said[kind] = (now, 0)
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        more = f" ({unsaid} more before)" if unsaid else ""
        self._logger.warning("%s: %s %s%s", address, what, detail, more)


class Strikes:
    """How often a peer sent what is not valid, and until when it is left alone because of that.

    Strikes fade by one every `forgive` seconds. At `limit` of them the peer is left alone for
    `pause` seconds, and twice as long each time it happens again, up to an hour.

    Args:
        limit: strikes that are too many.
        pause: seconds of the first pause.
        forgive: seconds after which one strike is forgotten.
        clock: its monotonic seconds count.
    """

    def __init__(
        self,
        *,
        limit: int = 2,
        pause: float = 30.0,
        forgive: float = 60.0,
        clock: Clock,
    ) -> None:
        self._limit = limit
        self._pause = pause
        self._forgive = forgive
        self._clock = clock
        self._strikes = 0.0
        self._since = clock.monotonic()
        self._until = 0.0
        self.pauses = 0
        """How often the peer was left alone."""

    def strike(self) -> None:
        """Count one."""
        now = self._clock.monotonic()
        faded = (now - self._since) / self._forgive
        self._strikes = max(0.0, self._strikes - faded) + 1
        self._since = now
        if self._strikes > self._limit - 1:
            self._until = now + min(self._pause * 2**self.pauses, 3_600.0)
            self.pauses += 1
            self._strikes = 0.0

    @property
    def paused(self) -> float:
        """Seconds for which the peer is still left alone; 0 when it is not."""
        return max(0.0, self._until - self._clock.monotonic())
