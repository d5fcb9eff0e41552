"""How far a measurement has come: a bar on a terminal, lines elsewhere, both on standard error."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

__all__ = ["Progress"]


class Progress:
    """Shows which transfer goes on, and what came of each.

    Args:
        name: of the measurement.
        total: number of transfers.
        shown: whether to show anything.
    """

    def __init__(self, name: str, total: int, *, shown: bool) -> None:
        self._console = Console(stderr=True, quiet=not shown)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=self._console,
            disable=not shown or not self._console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=total, said="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, text: str) -> None:
        """Say what goes on."""
        self._bar.update(self._task, said=text)

    def finish(self, text: str) -> None:
        """Say what came of it."""
        self.note(text)
        self._bar.advance(self._task)
