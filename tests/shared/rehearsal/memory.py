"""What the processes of each machine take of memory, looked at while they run."""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .network import Place

__all__ = ["Memory"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY = 0.5  # seconds


class Memory:
    """The most resident memory of a machine's processes together; what they share counts twice.

    Args:
        places: the machines.

    Attributes:
        most: bytes, by the machine's name.
        parts: bytes of each kind of process at that time, by the machine's name.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self.most: dict[str, int] = {place.name: 0 for place in places}
        self.parts: dict[str, dict[str, int]] = {place.name: {} for place in places}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def _watch(self) -> None:
        while not self._end.wait(_EVERY):
            for place in self._places:
                parts: dict[str, int] = {}
                for process in place.processes():
                    with suppress(OSError, IndexError):  # it has ended
                        taken = int(_text(process, "statm").split()[1]) * _PAGE
                        kind = _kind(_text(process, "cmdline").split("\0"))
                        parts[kind] = parts.get(kind, 0) + taken
                if (all_ := sum(parts.values())) > self.most[place.name]:
                    self.most[place.name], self.parts[place.name] = all_, parts

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join(10)


def _text(process: int, name: str) -> str:
    return Path(f"/proc/{process}/{name}").read_text(encoding="utf-8", errors="replace")


def _kind(words: Sequence[str]) -> str:
    """Return the program's name: of an interpreter's that of the script."""
    names = [Path(one).name for one in words if one]
    return next((one for one in names if not one.startswith(("python", "-"))), names[0])
