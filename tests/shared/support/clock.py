"""Seconds that pass when a test says so, or when somebody sleeps."""

from fedledger.effects import Clock as AnyClock


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
