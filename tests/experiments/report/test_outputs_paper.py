import csv
import io
import tomllib

import pytest
import tomli_w

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.config.parsing import parse
from fedledger.experiments.report.latex import escape, to_latex
from fedledger.experiments.report.outputs import to_csv, write_outputs
from fedledger.experiments.report.plots import draw, draw_figure, plot
from fedledger.experiments.report.tables import summarise, to_markdown
from fedledger.experiments.run.rundir import RunDirectory

from ..small import small
from .test_outputs import made_up

PAPER = (
    "paper=[{source='Table 7', attack='label_flip', malicious=0.15, accuracy={PoFL=92.3}}, "
    "{source='Table 8', attack='none', malicious=0, accuracy={FedAvg=92.5, PoFL=90}}]"
)
FIGURES = (
    "figures=[{name='5', title='Figure 5', approaches=['PoFL'], attacks=['none', 'label_flip'], "
    "malicious=[0.3]}]"
)
MANY = "malicious=[0.15, 0.2, 0.3, 0.4, 0.45, 0.55]"


def test_a_papers_number_stands_beside_ours_in_every_form(tmp_path):
    """Where the paper has a number each table has both, elsewhere ours alone."""
    result = made_up(tmp_path, PAPER)
    summary = summarise(result)
    assert [row.values for row in summary.rows] == [
        ("50.0 % (paper 92.5)", "52.0 %", "0.75 s"),
        ("51.0 % (paper 90.0)", "53.0 % (paper 92.3)", "0.75 s"),
    ]
    markdown = to_markdown(result, summary)
    assert "| 53.0 % (paper 92.3) |" in markdown
    assert "what the paper reports (Table 7; Table 8)" in markdown
    assert r"53.0 \% (paper 92.3)" in to_latex(result, summary)
    read = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [row["paper"] for row in read] == ["0.925", "0.9", "", "0.923"]
    assert result.to_json()["rows"][3]["paper"] == 0.923


def test_without_a_paper_nothing_of_it_is_there(tmp_path):
    """Rows keep their keys and tables their text."""
    result = made_up(tmp_path)
    assert "paper" not in result.rows()[0]
    assert "paper" not in to_markdown(result, summarise(result))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (PAPER.replace("PoFL=92.3", "Pofl=92.3"), "approach of paper.0.*'Pofl'.*PoFL"),
        (PAPER.replace("'label_flip'", "'lable_flip'"), "attack of paper.0.*label_flip"),
        (PAPER.replace("malicious=0.15", "malicious=0"), "malicious is 0"),
        (PAPER.replace("92.3", "920"), "paper.0.accuracy"),
        (PAPER.replace("accuracy={PoFL=92.3}", "accuracy={}"), "paper.0.accuracy"),
        (PAPER.replace("source='Table 7'", "sourse='x'"), "sourse.*source"),
        (FIGURES.replace("'PoFL'", "'Krum'"), "approach of figures.0.*Krum"),
        (FIGURES.replace("'none', 'label_flip'", "'alie'"), "attack of figures.0.*alie"),
        ("cells='figures'", "no figure shows a cell"),
    ],
)
def test_what_paper_and_figures_name_must_be_there(tmp_path, change, said):
    """A wrong name or number is refused when the config is read, with its place and the nearest."""
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        small(tmp_path, change)


def test_paper_and_figures_read_back(tmp_path):
    """The config that a run writes down has them."""
    config = small(tmp_path, PAPER, FIGURES)
    again = parse(tomllib.loads(tomli_w.dumps(config.to_toml())), "again")
    assert again == config


def test_a_grid_of_figures_has_their_cells_alone(tmp_path):
    """Of 2 approaches under 1 + 2 attacks the figure shows one, without and with 30 %."""
    cells = small(
        tmp_path, FIGURES, "cells='figures'", "malicious=[0.15, 0.3]", "rounds=1", *STRICT
    ).matrix
    assert [(cell.approach.name, cell.scenario.malicious) for cell in cells] == [
        ("PoFL", 0.0),
        ("PoFL", 0.3),
    ]


STRICT = ("approaches.PoFL.strict=false", "approaches.PoFL.byzantine=1")


def test_a_figure_shows_errors_of_its_cells(tmp_path):
    """A line for each of its cells, one minus accuracy, and files named after it."""
    result = made_up(tmp_path, FIGURES, "malicious=[0.15, 0.3]", *STRICT)
    figure = draw_figure(result, result.config.figures[0])
    lines = figure.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines] == [
        pytest.approx([0.9, 0.55, 0.49]),
        pytest.approx([0.9, 0.55, 0.45]),
    ]
    assert {"figure-5.png", "figure-5.svg", "accuracy.png"} <= set(plot(result))


def test_many_attacks_go_down_and_have_panels_of_their_own(tmp_path):
    """Seven columns would not fit: approaches go across, and no line hides among fourteen."""
    result = made_up(tmp_path, MANY, *STRICT)
    summary = summarise(result)
    assert summary.columns == ("FedAvg", "PoFL")
    assert [row.title for row in summary.rows][:2] == ["no attack", "label_flip, 15 %"]
    assert summary.rows[1].values == ("52.0 %", "53.0 %")
    panels = [axes for axes in draw(result).axes if axes.get_visible()]
    assert len(panels) == 7
    assert all(len(axes.get_lines()) == 2 for axes in panels)


def test_a_figure_without_results_is_still_drawn(tmp_path):
    """All cells failed: the files are there, empty of lines."""
    result = made_up(tmp_path, FIGURES, MANY, *STRICT, failed=range(14))
    write_outputs(RunDirectory(tmp_path), result)
    assert (tmp_path / "figure-5.svg").stat().st_size > 0


def test_latex_prints_every_special_character_literally():
    """Each of TeX's ten specials is escaped, and so are signs its fonts lack."""
    assert escape("a_b & 5 % #1 $x {y} ~ ^ \\") == (
        r"a\_b \& 5 \% \#1 \$x \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escape("1 ± 2 ≥ 3\n<|>") == (r"1 $\pm$ 2 $\geq$ 3 \textless{}\textbar{}\textgreater{}")


def test_the_latex_table_is_well_formed(tmp_path):
    """Every row has as many cells as columns; environments close; a hostile name stays text."""
    result = made_up(
        tmp_path,
        "seeds=[1, 2]",
        r"approaches.FedAvg.name='F&A_v\g%'",
        "malicious=[0.3]",
        "approaches.PoFL.strict=false",
    )
    text = to_latex(result, summarise(result))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3
    assert all(row.replace(r"\&", "").count("&") == 3 for row in rows)
    assert r"F\&A\_v\textbackslash{}g\%" in text
    assert r"PoFL$^{1}$" in text
    assert r"$\pm$" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
