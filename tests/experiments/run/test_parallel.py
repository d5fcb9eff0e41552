import os
import signal
import subprocess
import sys
import time

import pytest

from fedledger.errors import ConfigError
from fedledger.experiments import run_experiment
from fedledger.experiments.run.parallel import jobs_of, run_parallel
from fedledger.experiments.run.rundir import RunDirectory

from ..small import small

OWN = "ledger='local://{run}/cells/{cell}.db'"
GRID = (OWN, "attacks=['none', 'krum_attack']", "approaches.FedAvg.strategy=median")
PROGRAM = (
    "import sys; from fedledger.experiments import load_config, run_experiment; "
    "run_experiment(load_config(sys.argv[1], overrides=sys.argv[3:]), out=sys.argv[2], "
    "progress=False)"
)


def told(result):
    """Return all that a run found out, without the times it took."""
    rows = [{key: row[key] for key in row if key != "seconds"} for row in result.rows()]
    return rows, [found.model_dump(exclude={"seconds"}) for found in result.results.values()]


def test_cells_side_by_side_give_the_same_bits_as_one_after_the_other(tmp_path):
    """Rows, curves, rules and final models are equal; every ledger is audited; one store serves."""
    one = run_experiment(small(tmp_path, *GRID, "jobs=1"), out=tmp_path / "1", progress=False)
    two = run_experiment(small(tmp_path, *GRID, "jobs=2"), out=tmp_path / "2", progress=False)
    assert one.passed
    assert two.passed
    assert told(two) == told(one)
    assert list(two.results) == [cell.id for cell in two.cells]
    assert len(two.audit.ledgers) == 4
    assert two.audit.rounds == 4 * 2
    assert "Traceback" not in (two.directory / "run.log").read_text(encoding="utf-8")


def test_killed_in_parallel_and_resumed_it_ends_with_the_same_models(tmp_path):
    """After kill -9 the workers are gone; finished cells stay, others go on from their ledgers."""
    changes = [*GRID, "rounds=12", "training.epochs=4"]
    out = tmp_path / "killed"
    whole = run_experiment(small(tmp_path, *changes, "jobs=1"), out=tmp_path, progress=False)
    config = tmp_path / "small.toml"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, config, out, *changes, "jobs=2"])
    try:
        deadline = time.monotonic() + 120
        # A cell is finished, and another one has begun its third round.
        while not any(
            list(folder.glob("cells/*.json"))
            and (folder / "run.log").read_text(encoding="utf-8").count("[ROUND 3/12]") > 2
            for folder in out.glob("small/*")
        ):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    folder = next(out.glob("small/*"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*.json")}
    assert 1 <= len(before) < 4
    resumed = run_experiment(small(tmp_path, *changes), resume=folder, progress=False)
    assert resumed.passed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert any(found.resumed_after for found in resumed.results.values())
    assert resumed.rows() != []
    assert [found.model for found in resumed.results.values()] == [
        found.model for found in whole.results.values()
    ]
    curves = [found.accuracy_by_round for found in resumed.results.values()]
    assert curves == [found.accuracy_by_round for found in whole.results.values()]


def test_a_cell_that_fails_in_a_worker_fails_alone(tmp_path):
    """The client's own words reach the report; the cells without the attack finish."""
    broken = "attacks=['none', {name='label_flip', source=11, target=0}]"
    changes = [OWN, broken, "rounds=1", "jobs=2"]
    result = run_experiment(small(tmp_path, *changes), out=tmp_path, progress=False)
    assert not result.passed
    assert len(result.results) == 2
    assert len(result.failures) == 2
    assert all("number of classes" in failure for failure in result.failures.values())


def test_a_worker_that_dies_fails_its_cell_and_not_the_run(tmp_path):
    """Cells of a process that was killed are reported; the next cell gets a new process."""
    config = small(tmp_path, OWN, "rounds=2")
    run = RunDirectory.create(config, tmp_path)
    cells = [f"{name}--none--digits--iid--s1" for name in ("fedavg", "pofl")]
    ends: dict[str, str | None] = {}

    def kill_the_first(cell, server_round, _accuracy):
        if (cell, server_round) == (cells[0], 1):
            lock = run.path / f"cells/{cell}.db.lock"  # says who writes
            os.kill(int(lock.read_bytes().split()[0]), signal.SIGKILL)

    run_parallel(
        run.path,
        cells,
        engine="inprocess",
        jobs=1,
        on_begin=lambda _cell: None,
        on_round=kill_the_first,
        on_end=ends.__setitem__,
    )
    assert "status -9" in (ends[cells[0]] or "")
    assert ends[cells[1]] is None
    assert (run.path / f"cells/{cells[1]}.json").exists()


def test_cells_run_side_by_side_only_where_each_has_a_ledger(tmp_path):
    """One chain for all, or another engine: one job; else as many as asked for, or as cells."""
    assert jobs_of(small(tmp_path), 4) == 1
    assert jobs_of(small(tmp_path, OWN, "engine=flower"), 4) == 1
    assert jobs_of(small(tmp_path, OWN, "jobs=3"), 4) == 3
    assert jobs_of(small(tmp_path, OWN, "jobs=3"), 2) == 2
    assert jobs_of(small(tmp_path, OWN), 1000) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["jobs=2"], "needs a ledger for each cell"),
        ([OWN, "jobs=2", "engine=flower"], "needs engine 'inprocess'"),
        ([OWN, "jobs=0"], "'jobs'"),
    ],
)
def test_jobs_that_cannot_be_are_refused(tmp_path, changes, said):
    """More than one job on one chain, or in Flower's engine, is an error when a config is read."""
    with pytest.raises(ConfigError, match=said):
        small(tmp_path, *changes)
