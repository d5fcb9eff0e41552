import json
import logging
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import torch

from fedledger.errors import ConfigError, RunError
from fedledger.experiments import run_experiment
from fedledger.experiments.config.cells import cell_of
from fedledger.experiments.report.audit import audit_run, audit_urls
from fedledger.experiments.run.federation import federation_of
from fedledger.experiments.run.rundir import RunDirectory

from ..small import small

ROW = {"approach", "attack", "malicious", "dataset", "partition", "seed", "accuracy", "seconds"}
ROW |= {"rounds", "attacked_rounds"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of four cells, finished and audited."""
    folder = tmp_path_factory.mktemp("finished")
    return run_experiment(small(folder), out=folder, progress=False)


def models(result):
    return {cell: found.model for cell, found in result.results.items()}


def test_a_run_ends_with_results_evidence_and_a_passed_audit(finished):
    """Each cell has a row of exactly the agreed keys, and the audit saw every round."""
    assert finished.passed
    assert finished.audit.verdict == "audit: passed"
    assert finished.audit.rounds == 4 * 2
    written = json.loads((finished.directory / "results.json").read_text(encoding="utf-8"))
    assert [set(row) for row in written["rows"]] == [ROW] * 4
    assert [(row["approach"], row["attack"], row["malicious"]) for row in written["rows"]] == [
        ("FedAvg", "none", 0.0),
        ("PoFL", "none", 0.0),
        ("FedAvg", "label_flip", 0.15),
        ("PoFL", "label_flip", 0.15),
    ]
    assert all(0 < row["accuracy"] <= 1 < 1000 * row["seconds"] for row in written["rows"])
    assert all(len(cell["accuracy_by_round"]) == 3 for cell in written["cells"])
    assert written["chain"][0]["hash"] == finished.audit.ledgers[0].head.hash


def test_the_folder_holds_what_a_reader_needs(finished):
    """Config, manifest, evidence, cells, tables and plots are there; nothing half-written."""
    names = {path.name for path in finished.directory.iterdir()}
    assert names >= {
        "config.toml",
        "run.json",
        "chain.db",
        "store",
        "run.log",
        "results.json",
        "results.csv",
        "table.md",
        "accuracy.png",
        "accuracy.svg",
    }
    assert len(list((finished.directory / "cells").iterdir())) == 4
    assert not [name for name in names if name.startswith(".")]
    assert (finished.directory / "simulation.secret").stat().st_mode & 0o077 == 0


def test_the_cells_are_listed_once(tmp_path, monkeypatch):
    """Loading, running, the manifest, tables and plots share one list of cells."""
    listed = []

    def counted(approach, scenario, **options):
        listed.append(cell := cell_of(approach, scenario, **options))
        return cell

    monkeypatch.setattr("fedledger.experiments.config.experiment.cell_of", counted)
    config = small(tmp_path, "rounds=1")
    result = run_experiment(config, out=tmp_path, progress=False)
    assert result.passed
    assert [cell.id for cell in listed] == [cell.id for cell in config.matrix]
    assert result.cells is config.matrix
    changed = config.model_copy(update={"seeds": (2,)})
    assert {cell.scenario.seed for cell in changed.matrix} == {2}


def test_the_same_seed_gives_the_same_models(finished, tmp_path):
    """Accounts, chain, times and how models travel may differ, final models do not."""
    again = run_experiment(small(tmp_path, "transport='store'"), out=tmp_path, progress=False)
    assert models(again) == models(finished)
    assert again.audit.ledgers[0].head != finished.audit.ledgers[0].head


def test_a_finished_run_is_not_run_again(finished, monkeypatch):
    """Resuming what is complete starts no engine and gives the same results."""
    monkeypatch.setattr("fedledger.experiments.run.runner.get_engine", None)
    again = run_experiment(finished.config, resume=finished.directory, progress=False)
    assert again.results == finished.results
    assert again.passed


def test_a_run_goes_on_only_with_its_own_config(finished, tmp_path):
    """Another value is refused by name; another engine is fine, since results are the same."""
    with pytest.raises(RunError, match="another training"):
        run_experiment(
            small(tmp_path, "training.epochs=2"), resume=finished.directory, progress=False
        )
    RunDirectory.open(finished.directory).check_same(small(tmp_path, "engine=flower"))
    with pytest.raises(RunError, match=r"config\.toml is missing"):
        run_experiment(finished.config, resume=tmp_path, progress=False)


def test_a_config_that_was_changed_in_the_folder_is_refused(finished, tmp_path):
    """Cells finished before it would stand beside others; engine and jobs change no result."""
    copy = copy_of(finished, tmp_path)
    written = (copy / "config.toml").read_text(encoding="utf-8")
    (copy / "config.toml").write_text("jobs = 1\n" + written, encoding="utf-8")
    RunDirectory.open(copy).check_same(RunDirectory.open(copy).config)
    (copy / "config.toml").write_text(
        written.replace("learning_rate = ", "learning_rate = 1"), encoding="utf-8"
    )
    with pytest.raises(RunError, match=r"config\.toml was changed after the run began"):
        run_experiment(RunDirectory.open(copy).config, resume=copy, progress=False)


def test_approaches_share_data_partition_and_liars(tmp_path):
    """Cells of one scenario differ in how the server aggregates and in nothing else."""
    cells = small(tmp_path, "malicious=[0.15, 0.3]", "approaches.PoFL.strategy=median").matrix
    by_fraction: dict[float, list[Any]] = {}
    for cell in cells:
        federation = federation_of(cell.scenario.model_dump_json())
        by_fraction.setdefault(cell.scenario.malicious, []).append(federation)
    for same in by_fraction.values():
        assert len({id(federation) for federation in same}) == 1
    none, few, many = (by_fraction[fraction][0].malicious for fraction in (0.0, 0.15, 0.3))
    assert none == frozenset()
    assert (len(few), len(many)) == (1, 2)
    assert few < many


def test_only_malicious_clients_lie(tmp_path):
    """Poisoned labels reach the malicious clients' training data and nobody else's."""
    attacked = small(tmp_path).matrix[-1].scenario
    federation = federation_of(attacked.model_dump_json())
    for client, part in enumerate(federation.parts):
        truth = federation.dataset.train_y[part]
        _, labels = federation.client_data(client)
        expected = 9 - truth if client in federation.malicious else truth
        assert (labels == expected).all()


def test_a_cell_that_fails_is_reported_and_the_others_run(tmp_path):
    """A client's error fails its cell with its own words; other cells finish; the run fails."""
    broken = "attacks=['none', {name='label_flip', source=11, target=0}]"
    result = run_experiment(small(tmp_path, broken, "rounds=1"), out=tmp_path, progress=False)
    assert not result.passed
    assert len(result.results) == 2
    assert len(result.failures) == 2
    assert all("number of classes" in failure for failure in result.failures.values())
    written = json.loads((result.directory / "results.json").read_text(encoding="utf-8"))
    assert [row["accuracy"] is None for row in written["rows"]] == [False, False, True, True]
    assert "failed" in (result.directory / "table.md").read_text(encoding="utf-8")


def test_a_ledger_that_cannot_be_opened_is_said_once(tmp_path):
    """Where no cell could have it, none is begun: there is one error instead of a table."""
    config = small(tmp_path, "ledger=local://no/slash.db", "store=file:///nowhere/store")
    with pytest.raises(ConfigError, match="three slashes"):
        run_experiment(config, out=tmp_path)


def test_a_run_leaves_loggers_and_torch_as_they_were(finished, tmp_path):
    """Log handlers and PyTorch's settings are put back."""
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    handlers = {name: list(logging.getLogger(name).handlers) for name in ("flwr", "fedledger")}
    run_experiment(
        small(tmp_path, "rounds=1", "attacks=['none']", "malicious=[]"),
        out=tmp_path,
        progress=False,
    )
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert {name: list(logging.getLogger(name).handlers) for name in handlers} == handlers


def test_each_cell_can_have_a_ledger_of_its_own(tmp_path):
    """With {cell} in the URLs every cell has its own chain and store, and all are audited."""
    result = run_experiment(
        small(
            tmp_path,
            "rounds=1",
            "ledger='local://{run}/{cell}.db'",
            "store='file://{run}/store-{cell}'",
        ),
        out=tmp_path,
        progress=False,
    )
    assert result.passed
    assert len(result.audit.ledgers) == 4
    assert audit_run(result.directory).passed


def copy_of(finished, tmp_path):
    target = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished.directory), str(target)], check=True)
    return target


def test_a_moved_folder_passes_the_audit(finished, tmp_path):
    """The manifest names places relative to the folder, so a copy elsewhere is audited too."""
    copy = copy_of(finished, tmp_path)
    assert audit_run(copy).passed
    assert audit_urls(f"local://{copy}/chain.db", f"file://{copy}/store").passed


def test_a_changed_byte_fails_the_audit(finished, tmp_path):
    """One byte of one stored content: the audit fails and names the CID."""
    copy = copy_of(finished, tmp_path)
    stored = min(path for path in (copy / "store").rglob("baf*") if path.is_file())
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    audit = audit_run(copy)
    assert not audit.passed
    assert stored.name in (audit.reason or "")
    assert audit.verdict.startswith("audit: FAILED: ")


def test_a_shortened_chain_fails_the_audit(finished, tmp_path):
    """A chain that is valid but not the one the run ended with is noticed by its head."""
    copy = copy_of(finished, tmp_path)
    run = RunDirectory.open(copy)
    entry = run.manifest.evidence[0].model_copy(update={"hash": "0x" + "11" * 32})
    run.write_manifest(run.manifest.model_copy(update={"evidence": (entry,)}))
    audit = audit_run(copy)
    assert not audit.passed
    assert "newest block should be 0x1111" in (audit.reason or "")
    assert audit_run(copy, head=finished.audit.ledgers[0].head.hash).passed


def test_an_audit_creates_nothing(tmp_path):
    """A mistyped ledger fails the audit; it is not made, and an empty one does not pass."""
    audit = audit_urls(f"local://{tmp_path}/missing.db", f"file://{tmp_path}/store")
    assert not audit.passed
    assert list(tmp_path.iterdir()) == []


def test_killed_in_the_middle_and_resumed_it_ends_with_the_same_models(tmp_path):
    """After kill -9 in the second cell the run goes on to the models of an undisturbed run."""
    changes = ["rounds=8", "training.epochs=6"]
    whole = run_experiment(small(tmp_path, *changes), out=tmp_path / "whole", progress=False)
    program = (
        "import sys; from fedledger.experiments import load_config, run_experiment; "
        "run_experiment(load_config(sys.argv[1], overrides=sys.argv[3:]), out=sys.argv[2], "
        "progress=False)"
    )
    out = tmp_path / "killed"
    config = tmp_path / "small.toml"
    process = subprocess.Popen([sys.executable, "-c", program, config, out, *changes])
    try:
        deadline = time.monotonic() + 120
        # The second cell's third round has begun: its first two are on the ledger.
        while not any(log.read_text().count("[ROUND 3/8]") >= 2 for log in out.glob("*/*/run.log")):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    folder = next(out.glob("small/*"))
    assert len(list((folder / "cells").glob("*.json"))) == 1
    resumed = run_experiment(small(tmp_path, *changes), resume=folder, progress=False)
    assert resumed.passed
    assert models(resumed) == models(whole)
    curves = {key: found.accuracy_by_round for key, found in resumed.results.items()}
    assert curves == {key: found.accuracy_by_round for key, found in whole.results.items()}
    first, second, *others = (found.resumed_after for found in resumed.results.values())
    assert (first, others) == (0, [0, 0])
    assert 2 <= second < 8
