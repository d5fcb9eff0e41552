"""What will go wrong, and when: drawn from the seed before anything begins."""

from dataclasses import dataclass
from typing import Literal

from .values import SeededEntropy

__all__ = ["Kill", "Partition", "Plan"]

_EPISODES = 2


@dataclass(frozen=True, slots=True)
class Partition:
    """A node is cut off from the two others.

    Attributes:
        after: virtual seconds after the partition before.
        apart: who.
        seconds: how long.
    """

    after: float
    apart: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Kill:
    """A node loses power, and what it had not flushed.

    Attributes:
        after: virtual seconds after the kill before, and what followed it.
        victim: who.
        by: "time": right then; "disk": in the middle of a change of its disk; "call": when it has
            acknowledged a call, before it says so.
        changes: with "disk": in which of the next ones.
        down: seconds until it starts again.
    """

    after: float
    victim: str
    by: Literal["time", "disk", "call"]
    changes: int
    down: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A simulation's settings.

    Attributes:
        delay: mean seconds of a message's way.
        loss: part of the messages that get lost, each way, until all is well again.
        interval: mean seconds that a miner waits before a block.
        rounds: rounds of the federation.
        aggregators: names of the nodes whose miners aggregate.
        partitions: one after the other.
        kills: one after the other.
    """

    delay: float
    loss: float
    interval: float
    rounds: int
    aggregators: tuple[str, ...]
    partitions: tuple[Partition, ...]
    kills: tuple[Kill, ...]

    @classmethod
    def draw(cls, entropy: SeededEntropy, names: tuple[str, ...]) -> "Plan":
        """Draw one."""

        def anybody() -> str:
            return names[entropy.below(len(names))]

        partitions = tuple(
            Partition(entropy.between(0.0, 15.0), anybody(), entropy.between(2.0, 30.0))
            for _ in range(_EPISODES)
        )
        ways: tuple[Literal["time", "disk", "call"], ...] = ("time", "disk", "call")
        kills = tuple(
            Kill(
                entropy.between(0.0, 20.0),
                # Half of the time who is cut off: what only it knows is at stake.
                partition.apart if entropy.chance(0.5) else anybody(),
                ways[entropy.below(len(ways))],
                1 + entropy.below(40),
                entropy.between(0.1, 15.0),
            )
            for partition in partitions
        )
        return cls(
            delay=entropy.between(0.002, 0.15),
            loss=entropy.between(0.0, 0.1),
            interval=entropy.between(0.3, 2.0),
            rounds=2 + entropy.below(2),
            aggregators=names if entropy.chance(0.7) else names[:1],
            partitions=partitions,
            kills=kills,
        )
