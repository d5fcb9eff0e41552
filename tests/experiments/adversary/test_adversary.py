"""The adversary under strategies: crafted uploads through the clients' own accounts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import support
from flwr.serverapp.strategy import FedAvg
from support.adversary_app import MALICIOUS, SIZE, a_federation, app, run, vector
from support.federation import initial_model

from fedledger.arrays import from_safetensors, to_record
from fedledger.experiments import load_config
from fedledger.experiments.adversary.attacks import load_attack
from fedledger.experiments.adversary.grid import AdversaryGrid
from fedledger.experiments.config.choices import Choice
from fedledger.experiments.run.engines import InProcessEngine
from fedledger.experiments.run.runner import run_experiment
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import ArrivalWindow, SimulatedLatency, audit_ledger
from fedledger.strategies.rounds.evidence import documents

SHARED = Path(support.__path__[0]).parent


def uploads(federation, server_round=1, task=1):
    """Return what each client's account put on the ledger, by partition: arrays from the store."""
    found = TrainingTask(federation.ledger).submissions(task, server_round)
    return {
        federation.clients.index(client): from_safetensors(federation.store.get(upload.cid))
        for client, upload in found.items()
    }


def contributors(federation, server_round=1, task=1):
    aggregate = TrainingTask(federation.ledger).aggregates(task)[server_round - 1]
    return {federation.clients.index(client) for client in aggregate.contributors}


def passed(federation):
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_crafted_updates_are_on_the_ledger_under_the_malicious_clients_accounts(tmp_path):
    """The Krum attack against Krum: signed uploads of all 13, three crafted, one of them chosen.

    The crafted updates step by the same λ in every parameter against the honest direction, honest
    uploads are those of a run that nobody attacks, the model moves backwards, the audit passes.
    """
    federation, peaceful = a_federation(tmp_path / "a"), a_federation(tmp_path / "b")
    result = run(federation, federation.pofl(rules=("krum",)), "krum_attack")
    run(peaceful, peaceful.pofl(rules=("krum",)), None)
    there, before = uploads(federation), uploads(peaceful)
    assert set(there) == set(before) == set(range(SIZE))
    honest_mean = np.mean([vector(there[i]) for i in range(SIZE) if i not in MALICIOUS], axis=0)
    for client in range(SIZE):
        update = vector(there[client])
        if client in MALICIOUS:
            # λ in every parameter, but for the copies' distance of at most ε = 0.01.
            assert np.ptp(np.abs(update)) < 0.01
            assert update @ honest_mean < 0
        else:
            assert np.array_equal(update, vector(before[client]))
    assert contributors(federation) <= set(MALICIOUS)
    moved = vector({k: a.numpy() for k, a in result.arrays.items()}) - vector(initial_model())
    assert moved @ honest_mean < 0
    passed(federation)


def test_anchored_averaging_is_moved_as_the_attack_intends(tmp_path):
    """Anchored FedAvg, whose uploads are weights: IPM with a large ε turns the mean round."""
    federation, peaceful = a_federation(tmp_path / "a"), a_federation(tmp_path / "b")
    attacked = run(federation, federation.anchored(), ("ipm", {"epsilon": 8.0}))
    honest = run(peaceful, peaceful.anchored(), None)
    start = vector(initial_model())
    steps = [
        vector({key: array.numpy() for key, array in result.arrays.items()}) - start
        for result in (attacked, honest)
    ]
    assert steps[0] @ steps[1] < 0
    there = uploads(federation)
    mean = np.mean([vector(there[i]) for i in range(SIZE) if i not in MALICIOUS], axis=0)
    for client in MALICIOUS:
        expected = start - 8.0 * (mean - start)
        assert np.allclose(vector(there[client]), expected, atol=1e-5)
    assert contributors(federation) == set(range(SIZE))
    passed(federation)


def test_krum_attack_under_anchored_averaging(tmp_path):
    """The same attack speaks through the accounts whatever strategy is above it."""
    federation = a_federation(tmp_path)
    run(federation, federation.anchored(), "krum_attack", rounds=2)
    start = initial_model()
    for client in MALICIOUS:
        step = vector(uploads(federation)[client]) - vector(start)
        assert np.ptp(np.abs(step)) < 0.01
    passed(federation)


def test_counters_are_not_crafted(tmp_path):
    """An integer array of a malicious upload is what its client counted: floats are crafted."""
    federation = a_federation(tmp_path)
    run(federation, federation.anchored(), "trimmed_mean_attack")
    for client, arrays in uploads(federation).items():
        assert arrays["counter"] == 5 + 1 + client


def test_colluders_that_pay_for_their_exchange_are_discarded(tmp_path):
    """With an exchange longer than the window PoFL drops the colluders: the attack has no effect.

    The model is then, bit for bit, the one of a run without attack where the same clients are late.
    """
    clock = SimulatedLatency(seed=1, extra=dict.fromkeys(MALICIOUS, 30.0))
    results = []
    for attack in ("krum_attack", None):
        federation = a_federation(tmp_path / str(attack))
        strategy = federation.pofl(
            rules=("krum", "trimmed_mean"), window=ArrivalWindow(seconds=10.0), clock=clock
        )
        results.append(run(federation, strategy, attack, rounds=2))
        for server_round in (1, 2):
            assert set(uploads(federation, server_round)) == set(range(SIZE)) - set(MALICIOUS)
        aggregate = TrainingTask(federation.ledger).aggregates(1)[0]
        evidence = documents.load(documents.Evidence, aggregate.evidence, federation.store)
        late = {federation.clients.index(entry.party) for entry in evidence.phase("update").late}
        assert late == set(MALICIOUS)
        passed(federation)
    attacked, peaceful = ({k: a.numpy() for k, a in r.arrays.items()} for r in results)
    assert all(np.array_equal(attacked[key], peaceful[key]) for key in attacked)


def test_both_engines_give_the_same_attacked_run(tmp_path):
    """The same seed gives the same uploads, rules and models in Flower's engine, bit for bit."""
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from support.adversary_app import in_both_engines as run; run({str(tmp_path)!r})",
        ],
        env=os.environ | {"PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    history = json.loads(result.stdout)
    assert history["inprocess"]["audit"] == "passed"
    assert len(history["inprocess"]["uploads"][0]) == SIZE
    assert history["flower"] == history["inprocess"]


def test_a_resumed_run_is_attacked_as_if_never_interrupted(tmp_path):
    """What is drawn depends on the round alone: a run killed after two rounds ends the same."""
    whole, broken = a_federation(tmp_path / "a"), a_federation(tmp_path / "b")
    expected = run(whole, whole.pofl(), "gaussian", rounds=4)

    def kill(server_round, _arrays):
        if server_round == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(broken, broken.pofl(), "gaussian", rounds=4, evaluate_fn=kill)
    resumed = run(broken, broken.pofl(), "gaussian", rounds=4)
    for key, array in expected.arrays.items():
        assert np.array_equal(array.numpy(), resumed.arrays[key].numpy())


def test_a_plain_flower_strategy_can_be_attacked_too():
    """Without a ledger nothing is signed; sampling, evaluation and metrics work as ever."""

    def main(grid):
        adversary = AdversaryGrid(grid, load_attack(Choice(name="sign_flip")), MALICIOUS)
        strategy = FedAvg(fraction_train=0.7, min_available_nodes=SIZE, min_train_nodes=9)
        return strategy.start(
            grid=adversary, initial_arrays=to_record(initial_model()), num_rounds=3
        )

    result = InProcessEngine().run(app, SIZE, main)
    assert set(result.train_metrics_clientapp) == {1, 2, 3}
    assert result.evaluate_metrics_clientapp[1]["loss"] == pytest.approx(6.0)


@pytest.mark.parametrize(("attack", "pays"), [("krum_attack", True), ("sign_flip", False)])
def test_an_experiment_attacks_its_models_and_colluders_pay_their_exchange(tmp_path, attack, pays):
    """A config names the attack; with an exchange longer than the window colluders are late.

    Sign flippers exchange nothing: they are in time, as everybody is where there is no window.
    """
    config = tmp_path / "attack.toml"
    config.write_text(
        f"""
        name = "attack"
        engine = "inprocess"
        clients = 9
        rounds = 2
        attacks = ["{attack}"]
        malicious = [0.3]
        model = {{ name = "mlp", hidden = 4 }}
        training = {{ epochs = 1 }}
        latency = {{ exchange = 30.0 }}
        approaches = [
            {{ name = "FedAvg", strategy = "fedavg" }},
            {{ name = "window", strategy = "krum", window = 10.0, min_submissions = 5 }},
            {{ name = "no window", strategy = "krum" }},
        ]
        """
    )
    result = run_experiment(load_config(config), out=tmp_path / "out", progress=False)
    assert result.audit.passed, result.audit.verdict
    assert not result.failures
    uploaded = {}
    with open_ledger(f"local://{result.directory}/chain.db") as ledger:
        contract = TrainingTask(ledger)
        for cell in result.results.values():
            uploaded[cell.id.partition("--")[0]] = len(contract.submissions(cell.task, 2))
    assert uploaded == {"fedavg": 9, "window": 6 if pays else 9, "no-window": 9}
