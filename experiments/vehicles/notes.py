"""What a vehicle says while it goes on: an event for programs, a sentence for people."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Note", "Tell"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something happened.

    Attributes:
        event: what, in a word: "joined", "trained", "sent", "round", "paid", "waiting", …
        text: the same in a sentence.
        fields: JSON values.
    """

    event: str
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


Tell = Callable[[Note], object]
"""Takes each note."""
