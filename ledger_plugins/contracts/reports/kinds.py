"""The kinds of accusations: who decides them, and what follows."""

from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "BY_AUTHORITY",
    "BY_CONTRACT",
    "BY_MEMBERS",
    "KINDS",
    "Exclusion",
    "Kind",
    "kind_name",
    "kind_text",
]

BY_CONTRACT, BY_MEMBERS, BY_AUTHORITY = range(3)


class Kind(NamedTuple):
    """A row of the table.

    Attributes:
        decides: `BY_CONTRACT`, `BY_MEMBERS` or `BY_AUTHORITY`.
        fee: what the reporter locks.
        loses: what a guilty subject loses of its pledge, as far as that reaches.
        reward: what the reporter gets of it.
        compensation: what each member gets of the rest, as far as that reaches.
        authority: what an authority gets of the fee, whichever way it decides.
        excludes: whether a guilty subject is excluded from the task.
        halts: whether the task halts where a guilty subject is its aggregator.
    """

    decides: int
    fee: int
    loses: int
    reward: int
    compensation: int
    authority: int
    excludes: bool
    halts: bool


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An account that a verdict excluded from a task, for ever.

    Attributes:
        account: the account.
        report: the report.
        place: where on the ledger that happened: block, and position of the event in it.
    """

    account: str
    report: bytes
    place: tuple[int, int]


KINDS = {
    "aggregate": Kind(BY_MEMBERS, 5, 100, 10, 5, 0, True, True),
    "update": Kind(BY_MEMBERS, 5, 50, 10, 2, 0, True, False),
    "unqualified": Kind(BY_AUTHORITY, 8, 50, 16, 0, 4, True, False),
    "equivocation": Kind(BY_CONTRACT, 0, 100, 10, 0, 0, True, True),
}
"""The table, by name."""


def kind_name(text: str) -> bytes:
    """Return a kind's name as the contract has it: 32 bytes, left-aligned."""
    return text.encode().ljust(32, b"\0")


def kind_text(name: bytes) -> str:
    """Return a kind's name as text; what is none is shown in hexadecimal."""
    text = name.rstrip(b"\0")
    return text.decode() if text.isalnum() else "0x" + name.hex()
