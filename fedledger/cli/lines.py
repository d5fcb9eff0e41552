"""Text from strangers on lines of ours, and tables that fit where they are read."""

import io
import logging
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["any_encoding", "date_of", "flushed", "laid_out", "log_to_stderr", "one_line", "records"]

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def any_encoding() -> None:
    """Let standard output and error say in escapes what their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def flushed() -> Iterator[None]:
    """Write out standard output at the end, so that a full disk is heard of while it can be said.

    Raises:
        OSError: it cannot be written.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError:
        # The interpreter tries it again when it ends, and would complain.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def one_line(text: str) -> str:
    """Return text with everything escaped that is no letter, mark or plain space."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def log_to_stderr() -> None:
    """Let a server's process log, each record on one line: what strangers send looks like no more.

    A traceback comes below its line as it is.
    """
    log = logging.StreamHandler()
    log.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[log], level=logging.WARNING)
    logging.getLogger("fedledger").setLevel(logging.INFO)


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line with control characters escaped."""
        return one_line(super().formatMessage(record))


def date_of(milliseconds: int) -> str:
    """Return a block's time, in milliseconds since 1970, as people write it, in UTC."""
    try:
        moment = _BEGIN + timedelta(milliseconds=milliseconds)
    except OverflowError:  # a chain may say anything
        return f"{milliseconds} ms"
    return moment.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def laid_out(
    console: "Console",
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    *,
    headings: bool = True,
) -> list[str]:
    """Return the lines of a table; where it is wider than the terminal, a line for each value.

    Without headings the last column is prose, and is wrapped. What goes into a file or a pipe has a
    line a row.

    Args:
        console: where it will be printed.
        rows: a text for each column.
        columns: the columns' headings.
        headings: whether they are printed.
    """
    lines = [columns, *rows] if headings else list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    found = []
    for line in lines:
        padded = (entry.ljust(width) for entry, width in zip(line, widths, strict=True))
        found.append("  ".join(padded).rstrip())
    if not console.is_terminal or max(map(len, found)) <= console.width:
        return found
    if not headings:
        return [text for row in rows for text in _hanging(row, widths, console.width)]
    return records(rows, columns)


def records(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> list[str]:
    """Return a table's lines with one for each value, and an empty one between its rows."""
    label = max(map(len, columns)) + 2
    found = []
    for row in rows:
        named = zip(columns, row, strict=True)
        found += [*(f"{column:<{label}}{one}".rstrip() for column, one in named), ""]
    return found[:-1]


def _hanging(row: Sequence[str], widths: Sequence[int], room: int) -> list[str]:
    begin = "".join(f"{one:<{width}}  " for one, width in zip(row, widths[:-1], strict=False))
    indent = len(begin) if len(begin) <= room // 2 else 4
    lines = textwrap.wrap(
        row[-1],
        max(room - indent, 20),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
    if indent < len(begin):
        return [begin.rstrip(), *(" " * indent + line for line in lines)]
    return [(begin + lines[0]).rstrip(), *(" " * indent + line for line in lines[1:])]
