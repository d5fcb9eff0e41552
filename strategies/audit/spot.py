"""Spot checks: an audit of those rounds alone that a drawn value names.

The value is one of `Beacon`. It names rounds that were published before its subject was fixed:
values are revealed only in later blocks, so whoever made these rounds did not know which of them
would be replayed, unless it acted together with every member that revealed (docs/contracts.md,
"Draws").
"""

from dataclasses import dataclass
from typing import Any

from fedledger.errors import ConfigError

from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Beacon, TrainingTask
from ...ledger_plugins.contracts.beacon.draws import round_party, spot

__all__ = ["Spot", "spot_of"]


@dataclass(frozen=True, slots=True)
class Spot:
    """What a spot check looks at.

    Attributes:
        epoch: the draw's number.
        ppm: with which probability a round is drawn, in parts per million.
        task: the task whose draw it is.
        subject: what the draw is about, 32 bytes.
        value: what it gave, 32 bytes.
        drawn: the rounds that are replayed.
        others: the rounds that were not drawn.
        later: the rounds that ended when the value may have been known: nothing is drawn of them.
    """

    epoch: int
    ppm: int
    task: int
    subject: bytes
    value: bytes
    drawn: tuple[int, ...]
    others: tuple[int, ...]
    later: tuple[int, ...]

    @property
    def unchecked(self) -> list[str]:
        """What was not replayed, a sentence each."""
        found = []
        if self.others:
            found.append(f"{_rounds(self.others)} that epoch {self.epoch} did not draw")
        if self.later:
            found.append(
                f"{_rounds(self.later)}: published after the block that fixed the subject of epoch "
                f"{self.epoch}"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "epoch": self.epoch,
            "ppm": self.ppm,
            "task": self.task,
            "subject": f"0x{self.subject.hex()}",
            "value": f"0x{self.value.hex()}",
            "drawn": list(self.drawn),
            "not_drawn": list(self.others),
            "later": list(self.later),
        }


def spot_of(ledger: Ledger, epoch: int, ppm: int) -> Spot:
    """Return which rounds a draw names.

    Args:
        ledger: the ledger.
        epoch: the draw's number.
        ppm: with which probability a round is drawn, in parts per million, 1 to 1,000,000.

    Raises:
        ConfigError: there is no such draw, it gave no value, or no round ended before its subject
            was fixed.
        LedgerError: the ledger cannot be read.
    """
    if not 0 < ppm <= 1_000_000:
        raise ConfigError(f"{ppm} parts per million: a spot check draws 1 to 1,000,000")
    if Beacon.contract not in ledger.contracts():
        raise ConfigError(f"{ledger.url} has no contract Beacon: nothing is drawn there")
    beacon = Beacon(ledger)
    task = beacon.terms(epoch).task
    fixed, closed = beacon.fixed(epoch), beacon.closed(epoch)
    if closed is None:
        raise ConfigError(f"epoch {epoch} is still open: it has a value when it is closed")
    if fixed is None or closed.void:
        raise ConfigError(f"epoch {epoch} is void: it gave no value, and nothing is drawn by it")
    ended = TrainingTask(ledger).ended(task)
    before = [one.round for one in ended if one.place < fixed.place]
    later = tuple(one.round for one in ended if one.place > fixed.place)
    if not before:
        raise ConfigError(
            f"epoch {epoch} names no round of task {task}: reveals open only after the block that "
            f"fixes the subject, block {fixed.fixed_block} here, and no round ended before it, so "
            "who made the rounds may have known which are looked at"
        )
    names = {round_party(task, number): number for number in before}
    chosen = spot(closed.value, fixed.subject, list(names), ppm)
    drawn = tuple(names[one] for one in chosen if isinstance(one, bytes))
    others = tuple(number for number in before if number not in drawn)
    return Spot(epoch, ppm, task, fixed.subject, closed.value, drawn, others, later)


def _rounds(numbers: tuple[int, ...]) -> str:
    some = ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")
    return f"1 round ({some})" if len(numbers) == 1 else f"{len(numbers)} rounds ({some})"
