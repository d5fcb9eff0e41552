"""How far a run has come: bars on a terminal, plain lines elsewhere, both on standard error."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ..report.results import CellResult

__all__ = ["Bar", "Bars", "Lines", "Reporter", "Silent", "make_reporter"]


class Reporter(Protocol):
    """Is told what happens."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def note(self, text: str) -> None:
        """Say something once."""

    def phase(self, text: str) -> None:
        """Say what goes on between cells."""

    def begin(self, cell: str, position: int) -> None:
        """Say that a cell starts; it is the `position`-th, from 1."""

    def advance(self, cell: str, server_round: int, accuracy: float) -> None:
        """Say that a round of the cell is done."""

    def finish(self, cell: str, outcome: CellResult | str) -> None:
        """Say that a cell is done, with its result or what went wrong."""


def make_reporter(name: str, cells: int, rounds: int, *, shown: bool, done: int = 0) -> Reporter:
    """Return a reporter that suits where standard error goes.

    Args:
        name: the experiment's name.
        cells: number of cells.
        rounds: number of rounds of each.
        shown: whether to show anything.
        done: cells that an earlier start has finished.
    """
    if not shown:
        return Silent()
    console = Console(stderr=True)
    if console.is_terminal:
        return Bars(name, cells, rounds, console, done=done)
    return Lines(name, cells, rounds, console)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing to end."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def phase(self, text: str) -> None:
        """Show nothing."""

    def begin(self, cell: str, position: int) -> None:
        """Show nothing."""

    def advance(self, cell: str, server_round: int, accuracy: float) -> None:
        """Show nothing."""

    def finish(self, cell: str, outcome: CellResult | str) -> None:
        """Show nothing."""


class Lines(Silent):
    """One line when a cell starts and one when it ends, for logs and pipes."""

    def __init__(self, name: str, cells: int, rounds: int, console: Console) -> None:
        self._name, self._cells, self._rounds = name, cells, rounds
        self._console = console

    def note(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def phase(self, text: str) -> None:
        """Print it."""
        self._print(f"{self._name}: {text}")

    def begin(self, cell: str, position: int) -> None:
        """Print the cell's name."""
        self._print(f"cell {position}/{self._cells}: {cell}, {self._rounds} rounds")

    def finish(self, cell: str, outcome: CellResult | str) -> None:
        """Print the cell's accuracy or its error."""
        self._print(f"  {cell}: {_said(outcome)}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bar:
    """A bar, and lines above it; where there is no terminal the lines alone.

    Args:
        name: what goes on.
        total: of how many things.
        console: where it is shown; a quiet one shows nothing.
        done: how many are done already.
    """

    def __init__(self, name: str, total: int, console: Console, *, done: int = 0) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            disable=console.quiet or not console.is_terminal,
        )
        self._all = self._progress.add_task(name, total=total, completed=done, said="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave it as it is."""
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def phase(self, text: str) -> None:
        """Show it beside the bar."""
        self._progress.update(self._all, said=text)

    def count(self, text: str) -> None:
        """Print what came of one thing, and move the bar."""
        self.note(text)
        self._progress.advance(self._all)


class Bars(Bar):
    """A bar for the cells and one for the rounds of each cell that is running."""

    def __init__(
        self, name: str, cells: int, rounds: int, console: Console, *, done: int = 0
    ) -> None:
        super().__init__(name, cells, console, done=done)
        self._rounds = rounds
        self._running: dict[str, TaskID] = {}

    def begin(self, cell: str, position: int) -> None:  # noqa: ARG002 - Reporter
        """Add a bar for the cell's rounds."""
        self.phase("")
        self._running[cell] = self._progress.add_task("rounds", total=self._rounds, said=cell)

    def advance(self, cell: str, server_round: int, accuracy: float) -> None:
        """Move the cell's bar."""
        said = f"{cell}: accuracy {accuracy:.1%}"
        self._progress.update(self._running[cell], completed=server_round, said=said)

    def finish(self, cell: str, outcome: CellResult | str) -> None:
        """Take the cell's bar away, print a line above the others and move the bar of cells."""
        self._progress.remove_task(self._running.pop(cell))
        self.count(f"{cell}: {_said(outcome)}")


def _said(outcome: CellResult | str) -> str:
    if isinstance(outcome, str):
        return f"FAILED: {outcome}"
    return f"accuracy {outcome.accuracy:.1%} in {outcome.seconds:.1f} s"
