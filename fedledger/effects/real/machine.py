"""The system's clock, randomness and network."""

import secrets
import time
from pathlib import Path

from ..base import Clock, Entropy
from ..transport import AsyncLine, Line, Transport

__all__ = ["HttpTransport", "SystemClock", "SystemEntropy"]


class SystemClock(Clock):
    """The machine's clock."""

    def wall(self) -> float:
        """Return seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let the calling thread wait."""
        time.sleep(seconds)


class SystemEntropy(Entropy):
    """The operating system's generator."""

    def draw(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return secrets.token_bytes(count)


class HttpTransport(Transport):
    """HTTP to any party; httpx is imported when somebody is asked."""

    def line(self, url: str, *, authorities: Path | None = None) -> Line:
        """Return a line to the party at "http://HOST:PORT"; nothing is sent yet."""
        from .http import HttpLine  # noqa: PLC0415 - slow to import

        return HttpLine(url, authorities)

    def async_line(self, url: str, *, at_once: int) -> AsyncLine:
        """Return a line for an event loop, over which `at_once` questions may be open."""
        from .http import AsyncHttpLine  # noqa: PLC0415 - slow to import

        return AsyncHttpLine(url, at_once)
