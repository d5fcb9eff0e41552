import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console

from fedledger.cli.options import Format
from fedledger.cli.render import show_run
from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.report.latex import to_latex
from fedledger.experiments.report.outputs import write_outputs
from fedledger.experiments.report.results import Accuracies, TrainersResult
from fedledger.experiments.report.tables import summarise
from fedledger.experiments.report.trainers import (
    corner,
    trainer_lines,
    trainer_notes,
    trainer_rows,
    trainer_tables,
)
from fedledger.experiments.run.rundir import RunDirectory

from ..small import small
from .test_outputs import made_up

ASKED = (
    "attacks=['none']",
    "malicious=[]",
    "validation=100",
    "training.steps=30",
    "trainers.epochs=3",
)
EACH = ", ".join(f"[{90 + n}, {80 + n}]" for n in range(7))
PAPER = (
    f"trainers.paper={{source='FLChain, table V', each=[{EACH}], alone=[70.5, 60.25], "
    "full=[99, 98], seconds=500000}"
)


def asked(folder, *changes, failed=()):
    """Return a run's result with invented trainers: those of the i-th cell are i points better."""
    result = made_up(folder, *ASKED, *changes, failed=failed)
    results = {}
    for index, cell in enumerate(result.cells):
        if cell.id not in result.results:
            continue
        better = index / 100
        each, alone = (
            tuple(Accuracies(validation=at + n / 100, test=at - n / 100) for n in range(7))
            for at in (0.7 + better, 0.4)
        )
        full = Accuracies(validation=0.95, test=0.9)
        trainers = TrainersResult(each=each, alone=alone, full=full)
        update = {"validation": 0.8 + better, "trainers": trainers}
        if not result.config.validation:
            update = {"trainers": trainers}
        results[cell.id] = result.results[cell.id].model_copy(update=update)
    return replace(result, results=results)


def test_each_trainer_has_a_line_and_the_papers_numbers_stand_beside(tmp_path):
    """Approaches go across; below the trainers their mean, the global model and both baselines."""
    result = asked(tmp_path, PAPER)
    (title, table), *others = trainer_tables(result).items()
    assert not others
    assert title == "Trainers"
    assert corner(result) == "accuracy, validation / test"
    assert table.columns == ("FedAvg", "PoFL", "paper")
    rows = {row.title: row.values for row in table.rows}
    assert list(rows) == [
        *(f"trainer {n}" for n in range(1, 8)),
        "trainers, mean",
        "global model",
        "single set",
        "full set",
    ]
    assert rows["trainer 1"] == ("70.00 / 70.00 %", "71.00 / 71.00 %", "90.00 / 80.00 %")
    assert rows["trainer 7"] == ("76.00 / 64.00 %", "77.00 / 65.00 %", "96.00 / 86.00 %")
    assert rows["trainers, mean"] == ("73.00 / 67.00 %", "74.00 / 68.00 %", "93.00 / 83.00 %")
    assert rows["global model"] == ("80.00 / 50.00 %", "81.00 / 51.00 %", "-")
    assert rows["single set"] == ("43.00 / 37.00 %", "43.00 / 37.00 %", "70.50 / 60.25 %")
    assert rows["full set"] == ("95.00 / 90.00 %", "95.00 / 90.00 %", "99.00 / 98.00 %")


def test_the_notes_say_how_long_and_how_far_apart(tmp_path):
    """Rounds, steps, seconds beside the paper's, and the largest gap between approaches."""
    notes = "\n".join(trainer_notes(asked(tmp_path, PAPER)))
    assert "2 rounds of 30 steps are 60 steps, in batches of 50 with" in notes
    assert "trained 3 epochs more on its own part" in notes
    assert "FedAvg: 1.5 s in all, 0.0003 % of the paper's." in notes
    assert "The paper's training took 500,000 s." in notes
    assert "by 1.00 points at most in the global model's accuracies, and by 1.00 in a tr" in notes
    assert "Paper: FLChain, table V." in notes


def test_the_learning_rate_said_is_the_one_used(tmp_path):
    """What a data set is tuned to stands in the note, and each data set has its own."""
    tuned = "tuning.digits={learning_rate=0.25, steps=4}"
    assert "2 rounds of 4 steps are 8 steps, in batches of 50 with a learning rate of 0.25." in (
        trainer_notes(asked(tmp_path, tuned))
    )


def test_several_seeds_give_means_of_seeds(tmp_path):
    """FedAvg's cells are 0 and 2 points better: the mean is 1 better, and the spread is theirs."""
    result = asked(tmp_path, "seeds=[1, 2]")
    (table,) = trainer_tables(result).values()
    rows = {row.title: row.values[0] for row in table.rows}
    assert rows["trainer 1"] == "71.00 ± 1.41 / 71.00 ± 1.41 %"
    assert rows["single set"] == "43.00 ± 0.00 / 37.00 ± 0.00 %"
    assert "by 1.00 points at most" in "\n".join(trainer_notes(result))


def test_without_validation_images_there_is_one_number(tmp_path):
    """The table has test accuracies alone, the paper's too."""
    result = asked(tmp_path, "validation=0", PAPER)
    (table,) = trainer_tables(result).values()
    assert corner(result) == "accuracy, test"
    assert table.rows[0].values == ("70.00 %", "71.00 %", "80.00 %")


def test_a_failed_cell_is_failed_in_every_line(tmp_path):
    """Nothing of it is in the rows, and no gap is told to what is not there."""
    result = asked(tmp_path, failed=[1])
    (table,) = trainer_tables(result).values()
    assert {row.values[1] for row in table.rows} == {"failed"}
    assert {row["approach"] for row in trainer_rows(result)} == {"FedAvg"}
    notes = "\n".join(trainer_notes(result))
    assert "differ" not in notes
    assert "PoFL:" not in notes


def test_a_resumed_cells_seconds_are_not_the_rounds(tmp_path):
    """Its clock began in the middle: the note leaves it out."""
    result = asked(tmp_path)
    resumed = {
        id_: one.model_copy(update={"resumed_after": 1}) for id_, one in result.results.items()
    }
    assert "s in all" not in "\n".join(trainer_notes(replace(result, results=resumed)))


def test_partitions_and_attacks_have_tables_of_their_own(tmp_path):
    """No mean goes over different data."""
    tables = trainer_tables(asked(tmp_path, "partitions=['iid', {name='fang', q=0.5}]"))
    assert list(tables) == ["Trainers, no attack, iid", "Trainers, no attack, fang(q=0.5)"]


def test_every_form_is_well_formed(tmp_path, monkeypatch, capsys):
    """Markdown and LaTeX have as many cells in each row; CSV reads back; the console shows all."""
    result = asked(tmp_path, PAPER, r"approaches.FedAvg.name='F&A|v\g%'")
    table = [line for line in trainer_lines(result) if line.startswith("|")]
    assert {line.count("|") for line in table} == {5}
    text = to_latex(result, summarise(result))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in rows[-11:]} == {3}
    write_outputs(RunDirectory(tmp_path), result)
    written = (tmp_path / "trainers.csv").read_text(encoding="utf-8")
    read = list(csv.DictReader(io.StringIO(written)))
    assert len(read) == len(trainer_rows(result)) == 2 * 16
    assert (read[0]["model"], read[0]["validation"], read[0]["seed"]) == ("trainer 1", "0.7", "1")
    monkeypatch.setattr("fedledger.cli.render.Console", lambda: Console(width=100))
    show_run(result, Format.text)
    said = capsys.readouterr().out
    assert "trainers, mean" in said
    assert "The paper's training took 500,000 s." in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (PAPER.replace("[90, 80], ", ""), "trainers.paper.each has 6 trainers, there are 7"),
        (PAPER.replace("[90, 80]", "[0.9, 180]"), "trainers.paper.each.0.1"),
        (PAPER.replace("[90, 80]", "[90]"), "trainers.paper.each.0.1"),
        (PAPER.replace("alone=", "allone="), "allone.*did you mean 'alone'"),
        (PAPER.replace("500000", "0"), "trainers.paper.seconds"),
        ("trainers.epochs=0", "trainers.epochs"),
        ("trainers.steps=1", "key of .trainers. in .*steps"),
        ("training.steps=0", "training.steps"),
        ("validation=-1", "validation"),
        ("validation=0.5", "validation"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, change, said):
    """A wrong number, length or name is refused when the config is read, with its place."""
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        small(tmp_path, *ASKED, change)
