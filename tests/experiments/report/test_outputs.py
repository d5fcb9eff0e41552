import csv
import io
import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fedledger.experiments.report.audit import AuditedLedger, RunAudit
from fedledger.experiments.report.outputs import to_csv, write_outputs
from fedledger.experiments.report.plots import draw, plot
from fedledger.experiments.report.results import CellResult, RunResult
from fedledger.experiments.report.tables import heading, summarise, to_markdown
from fedledger.experiments.run.progress import Bars, Lines, Silent, make_reporter
from fedledger.experiments.run.rundir import RunDirectory
from fedledger.ledger_plugins import Head
from fedledger.strategies.rounds.evidence.checks import Outcome

from ..small import small


def made_up(folder, *changes, failed=(), reason=None):
    """Return a run's result with invented numbers: cell i reaches 0.50 + i/100."""
    config = small(folder, *changes)
    results, failures = {}, {}
    for index, cell in enumerate(config.matrix):
        if index in failed:
            failures[cell.id] = "RunError: client 3 failed"
            continue
        final = 0.5 + index / 100
        results[cell.id] = CellResult(
            id=cell.id,
            accuracy=final,
            accuracy_by_round=(0.1, 0.45, final),
            seconds=1.5,
            rules=("krum", "bulyan"),
            attacked=(cell.scenario.malicious_clients,) * 2,
            arrived=(cell.scenario.malicious_clients,) * 2,
            task=index + 1,
            model=f"bafy{index}",
        )
    head = Head(block=9, hash="0xabc", timestamp=1)
    outcome = Outcome.FAILED if reason else Outcome.PASSED
    ledger = AuditedLedger("local://{run}/chain.db", outcome, reason, head, (), False)
    return RunResult(Path(folder), config, results, failures, RunAudit((ledger,)))


def test_the_table_has_approaches_down_and_attacks_across(tmp_path):
    """Each value stands where its approach and its attack meet."""
    summary = summarise(made_up(tmp_path))
    assert summary.columns == ("no attack", "label_flip, 15 %", "time of a round")
    assert [(row.title, row.values) for row in summary.rows] == [
        ("FedAvg", ("50.0 %", "52.0 %", "0.75 s")),
        ("PoFL", ("51.0 %", "53.0 %", "0.75 s")),
    ]


def test_several_seeds_give_mean_and_standard_deviation(tmp_path):
    """Three seeds at 50, 54 and 58 %: 54.0 ± 4.0 %."""
    summary = summarise(made_up(tmp_path, "seeds=[1, 2, 3]"))
    assert summary.rows[0].values[0] == "54.0 ± 4.0 %"


def test_data_sets_and_partitions_have_rows_of_their_own(tmp_path):
    """Nothing is averaged over different data."""
    summary = summarise(made_up(tmp_path, "partitions=['iid', {name='fang', q=0.5}]"))
    assert [row.title for row in summary.rows] == [
        "FedAvg, iid",
        "PoFL, iid",
        "FedAvg, fang(q=0.5)",
        "PoFL, fang(q=0.5)",
    ]


def test_a_rule_without_its_guarantee_carries_a_footnote(tmp_path):
    """PoFL with strict = false and n < 4f+3 is marked in the table and in results.json."""
    result = made_up(tmp_path, "malicious=[0.3]", "approaches.PoFL.strict=false")
    summary = summarise(result)
    assert [row.marks for row in summary.rows] == [(), (1,)]
    assert "n ≥ 11" in summary.footnotes[0]
    text = to_markdown(result, summary)
    assert "PoFL [1]" in text
    assert f"[1] {summary.footnotes[0]}" in text
    assert result.to_json()["cells"][1]["footnotes"] == list(summary.footnotes)


def test_a_failed_cell_is_failed_everywhere(tmp_path):
    """A cell without a result is 'failed' in the table, empty in rows, named with its error."""
    result = made_up(tmp_path, failed=[1])
    assert not result.passed
    assert summarise(result).rows[1].values == ("failed", "53.0 %", "0.75 s")
    assert result.rows()[1]["accuracy"] is None
    assert result.to_json()["cells"][1]["error"] == "RunError: client 3 failed"


def test_a_failed_audit_fails_the_run_and_says_why(tmp_path):
    """The verdict's line carries the reason."""
    result = made_up(tmp_path, reason="task 1, round 2: the aggregate differs")
    assert not result.passed
    assert result.audit.verdict == "audit: FAILED: task 1, round 2: the aggregate differs"
    assert "FAILED: task 1" in to_markdown(result, summarise(result))


def test_a_run_has_the_outcome_of_its_audit_unless_a_cell_failed(tmp_path):
    """What could not be checked is not called failed, and hides no failed cell."""
    nothing = replace(made_up(tmp_path), audit=RunAudit(()))
    assert nothing.outcome is Outcome.UNCHECKED
    assert replace(nothing, failures={"1": "RunError: client 3 failed"}).outcome is Outcome.FAILED


def test_no_ledger_is_no_pass():
    """An audit that looked at nothing did not pass."""
    assert not RunAudit(()).passed
    assert RunAudit(()).verdict == "audit: could not check: there is no ledger to audit"


def test_csv_has_the_rows(tmp_path):
    """results.csv reads back as the rows, one a line."""
    result = made_up(tmp_path)
    read = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [row["accuracy"] for row in read] == [str(row["accuracy"]) for row in result.rows()]
    assert read[2]["attack"] == "label_flip"


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["seeds=[1, 2, 3]"],
        ["partitions=['iid', {name='fang', q=0.5}]"],
        ["malicious=[0.15, 0.3]", "approaches.PoFL.strict=false"],
    ],
)
def test_the_plot_shows_every_approach_under_every_attack(tmp_path, changes):
    """One line for each, its final accuracy in the legend; lines differ without colour too."""
    result = made_up(tmp_path, *changes)
    figure = draw(result)
    expected = len({heading(cell) for cell in result.cells}) * 2
    for axes in figure.axes:
        lines = axes.get_lines()
        assert len(lines) == expected
        looks = {
            (line.get_marker(), str(line.get_linestyle()), str(vars(line)["_dash_pattern"]))
            for line in lines
        }
        assert len(looks) == expected
        assert all(np.array_equal(np.asarray(line.get_xdata()), [0, 1, 2]) for line in lines)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == expected
    assert all(label.endswith(" %") for label in labels)


def test_plots_are_files_of_their_kind_and_reproducible(tmp_path):
    """The PNG is a PNG of a readable size, the SVG is XML with its text as text; bytes repeat."""
    result = made_up(tmp_path)
    files = plot(result)
    assert files == plot(result)
    width, height = struct.unpack(">II", files["accuracy.png"][16:24])
    assert files["accuracy.png"].startswith(b"\x89PNG")
    assert width > 900 < height * 2
    assert ET.fromstring(files["accuracy.svg"]).tag.endswith("svg")  # noqa: S314 - our own file
    assert b"accuracy on the test images" in files["accuracy.svg"]


def test_a_run_in_which_everything_is_right_has_an_axis(tmp_path):
    """Accuracies of 100 % in every round leave an axis with a length; a warning would fail this."""
    result = made_up(tmp_path)
    for name, cell in result.results.items():
        result.results[name] = cell.model_copy(
            update={"accuracy": 1.0, "accuracy_by_round": (0.1, 1.0, 1.0)}
        )
    assert plot(result)["accuracy.png"].startswith(b"\x89PNG")


def test_a_run_in_which_everything_failed_still_leaves_its_files(tmp_path):
    """No result at all: tables and an empty plot are written, nothing raises."""
    result = made_up(tmp_path, failed=range(4))
    write_outputs(RunDirectory(tmp_path), result)
    assert (tmp_path / "accuracy.png").stat().st_size > 0
    assert "failed" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_a_file_is_whole_or_not_there(tmp_path):
    """A write that fails leaves the old content and no rest."""
    run = RunDirectory(tmp_path)
    run.write("a.json", "old")
    with pytest.raises(TypeError):
        run.write_json("a.json", object())
    with pytest.raises(TypeError):
        run.write("a.json", 5)
    assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def told(kind):
    text = io.StringIO()
    console = Console(file=text, force_terminal=kind is Bars, width=100)
    result = CellResult(
        id="a",
        accuracy=0.9,
        accuracy_by_round=(0.1, 0.9),
        seconds=2,
        rules=("krum",),
        task=1,
        model="x",
    )
    with kind("test", 2, 1, console) as reporter:
        reporter.note("folder [x]")
        reporter.phase("starting")
        reporter.begin("a", 1)
        reporter.advance("a", 1, 0.9)
        reporter.finish("a", result)
        reporter.begin("b", 2)
        reporter.finish("b", "RunError: [client 3] failed")
        reporter.phase("done")
    return text.getvalue()


@pytest.mark.parametrize("kind", [Bars, Lines])
def test_progress_tells_cells_results_and_failures(kind):
    """Bars and lines both name what happened, brackets and all."""
    said = told(kind)
    for part in ("folder [x]", "accuracy 90.0% in 2.0 s", "FAILED: RunError: [client 3] failed"):
        assert part in said
    assert ("\x1b" in said) == (kind is Bars)


def test_a_pipe_gets_lines_and_silence_is_silent(capsys):
    """Where standard error is no terminal there are no bars; unasked, nothing is shown."""
    assert isinstance(make_reporter("x", 1, 1, shown=True), Lines)
    with make_reporter("x", 1, 1, shown=False) as silent:
        assert isinstance(silent, Silent)
        silent.phase("nothing")
    assert capsys.readouterr() == ("", "")
