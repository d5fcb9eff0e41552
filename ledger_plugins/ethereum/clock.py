"""What waiting needs of a clock; who opens a ledger hands one in."""

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Tells time, and waits."""

    def wall(self) -> float:
        """Return seconds since 1970 UTC; it may be set back."""

    def monotonic(self) -> float:
        """Return seconds since some moment; they never go back."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, which are not negative; the calling thread waits."""


class SystemClock:
    """This machine's clock."""

    def wall(self) -> float:
        """Return seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        time.sleep(seconds)
