"""A protocol of three phases from outside: it runs everywhere, and its audit is no weaker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.anvil import Anvil
from support.evidence import evidence_of
from support.federation import make_app
from support.nodes import Cluster, keystore, wait_for
from support.third_party import EXAMPLES, commit_reveal, installed, use

from fedledger.errors import ConfigError
from fedledger.experiments import load_config, run_experiment
from fedledger.experiments.config.approaches import kind_of
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.records import LEDGER, SigningRequest
from fedledger.strategies import audit_ledger, verify_round
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.kinds.live import LiveRound

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example is installed in this process and in those it starts."""
    use(monkeypatch, tmp_path / "site", "commit_reveal")


def test_it_is_short():
    """A protocol with its phases and handlers takes at most 150 lines."""
    text = (EXAMPLES / "commit_reveal" / "commit_reveal.py").read_text()
    assert len(text.splitlines()) <= 150


@pytest.mark.usefixtures("example")
def test_it_is_listed_with_its_own_words():
    """A class without a docstring is listed with its module's first sentence, not its base's."""
    said = kind_of("commit-reveal").about("commit-reveal")
    assert said.startswith("A protocol of three phases: commit to an update")


def test_both_engines_give_the_same_models(tmp_path):
    """In this process and in Flower's simulation: the same models, proved."""
    said = {}
    for engine in ("inprocess", "flower"):
        done = subprocess.run(
            [sys.executable, "-m", "support.third_party", engine, str(tmp_path / engine)],
            env=os.environ
            | {
                "PYTHONPATH": installed(tmp_path / "site", "commit_reveal")
                + os.pathsep
                + str(SHARED)
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said[engine] = json.loads(done.stdout.splitlines()[-1])
    assert said["inprocess"] == said["flower"]
    assert said["flower"]["audit"] == "passed"
    assert said["flower"]["aggregate"] == ["proved"]
    assert len(said["flower"]["models"]) == 2


@pytest.mark.usefixtures("example")
def test_on_a_network_of_nodes(federation, tmp_path):
    """On two nodes, one of which mines: both replay the protocol before they build on a round."""
    keystore(tmp_path, "server", federation.server)
    mining = ["--account", "server", "--mine", "--interval", "0.3"]
    cluster = Cluster(tmp_path, [mining, []])
    try:
        first, second = cluster.start().nodes
        federation.ledger.close()
        federation.ledger = first.ledger()
        federation.store = open_store((first.data / "store").resolve().as_uri())
        federation.run(commit_reveal(federation), make_app(), rounds=2)
        with second.ledger() as ledger:
            done = lambda: TrainingTask(ledger).count() and TrainingTask(ledger).task(1).finished  # noqa: E731
            wait_for(done, 60, "the second node does not follow")
            report = audit_ledger(ledger, federation.store)
        assert report.passed, report.reason
        assert [verdict.accepted for verdict in report.rounds] == [7, 7]
        assert "is not checked" not in second.log.read_text(encoding="utf-8")
    finally:
        cluster.stop()


@pytest.mark.usefixtures("example")
def test_on_ethereum(federation, tmp_path, monkeypatch):
    """On anvil, by the contracts in Solidity."""
    monkeypatch.chdir(tmp_path)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}"
        deploy(url)
        federation.ledger.close()
        federation.ledger = open_ledger(url)
        federation.run(commit_reveal(federation), make_app(), rounds=2)
        report = audit_ledger(federation.ledger, federation.store)
        assert report.passed, report.reason


@pytest.mark.usefixtures("example")
def test_every_phase_is_in_the_record(federation):
    """The evidence names who was asked, and each answer with its signatures."""
    federation.run(commit_reveal(federation), make_app(), rounds=1)
    evidence = evidence_of(federation, 1)
    assert [phase.name for phase in evidence.phases] == ["commit", "reveal", "sum"]
    for phase in evidence.phases:
        assert [one.party for one in phase.accepted] == federation.clients
        assert {one.party for one in phase.asked} == set(federation.clients)
    carriers = [phase.accepted[0].anchors[0].carrier for phase in evidence.phases]
    assert carriers == ["signature", "transaction", "signature"]
    assert set(evidence.commitments) == {"sum"}
    assert audit_ledger(federation.ledger, federation.store).passed


def _only_in(phase, change):
    def tamper(reply, message, context):
        if SigningRequest.of(message.content).phase == phase:
            change(reply)
        return reply

    return tamper


def _other_update(reply):
    opened = bytearray(reply.content["commit-reveal"]["opened"])
    opened[-1] ^= 1
    reply.content["commit-reveal"]["opened"] = bytes(opened)


def _silent(_reply):
    raise RuntimeError("gone")


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize(
    ("phase", "change", "reason"),
    [
        ("commit", _silent, "client-error"),
        ("reveal", _other_update, "cid"),
        ("reveal", lambda reply: reply.content.pop("commit-reveal"), "malformed"),
        ("sum", _silent, "client-error"),
        ("sum", lambda reply: reply.content.pop(LEDGER), "unsigned"),
    ],
)
def test_a_bad_answer_is_dropped(federation, phase, change, reason):
    """In any phase one client's bad answer costs itself its say, and nobody else anything."""
    app = make_app(after_signing={3: _only_in(phase, change)})
    federation.run(commit_reveal(federation), app, rounds=1)
    evidence = evidence_of(federation, 1)
    assert evidence.kept is None
    assert reason in [one.reason for one in evidence.phase(phase).dropped]
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def _swap(phases, at, **update):
    phases[at] = phases[at].model_copy(update=update)


def _forged(phases):
    entry = phases[2].accepted[0]
    anchor = entry.anchors[0]
    changed = anchor.model_copy(update={"signature": phases[2].accepted[1].anchors[0].signature})
    first = entry.model_copy(update={"anchors": [changed]})
    _swap(phases, 2, accepted=[first, *phases[2].accepted[1:]])


def _reworded(phases):
    entry = phases[0].accepted[0]
    anchor = entry.anchors[0]
    changed = anchor.model_copy(update={"values": {"digest": "00" * 32}})
    first = entry.model_copy(update={"anchors": [changed]})
    _swap(phases, 0, accepted=[first, *phases[0].accepted[1:]])


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize(
    ("change", "phase", "reason"),
    [
        (lambda phases: _swap(phases, 0, accepted=phases[0].accepted[1:]), "reveal", "unusable"),
        (lambda phases: _swap(phases, 1, accepted=phases[1].accepted[1:]), "reveal", "neither"),
        (lambda phases: _swap(phases, 2, accepted=phases[2].accepted[4:]), None, "rule: "),
        (_forged, "sum", "signer of Sum"),
        (_reworded, "commit", "signer of Commitment"),
        (lambda phases: phases.reverse(), "commit", "phase 1: sum stands there"),
        (lambda phases: phases.pop(), "sum", "phase 3: no phase"),
    ],
    ids=["uncommitted", "withheld", "too few", "forged", "reworded", "order", "missing"],
)
def test_a_tampered_variant_is_caught(federation, monkeypatch, change, phase, reason):
    """Whatever the aggregator changes in any phase fails the audit, with the phase."""
    honest = LiveRound.evidence

    def evidence(self, *given):
        self.phases = list(self.phases)
        change(self.phases)
        return honest(self, *given)

    monkeypatch.setattr(LiveRound, "evidence", evidence)
    federation.run(commit_reveal(federation), make_app(), rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.FAILED
    assert reason in (report.reason or "")
    [verdict] = report.rounds
    assert verdict.witness is not None
    assert verdict.witness.phase == phase


CONFIG = """
name = "outside"
engine = "inprocess"
clients = 4
rounds = 2

[model]
name = "softmax"

[training]
epochs = 1
batch_size = 50

[[approaches]]
name = "three phases"
strategy = "commit-reveal"
settings = { quiet = 2.5 }
"""


@pytest.mark.usefixtures("example")
def test_a_config_names_it_as_any_other_strategy(tmp_path):
    """Its settings stand in the config, are checked there, and go into the specification."""
    (tmp_path / "outside.toml").write_text(CONFIG)
    config = load_config(tmp_path / "outside.toml")
    result = run_experiment(config, out=tmp_path, progress=False)
    assert result.passed, result.audit.verdict
    for wrong, match in (
        ("settings.quite=1", "unknown setting .* 'quite': did you mean 'quiet'"),
        ("settings.quiet='long'", "settings.quiet: "),
        ("window=3", "window"),
    ):
        with pytest.raises(ConfigError, match=match):
            load_config(tmp_path / "outside.toml", overrides=[f"approaches.0.{wrong}"])


def test_not_installed_is_could_not_check(federation, tmp_path, monkeypatch):
    """Without the package the audit names the protocol, and passes nothing; miners go on."""
    with monkeypatch.context() as here:
        use(here, tmp_path / "site", "commit_reveal")
        federation.run(commit_reveal(federation), make_app(), rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.UNCHECKED
    assert "protocol 'commit-reveal' is not known here" in (report.reason or "")
    verify_round(federation.ledger, federation.store, 1, 1)
