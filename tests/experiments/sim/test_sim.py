"""A network and a federation from one seed: what holds, that it repeats, and what it would find."""

import os
import subprocess
import sys

import pytest

from fedledger.experiments.sim import Failure, simulate
from fedledger.experiments.sim import __main__ as program
from fedledger.ledger_plugins.local.node.chain.file import NodeFile
from fedledger.ledger_plugins.local.node.chain.waiting import Waiting


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_survives_what_its_seed_brings(seed):
    """Cut off, killed and with messages lost: one head, no promise broken, every audit passes."""
    report = simulate(seed)
    assert report.kills
    assert report.acknowledged > 20
    assert report.reorganisations
    assert sum("passed (proved" in line for line in report.trace) == 3


def test_a_seed_tells_the_same_twice():
    """Two processes that hash differently print the same bytes, line by line."""
    printed = [
        subprocess.run(
            [sys.executable, "-m", "fedledger.experiments.sim", "5", "--trace"],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": hashes},
        ).stdout
        for hashes in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert printed[0].count(b"\n") > 1_000


def forget_at_restart(patch):
    patch.setattr(NodeFile, "kept", lambda _self: [])


def promise_before_commit(patch):
    commit = NodeFile.commit

    def late(self, step):
        if step.blocks or step.head or not step.keep:
            commit(self, step)

    patch.setattr(NodeFile, "commit", late)


def flush_never(patch):
    prepare = NodeFile._prepare

    def loose(self):
        prepare(self)
        self._connection.execute("PRAGMA synchronous=OFF").fetchall()

    patch.setattr(NodeFile, "_prepare", loose)


def drop_what_a_reorganisation_takes_back(patch):
    patch.setattr(Waiting, "take_back", lambda *_: None)


@pytest.mark.parametrize(
    ("bug", "seeds"),
    [
        (forget_at_restart, range(4)),
        (promise_before_commit, range(4)),
        (flush_never, range(4)),
        (drop_what_a_reorganisation_takes_back, range(2)),
    ],
)
def test_a_planted_bug_is_found(bug, seeds, monkeypatch):
    """A node that breaks a promise is found by one of a few seeds, and named with its seed."""
    bug(monkeypatch)
    for seed in seeds:
        found = failure_of(seed)
        if found is not None:
            break
    else:
        pytest.fail(f"none of the seeds {seeds} finds it")
    assert found.seed == seed
    assert f"seed {seed}: " in str(found)
    assert found.trace


def failure_of(seed):
    try:
        simulate(seed)
    except Failure as failure:
        return failure
    return None


def test_a_seed_that_breaks_the_program_is_named_and_costs_no_other(monkeypatch, capsys):
    """Whatever a seed raises, the campaign goes on and says which one it was."""

    def simulated(seed):
        if seed == 4:
            raise IndexError("list index out of range")
        return f"seed {seed} went well"

    monkeypatch.setattr(program, "simulate", simulated)
    assert program.main(["3", "--count", "3"]) == 1
    said = capsys.readouterr().out
    assert "FAILED seed 4: IndexError: list index out of range" in said
    assert "seed 5 went well" in said
    assert "1 of 3 seeds failed: 4" in said
