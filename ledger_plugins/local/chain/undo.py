"""State that can be undone: storages that write down what they overwrite."""

from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["UndoLog", "UndoableState"]

_ABSENT = object()
_PLAIN = frozenset({str, int, bytes, bool})


class UndoLog:
    """What was overwritten and not forgotten, newest last."""

    def __init__(self) -> None:
        self._entries: list[tuple[dict[Any, Any], Any, Any]] = []
        self._forgotten = 0

    def note(self, data: dict[Any, Any], key: Any) -> None:
        """Write down the present value of `key`, before it changes."""
        self._entries.append((data, key, data.get(key, _ABSENT)))

    def mark(self) -> int:
        """Return a place that `undo` can go back to."""
        return self._forgotten + len(self._entries)

    def undo(self, mark: int) -> None:
        """Put back everything overwritten since `mark`, which was not forgotten."""
        while len(self._entries) > mark - self._forgotten:
            data, key, old = self._entries.pop()
            if old is _ABSENT:
                data.pop(key, None)
            else:
                data[key] = old

    def forget(self, mark: int | None = None) -> None:
        """Make what was overwritten before `mark` final (default: everything so far)."""
        count = len(self._entries) if mark is None else mark - self._forgotten
        del self._entries[:count]
        self._forgotten += count


class UndoableState(MutableMapping[Any, Any]):
    """A dictionary of immutable values whose changes a log can undo.

    Args:
        log: notes every change; several states may share one.
        data: what the state starts with; copied.

    Raises:
        TypeError: a value that could change without being written (a list, a dictionary).
    """

    def __init__(self, log: UndoLog, data: MutableMapping[Any, Any] | None = None) -> None:
        self._undo = log
        self._data: dict[Any, Any] = dict(data or {})

    def __getitem__(self, key: Any) -> Any:
        return self._data[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not _immutable(value):
            raise TypeError(f"state holds str, int, bytes and tuples of them, not {value!r}")
        self._undo.note(self._data, key)
        self._data[key] = value

    def __delitem__(self, key: Any) -> None:
        if key not in self._data:
            raise KeyError(key)
        self._undo.note(self._data, key)
        del self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[Any]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


def _immutable(value: Any) -> bool:
    if type(value) in _PLAIN:
        return True
    return type(value) is tuple and all(map(_immutable, value))
