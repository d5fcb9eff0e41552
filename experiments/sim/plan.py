"""What will go wrong, and when: drawn from the seed before anything begins."""

from dataclasses import dataclass

from .values import SeededEntropy

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A simulation's settings; times in virtual seconds since the network stands.

    Attributes:
        delay: mean seconds of a message's way.
        loss: part of the messages that get lost, each way.
        interval: mean seconds that a miner waits before a block.
        rounds: rounds of the federation.
        aggregators: names of the nodes whose miners aggregate.
        apart: who is cut off, alone.
        parts_at: when.
        heals_at: when no more, and no message gets lost any more.
        victim: who is killed.
        dies_at: when.
        changes: None: it is killed right then; else: when the disk is changed so many times after.
        down: seconds until it starts again.
    """

    delay: float
    loss: float
    interval: float
    rounds: int
    aggregators: tuple[str, ...]
    apart: str
    parts_at: float
    heals_at: float
    victim: str
    dies_at: float
    changes: int | None
    down: float

    @classmethod
    def draw(cls, entropy: SeededEntropy, names: tuple[str, ...]) -> "Plan":
        """Draw one."""
        parts_at = entropy.between(0.0, 20.0)
        heals_at = parts_at + entropy.between(2.0, 40.0)
        apart = names[entropy.below(len(names))]
        # Half of the time what is cut off is also killed meanwhile: what only it knew is at stake.
        lonely = entropy.chance(0.5)
        return cls(
            delay=entropy.between(0.002, 0.15),
            loss=entropy.between(0.0, 0.1),
            interval=entropy.between(0.3, 2.0),
            rounds=2 + entropy.below(2),
            aggregators=names if entropy.chance(0.7) else names[:1],
            apart=apart,
            parts_at=parts_at,
            heals_at=heals_at,
            victim=apart if lonely else names[entropy.below(len(names))],
            dies_at=entropy.between(parts_at, heals_at) if lonely else entropy.between(0.0, 50.0),
            changes=1 + entropy.below(40) if entropy.chance(0.6) else None,
            down=entropy.between(0.1, 20.0),
        )
