"""A run's folder of which something is damaged or gone: one sentence, and no pass that is none."""

import json
import shutil

import pytest

from fedledger.errors import FedledgerError, RunError
from fedledger.experiments import run_experiment
from fedledger.experiments.report.audit import audit_run
from fedledger.experiments.run.rundir import RunDirectory
from fedledger.strategies.rounds.evidence.checks import Outcome

from ..small import small

CHANGES = ("rounds=1", 'attacks=["none"]', "malicious=[]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two cells."""
    folder = tmp_path_factory.mktemp("damaged")
    result = run_experiment(small(folder, *CHANGES), out=folder, progress=False)
    assert result.passed
    return result


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of its folder."""
    return shutil.copytree(finished.directory, tmp_path / "copy")


DEEP = b"[" * 100_000


@pytest.mark.parametrize("content", [b"", b"\0", DEEP, b"[]", b"7", b"null", b"{}", b'"x"'])
def test_places_that_are_none(copy, content):
    """What was noted of a ledger's contracts is a file that anybody may have written."""
    (copy / "places").mkdir()
    (copy / "places/1.json").write_bytes(content)
    found = audit_run(copy)
    assert found.outcome is Outcome.UNCHECKED
    assert "places" in (found.reason or "")


def test_a_damaged_key_costs_no_audit_of_a_chain_of_its_own(copy):
    """Whose tasks they are matters on a ledger that others use too, and there alone."""
    (copy / "simulation.secret").write_bytes(b"x")
    assert audit_run(copy).passed
    with pytest.raises(RunError, match="32 bytes are needed"):
        _ = RunDirectory.open(copy).owner


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 50, DEEP, b"{}", b"[]", b"\xff\xfe{\0", b'{"version": 2}']
)
@pytest.mark.parametrize("name", ["run.json", "cells/pofl--none--digits--iid--s1.json"])
def test_a_document_that_is_none_is_one_sentence(finished, copy, name, content):
    """It names the file, and the first thing that is wrong with it."""
    (copy / name).write_bytes(content)
    with pytest.raises(RunError, match=r"cannot be read: [^\n]+$") as raised:
        run_experiment(finished.config, resume=copy, progress=False)
    said = str(raised.value)
    assert str(copy / name) in said
    assert len(said) < 200 + len(str(copy / name))
    assert "pydantic" not in said


def test_a_manifest_of_another_form_is_refused(copy):
    """Its fields may mean something else."""
    path = copy / "run.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"version": 2}), encoding="utf-8")
    with pytest.raises(RunError, match="version"):
        audit_run(copy)


def test_a_config_nested_too_deeply(finished, copy):
    """Python's parser of TOML recurses as deep as the process allows."""
    (copy / "config.toml").write_bytes(b"a = " + DEEP)
    with pytest.raises(FedledgerError, match="nested more than"):
        run_experiment(finished.config, resume=copy, progress=False)
    with pytest.raises(FedledgerError, match="nested more than"):
        small(copy, "name=" + "[" * 100_000)


def test_a_chain_that_was_taken_away_takes_its_cells_along(finished, copy):
    """A run that goes on makes a new one, which knows nothing of the cells that were finished."""
    (copy / "chain.db").unlink()
    (copy / "cells/pofl--none--digits--iid--s1.json").unlink()
    result = run_experiment(finished.config, resume=copy, progress=False)
    assert result.audit.passed
    assert not result.passed
    [(cell, failure)] = result.failures.items()
    assert cell == "fedavg--none--digits--iid--s1"
    assert "not on the ledger any more" in failure
    assert list(result.results) == ["pofl--none--digits--iid--s1"]
