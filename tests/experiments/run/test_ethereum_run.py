"""Whole runs on Ethereum: the same models as on the embedded chain, and an audit that passes."""

import json
import shutil

import pytest
from support.anvil import Anvil, Ganache, Hardhat

from fedledger.errors import ContractError
from fedledger.experiments import run_experiment
from fedledger.experiments.report.audit import audit_run, audit_urls
from fedledger.experiments.run.parallel import jobs_of
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies.rounds.evidence.checks import Outcome

from ..small import small

NO_ATTACK = ("attacks=['none']", "malicious=[]")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """The same run on the embedded chain."""
    folder = tmp_path_factory.mktemp("embedded")
    return run_experiment(small(folder, *NO_ATTACK), out=folder, progress=False)


def models(result):
    return {cell: (found.model, found.rules) for cell, found in result.results.items()}


def test_a_run_in_this_process_gives_the_same_models(tmp_path, embedded):
    """ethereum+tester:// gives the models and rules of the embedded chain, and audits them."""
    config = small(tmp_path, *NO_ATTACK, f"ledger=ethereum+tester://{tmp_path.name}")
    result = run_experiment(config, out=tmp_path, progress=False)
    assert result.passed, result.audit.verdict
    assert models(result) == models(embedded)
    cells = config.model_copy(update={"ledger": "ethereum+tester://{cell}"})
    assert jobs_of(cells, 2) == 1, "another process has another chain"


def test_two_runs_share_a_node_and_are_audited_apart(tmp_path, embedded, monkeypatch):
    """Deploy, run, run again: each audit takes its own tasks, and a later block fails neither."""
    monkeypatch.chdir(tmp_path)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}"
        path = deploy(url).path
        assert path == tmp_path / "deployments" / "chain-31337.json"
        config = small(tmp_path, *NO_ATTACK, f"ledger={url}")
        first = run_experiment(config, out=tmp_path, progress=False)
        assert first.passed, first.audit.verdict
        assert models(first) == models(embedded)
        other = small(tmp_path, *NO_ATTACK, f"ledger={url}", "clients=8", "name=other")
        second = run_experiment(other, out=tmp_path, progress=False)
        assert second.passed, second.audit.verdict
        again = audit_run(first.directory)
        assert again.passed, again.verdict
        assert again.rounds == second.audit.rounds == 4
        assert not audit_run(first.directory, head="0x" + "11" * 32).passed
        shutil.rmtree(first.directory / "store")
        assert not audit_run(first.directory).passed


@pytest.mark.parametrize("node", [Ganache, Hardhat], ids=["ganache", "hardhat"])
def test_other_nodes_give_the_same_models(tmp_path, embedded, monkeypatch, node):
    """Deployed, run and audited on nodes that are not anvil, each with its own dialect."""
    monkeypatch.chdir(tmp_path)
    with node(tmp_path) as running:
        url = f"ethereum+{running.url}"
        deploy(url)
        config = small(tmp_path, *NO_ATTACK, f"ledger={url}")
        result = run_experiment(config, out=tmp_path, progress=False)
        assert result.passed, result.audit.verdict
        assert models(result) == models(embedded)
        assert audit_run(result.directory).passed
        with open_ledger(url) as ledger, pytest.raises(ContractError) as caught:
            StakeToken(ledger).transfer(Account.create(), Account.create().address, 5)
        assert caught.value.error == "ERC20InsufficientBalance"


def test_the_runs_folder_is_all_that_an_audit_needs(tmp_path, monkeypatch):
    """From another working folder, its own copy alone: it passes, and nobody is told to deploy."""
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    work.mkdir()
    elsewhere.mkdir()
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}"
        monkeypatch.chdir(work)
        deploy(url)
        config = small(tmp_path, *NO_ATTACK, f"ledger={url}")
        run = run_experiment(config, out=work, progress=False)
        assert run.passed, run.audit.verdict
        monkeypatch.chdir(elsewhere)
        copied = elsewhere / "run"
        shutil.move(run.directory, copied)
        shutil.rmtree(work)
        audit = audit_run(copied)
        assert audit.passed, audit.verdict
        assert (audit.rounds, list(elsewhere.iterdir())) == (run.audit.rounds, [copied])
        by_hand = f"{url}?deployment={copied}/places/1.json"
        assert audit_urls(by_hand, f"file://{copied}/store").passed
        (copied / "places" / "1.json").unlink()
        bare = audit_run(copied)
        assert bare.outcome is Outcome.UNCHECKED
        assert "copy it from whoever deployed them" in (bare.reason or "")
        (copied / "places").rmdir()
    gone = audit_run(copied)
    assert gone.outcome is Outcome.UNCHECKED
    assert "deploy`" not in (gone.reason or "")


def test_an_auditor_is_never_told_to_deploy(tmp_path, monkeypatch):
    """A node with another chain, an empty one, or a damaged note: it could not be checked."""
    monkeypatch.chdir(tmp_path)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}"
        deploy(url)
        config = small(tmp_path, *NO_ATTACK, f"ledger={url}")
        run = run_experiment(config, out=tmp_path, progress=False).directory
    noted = run / "places" / "1.json"
    said = json.loads(noted.read_text())
    for chain in ("31337", "1337", "5"):
        with Anvil(tmp_path, "--chain-id", chain, port=node.port):
            audit = audit_run(run)
            assert audit.outcome is Outcome.UNCHECKED
            assert "deploy`" not in audit.verdict
            assert "--anew" not in audit.verdict
            assert "--deployment" not in audit.verdict
    with Anvil(tmp_path, port=node.port):
        for wrong in ({}, [], {**said, "contracts": {}}, {**said, "version": 9}):
            noted.write_text(json.dumps(wrong))
            audit = audit_run(run)
            assert audit.outcome is Outcome.UNCHECKED
            assert audit.rounds == 0
        noted.write_text("{")
        assert audit_run(run).outcome is Outcome.UNCHECKED
