"""A run says in how many of its rounds an attack really happened."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import support

from fedledger.experiments import load_config, run_experiment
from fedledger.experiments.adversary.attacks import ATTACKS, ModelAttack
from fedledger.experiments.report.tables import summarise, to_markdown
from fedledger.experiments.run.federation import federation_of
from fedledger.experiments.run.runner import _Progress

from ..small import small

SHARED = Path(support.__path__[0]).parent


@dataclass(frozen=True)
class Sometimes(ModelAttack):
    """Makes something in some rounds, and leaves the models alone in others."""

    def craft(self, knowledge, rng):
        return knowledge.own + np.float32(1) if rng.random() < 0.79 else knowledge.own


@pytest.fixture
def sometimes(monkeypatch):
    monkeypatch.setitem(ATTACKS._entries, "sometimes", f"{__name__}:Sometimes")


CHANGES = (
    "attacks=['none','sometimes']",
    "rounds=6",
    "malicious=[0.3]",
    "latency.exchange=30.0",
    "approaches=[{name='FedAvg',strategy='fedavg'},{name='window',strategy='median',window=10}]",
)


def attacked(result):
    """Return (rounds, attacked, arrived) by approach, of the cells that are attacked."""
    cells = result.to_json()["cells"]
    return {
        row["approach"]: (row["rounds"], row["attacked_rounds"], cell["arrived_rounds"])
        for row, cell in zip(result.rows(), cells, strict=True)
        if row["attack"] != "none"
    }


def uploads(result):
    """Return for each round of the attacked FedAvg cell how many clients attacked."""
    [cell] = [c for c in result.to_json()["cells"] if c["id"].startswith("fedavg--sometimes")]
    return cell["attacked"]


def test_rounds_without_a_crafted_model_are_not_attacked(tmp_path, sometimes):
    """Uploads of one's own model are none; where colluders are late, none reached the rule."""
    result = run_experiment(small(tmp_path, *CHANGES), out=tmp_path, progress=False)
    assert result.audit.passed, result.audit.verdict
    times = sum(each > 0 for each in uploads(result))
    assert 0 < times < 6
    assert set(uploads(result)) == {0, 2}
    assert attacked(result) == {
        "FedAvg": (6, times, times),
        "window": (6, times, 0),
    }
    assert [row["attacked_rounds"] for row in result.rows()][:2] == [0, 0]
    with (result.directory / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["attacked_rounds"] for row in rows] == ["0"] * 2 + [str(times)] * 2
    assert {row["rounds"] for row in rows} == {"6"}
    text = to_markdown(result, summarise(result))
    assert f"(attacked {times}/6)" in text
    assert f"(attacked {times}/6, in time 0)" in text
    assert "Attacked 4/12: in 4 of 12 rounds" in text
    assert "attacked" in (result.directory / "table.tex").read_text(encoding="utf-8")
    none = [line for line in text.splitlines() if line.startswith("| FedAvg")]
    assert none[0].split("|")[2].count("attacked") == 0


def test_a_resumed_run_counts_the_rounds_before_it_was_killed(tmp_path, sometimes, monkeypatch):
    """Ended in the middle of a cell, it goes on to the same counts, round by round."""
    config = small(tmp_path, *CHANGES, "attacks=['sometimes']")
    whole = run_experiment(config, out=tmp_path / "whole", progress=False)
    advance = _Progress.advance

    def killed(self, cell, server_round, accuracy):
        advance(self, cell, server_round, accuracy)
        if server_round == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_Progress, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, out=tmp_path / "cut", progress=False)
    [folder] = (tmp_path / "cut").glob("small/*")
    resumed = run_experiment(config, resume=folder, progress=False)
    assert resumed.audit.passed, resumed.audit.verdict
    assert any(found.resumed_after for found in resumed.results.values())
    assert attacked(resumed) == attacked(whole)
    assert uploads(resumed) == uploads(whole)


IN_ENGINE = """
from pathlib import Path
from fedledger.experiments import load_config, run_experiment
config = load_config(Path({path!r}), overrides={changes!r})
result = run_experiment(config, out=Path({out!r}), progress=False)
assert result.audit.passed, result.audit.verdict
"""


@pytest.mark.soak
def test_every_engine_counts_alike(tmp_path):
    """Flower's own simulation, this process, and workers beside it: the Krum attack and others."""
    changes = (
        "attacks=['krum_attack','gaussian','label_flip']",
        "malicious=[0.3]",
        "approaches=[{name='Krum',strategy='krum',window=10.0}]",
    )
    engines = {
        "flower": ("engine='flower'",),
        "inprocess": (),
        "workers": ("jobs=2", "ledger='local://{run}/cells/{cell}.db'"),
    }
    small(tmp_path)
    found = {}
    for engine, more in engines.items():
        out = tmp_path / engine
        code = IN_ENGINE.format(
            path=str(tmp_path / "small.toml"), changes=[*changes, *more], out=str(out)
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(SHARED)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        [written] = out.glob("small/*/results.json")
        content = json.loads(written.read_text(encoding="utf-8"))
        found[engine] = (
            [(row["attack"], row["attacked_rounds"]) for row in content["rows"]],
            [(cell["attacked"], cell["arrived"]) for cell in content["cells"]],
        )
    assert found["flower"] == found["inprocess"] == found["workers"]
    assert [name for name, _ in found["flower"][0]] == ["krum_attack", "gaussian", "label_flip"]


def test_poison_that_changes_nothing_is_no_attack(tmp_path):
    """Who holds no image that the attack is about trains as an honest client."""
    config = small(
        tmp_path,
        "attacks=[{name='label_flip',source=2,target=0}]",
        "partitions=[{name='fang',q=1.0}]",
        "clients=10",
        "malicious=[0.1, 0.9]",
        "approaches=[{name='FedAvg',strategy='fedavg'}]",
    )
    for cell in config.matrix:
        federation = federation_of(cell.scenario.model_dump_json())
        holds = {
            client
            for client in federation.malicious
            if (federation.dataset.train_y[federation.parts[client]] == 2).any()
        }
        assert federation.poisoned == holds
    many = federation_of(config.matrix[-1].scenario.model_dump_json())
    assert 0 < len(many.poisoned) < len(many.malicious)


def test_a_cell_of_an_earlier_version_says_that_nothing_was_counted(tmp_path):
    """Its result has no such field: no number is made up for it."""
    result = run_experiment(small(tmp_path), out=tmp_path, progress=False)
    for path in (result.directory / "cells").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["attacked"], content["arrived"]
        path.write_text(json.dumps(content), encoding="utf-8")
    again = run_experiment(
        load_config(result.directory / "config.toml"), resume=result.directory, progress=False
    )
    assert [row["attacked_rounds"] for row in again.rows()] == [None] * 4
    notes = [again.footnotes(cell) for cell in again.cells]
    assert ["did not count attacked rounds" in " ".join(each) for each in notes] == [
        False,
        False,
        True,
        True,
    ]
