"""The table of a run for a paper: plain LaTeX, no packages needed."""

from collections.abc import Sequence

from .results import RunResult
from .tables import Summary, described
from .trainers import corner, trainer_notes, trainer_tables

__all__ = ["escape", "to_latex"]

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",  # noqa: RUF001 - the sign itself is what is replaced
    "α": r"$\alpha$",  # noqa: RUF001 - as above
}


def escape(text: str) -> str:
    """Return text as LaTeX prints it literally; a line's end becomes a space."""
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))


def to_latex(result: RunResult, summary: Summary) -> str:
    r"""Return the table, and those of trainers, as `table` environments, for `\input`."""
    config = result.config
    title, notes = config.title or config.name, described(result)
    lines = _table(title, config.name, "accuracy after the last round", summary, notes)
    for index, (trainers, table) in enumerate(trainer_tables(result).items(), start=1):
        label = f"{config.name}-trainers-{index}"
        lines += _table(f"{title}: {trainers}", label, corner(result), table, trainer_notes(result))
    return "\n".join(lines)


def _table(title: str, label: str, first: str, summary: Summary, notes: Sequence[str]) -> list[str]:
    columns = [first, *summary.columns]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(title)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * len(summary.columns)}}}",
        r"\hline",
        _row(columns),
        r"\hline",
    ]
    for row in summary.rows:
        marks = f"$^{{{','.join(str(mark) for mark in row.marks)}}}$" if row.marks else ""
        lines.append(_row([row.title, *row.values], marks))
    lines += [r"\hline", r"\end{tabular}", ""]
    lines += [
        rf"\par\footnotesize $^{{{mark}}}$ {escape(note)}"
        for mark, note in enumerate(summary.footnotes, start=1)
    ]
    return [*lines, rf"\par\footnotesize {escape(' '.join(notes))}", r"\end{table}", ""]


def _row(cells: list[str], marks: str = "") -> str:
    first, *others = (escape(cell) for cell in cells)
    return rf"{' & '.join([first + marks, *others])} \\"
