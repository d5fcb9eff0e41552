"""Seconds that pass when a test says so, or when somebody sleeps."""

from fedledger.effects import Clock as AnyClock
from fedledger.effects import Effects


class Clock(AnyClock):
    """One time for all purposes; in place of the module `time` as well."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class Ahead(AnyClock):
    """This machine's clock, which is put ahead where somebody would wait for a second or more."""

    def __init__(self) -> None:
        self._real = Effects.real().clock
        self.ahead = 0.0

    def wall(self) -> float:
        return self._real.wall() + self.ahead

    def monotonic(self) -> float:
        return self._real.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        if seconds < 1:
            self._real.sleep(seconds)
        else:
            self.ahead += seconds
