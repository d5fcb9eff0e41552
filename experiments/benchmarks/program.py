"""A benchmark as a program: numbers as options, and what was measured as a table or as JSON."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from rich.console import Console, RenderableType

__all__ = ["Told", "told"]


class Told(Protocol):
    """What was measured."""

    def document(self) -> Mapping[str, object]:
        """Return everything as JSON has it."""


M = TypeVar("M", bound=Told)


def told(  # noqa: PLR0917 - a program, from its description to its output
    description: str,
    options: Mapping[str, tuple[int, str]],
    measure: Callable[..., M],
    table: Callable[[M], RenderableType],
    lines: Callable[[M], Sequence[str]],
    arguments: Sequence[str] | None,
) -> int:
    """Read options, measure, and print; return the exit status.

    Args:
        description: what `--help` says first.
        options: name of each whole number to its default, and what it is.
        measure: takes all of them by name.
        table: what people are shown.
        lines: what they are told besides.
        arguments: of the command line; None: this program's.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, (default, about) in options.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=default, help=f"{about} ({default})")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    given = vars(parser.parse_args(arguments))
    form = given.pop("format")
    measured = measure(**given)
    if form == "json":
        sys.stdout.write(json.dumps(measured.document(), indent=2) + "\n")
        return 0
    console = Console()
    console.print(table(measured))
    for line in lines(measured):
        console.print(line)
    return 0
