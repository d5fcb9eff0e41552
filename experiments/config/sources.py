"""Where a config's values are from, so that a mistake is reported where it was made."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Change", "KeyPath", "Source"]

KeyPath = tuple[int | str, ...]
"""A key with the tables and lists it is in: ("approaches", 2, "window")."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value that replaced the file's.

    Attributes:
        path: its key.
        said: how it was given: "--set 'rounds=3'".
    """

    path: KeyPath
    said: str


@dataclass(frozen=True, slots=True)
class Source:
    """A config's file, and what was changed of it.

    Attributes:
        file: the file, as messages name it.
        changes: later ones replace earlier ones.
    """

    file: str
    changes: tuple[Change, ...] = ()

    def with_changes(self, *changes: Change) -> "Source":
        """Return the same with further changes."""
        return Source(self.file, (*self.changes, *changes))

    def of(self, path: Sequence[int | str]) -> str:
        """Return where the value at a key is from."""
        for change in reversed(self.changes):
            if all(a == b for a, b in zip(change.path, path, strict=False)):
                return change.said
        return self.file

    def among(self, keys: Sequence[str]) -> str:
        """Return where the values of several keys are from: the file, and what was changed."""
        changed = [change.said for change in self.changes if not keys or change.path[0] in keys]
        return f"{self.file} with {', '.join(changed)}" if changed else self.file
