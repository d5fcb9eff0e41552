"""Miners that aggregate: real processes, one of them malicious, one that believes everything."""

from functools import partial

import numpy as np
import pytest
from support.clock import Clock
from support.nodes import ADMIN, Cluster, keystore, wait_for

from fedledger.arrays import from_safetensors, to_safetensors
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Receipt
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit import verify_round
from fedledger.strategies.mining import Aggregator, propose_task, submit_update

OWNER = Account.from_key(b"\7" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in range(20, 25)]
MODEL = {"w": np.zeros((3, 2), dtype=np.float32), "b": np.ones(3, dtype=np.float32)}
MINER = ["--account", "owner", "--empty-blocks"]


@pytest.fixture
def cluster(tmp_path):
    """Two honest miners, a malicious one at under half their pace, one that checks nothing."""
    keystore(tmp_path, "owner", OWNER)
    honest = [*MINER, "--interval", "1.5", "--aggregate"]
    malicious = [*MINER, "--interval", "4", "--malicious"]
    cluster = Cluster(tmp_path, [honest] * 2 + [malicious, ["--no-defend"]])
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def propose(ledger, store, *, rounds, clients=CLIENTS):
    """Propose the task that these tests mine."""
    return propose_task(
        ledger,
        store,
        OWNER,
        to_safetensors(MODEL),
        model_id="lights",
        clients=[client.address for client in clients],
        rounds=rounds,
        byzantine=1,
        rules=("trimmed_mean", "median"),
        selection="timestamp",
        window=0,
    )


def train(number):
    """Return the model that a client trained."""
    shift = np.float32(1 + number / 100)
    return to_safetensors({key: array + shift for key, array in MODEL.items()})


def published(node):
    with node.ledger() as ledger:
        return [aggregate.cid for aggregate in TrainingTask(ledger).aggregates(1)]


def test_a_malicious_miner_is_overruled_while_under_half(cluster, tmp_path):
    """A wrong aggregate convinces only who does not check, and only until the others have mined.

    The malicious miner mines alone first: whoever believes everything follows it, those that
    recompute refuse its block. Then the honest miners mine against the one, theirs becomes the
    branch with most work, and everybody, the malicious miner too, ends on the right aggregate.
    """
    first, malicious, observer = cluster.nodes[0], cluster.nodes[2], cluster.nodes[3]
    store = open_store((first.data / "store").resolve().as_uri())
    first.control().set_mining(running=True)
    with first.ledger() as ledger:
        task = propose(ledger, store, rounds=1)
        for number, client in enumerate(CLIENTS):
            if number == 4:
                first.control().set_mining(running=False)
                malicious.control().set_mining(running=True)
            submit_update(
                ledger,
                store,
                client,
                train(number),
                task=task,
                samples=10,
                accuracy=0.5,
            )
    [wrong] = wait_for(lambda: published(observer), 180, "nobody published the wrong aggregate")
    wait_for(lambda: first.status()["refused"], 180, "the wrong aggregate was not refused")
    assert published(first) == []

    for node in cluster.nodes[:2]:
        node.control().set_mining(running=True)
    [right] = wait_for(lambda: published(first), 180, "nobody published the right aggregate")
    assert right != wrong
    for node in cluster.nodes:
        same = partial(lambda one: published(one) == [right], node)
        wait_for(same, 180, f"{node.log} was not overruled")
    with first.ledger() as ledger:
        paid = partial(TrainingTask(ledger).payments, 1)
        wait_for(paid, 180, "the contributors were not paid")
        for node in (*cluster.nodes[:2], malicious):
            node.control().set_mining(running=False)
        report = audit_ledger(ledger, store)
        assert report.passed, report.reason
        assert [verdict.aggregate for verdict in report.rounds] == ["proved"]
        token = StakeToken(ledger)
        assert [token.balance(client.address) for client in CLIENTS] == [20] * 5
    model = from_safetensors(store.get(right))
    assert all(np.abs(array - MODEL[key] - 1.02).max() < 0.02 for key, array in model.items())


def test_a_round_after_a_rollback_is_mined_and_proved(tmp_path):
    """Miners and audit agree on when the round opened: with the rollback, not the round before."""
    store = open_store(f"file://{tmp_path}/store")
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        contract, aggregate = TrainingTask(ledger), Aggregator(store, OWNER, Clock())
        task = propose(ledger, store, rounds=3)
        contract.record_checkpoint(OWNER, task=task, round=0, accuracy=0.5)
        for ended in (0, 2):
            for number, client in enumerate(CLIENTS):
                model = train(number)
                submit_update(ledger, store, client, model, task=task, samples=10, accuracy=0.5)
            assert contract.task(task).current_round == ended
            results = ledger.transact_all(aggregate(ledger, pytest.fail))
            assert all(isinstance(result, Receipt) for result in results)
            verify_round(ledger, store, task, ended + 1)
            if not ended:
                contract.rollback(OWNER, task=task, round=2, to_round=0)
        ledger.transact_all(aggregate(ledger, pytest.fail))  # what the last round owes
        report = audit_ledger(ledger, store)
    assert report.passed, report.reason
    assert [verdict.rule[:8] for verdict in report.rounds][1] == "rollback"


def test_some_bytes_of_a_registered_client_stop_no_network(tmp_path):
    """Blocks go on, others' transactions are in them, the round ends, the audit says without whom.

    The bytes (some 103) are safetensors without values, of a shape that NumPy cannot multiply.
    """
    keystore(tmp_path, "owner", OWNER)
    node = ["--account", "owner", "--aggregate", "--interval", "0.5", "--mine"]
    cluster = Cluster(tmp_path, [node, []])
    header = b'{"w":{"dtype":"F32","shape":[0,%d,%d],"data_offsets":[0,0]}}' % (2**47, 2**47)
    hostile = len(header).to_bytes(8, "little") + header
    try:
        first, other = cluster.start().nodes
        store = open_store((first.data / "store").resolve().as_uri())
        with first.ledger() as ledger:
            bad = Account.from_key(b"\x19" * 32)
            task = propose(ledger, store, rounds=1, clients=[*CLIENTS, bad])
            cid = store.put(hostile)
            TrainingTask(ledger).submit_update(
                bad, task=task, round=1, cid=cid, samples=1, accuracy=0.5
            )
            for number, client in enumerate(CLIENTS):
                model = train(number)
                submit_update(ledger, store, client, model, task=task, samples=10, accuracy=0.5)
            wait_for(lambda: published(first), 180, "the round does not end")
            StakeToken(ledger).mint(ADMIN, bad.address, 5)
            wait_for(partial(TrainingTask(ledger).payments, task), 180, "nobody was paid")
            report = audit_ledger(ledger, store)
            assert report.passed, report.reason
            [verdict] = report.rounds
            [dropped] = verdict.record.phases[0].dropped
            assert (dropped.party, dropped.reason) == (bad.address, "arrays")
            assert "is not a shape" in dropped.detail
            assert (verdict.accepted, verdict.record.kept) == (len(CLIENTS), None)
        wait_for(lambda: published(other), 180, "the other node does not follow")
        assert "Traceback" not in first.said() + other.said()
    finally:
        cluster.stop()
