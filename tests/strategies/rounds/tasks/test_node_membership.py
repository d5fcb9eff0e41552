"""Clients change while nodes mine: two real processes, and commands as a user types them."""

import numpy as np
import pytest
from support.nodes import Cluster, keystore, run_cli, wait_for

from fedledger.arrays import to_safetensors
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit import verify_round
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

OWNER = Account.from_key(b"\7" * 32)
PEOPLE = [Account.from_key(bytes([key]) * 32) for key in range(50, 57)]
"""Five clients, then one that joins and one that gets the place of a lost key."""

START = {"w": np.zeros((3, 2), dtype=np.float32)}


@pytest.fixture
def cluster(tmp_path):
    """A node that mines and aggregates, and one that verifies every round that it is sent."""
    keystore(tmp_path, "owner", OWNER)
    for number, client in enumerate(PEOPLE):
        keystore(tmp_path, f"c{number}", client)
    options = ["--account", "owner", "--aggregate", "--mine", "--interval", "0.2"]
    cluster = Cluster(tmp_path, [options, ["--with-defend"]])
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def test_clients_change_while_nodes_mine(cluster, tmp_path):
    """One leaves, one joins, one lost its key: by commands; nodes and audit agree."""
    first, second = cluster.nodes
    url = (first.data / "store").resolve().as_uri()
    ledger, store = ["--ledger", f"local+{first.url}"], ["--store", url]

    def run(*arguments):
        return run_cli(tmp_path, *(str(one) for one in arguments))

    (tmp_path / "m").write_bytes(to_safetensors(START))
    clients = [part for one in PEOPLE[:5] for part in ("--client", one.address)]
    run(
        *("model", "submit", tmp_path / "m", "--name", "lights", "--account", "owner"),
        *("--rounds", 2, "--rule", "median", "--byzantine", 1, "--window", 0),
        *("--membership", "owner"),
        *(*clients, *ledger, *store),
    )
    place = ["--task", 1, *ledger]
    old, new, joiner = PEOPLE[1].address, PEOPLE[6].address, PEOPLE[5].address
    run("task", "join", "--account", "c5", *place)
    asking = run("task", "clients", *place, *store)
    assert asking["asking"] == [{"account": joiner}]
    run("task", "admit", joiner, "--account", "owner", *place)
    run("task", "leave", "--account", "c0", *place)
    run("task", "accept-place", old, "--account", "c6", *place)
    run("task", "replace", old, new, "--account", "owner", *place)
    now = run("task", "clients", *place, *store)
    assert (now["decides"], now["round"], now["asking"]) == ("owner", 1, [])
    assert [one["account"] for one in now["clients"]] == [one.address for one in PEOPLE[:5]]

    def train(numbers, number):
        for one in numbers:
            model = {"w": START["w"] + np.float32(number + one / 100)}
            (tmp_path / "t").write_bytes(to_safetensors(model))
            run(*("model", "update", tmp_path / "t", "--account", f"c{one}"), *place, *store)
        with first.ledger() as opened:
            tasks = TrainingTask(opened)
            wait_for(lambda: len(tasks.aggregates(1)) == number, 60, f"no round {number}")

    train(range(5), 1)
    now = run("task", "clients", *place, *store)
    listed = [new, *(one.address for one in PEOPLE[2:5]), joiner]
    assert [one["account"] for one in now["clients"]] == listed
    train([6, 2, 3, 4, 5], 2)
    contents = open_store(url)
    with first.ledger() as opened:
        tasks = TrainingTask(opened)
        wait_for(lambda: len(tasks.payments(1)) == 10, 60, "the rounds were not paid")
        last = documents.load(Evidence, tasks.aggregates(1)[-1].evidence, contents)
        assert [one.party for one in last.phases[0].accepted] == listed
        verify_round(opened, contents, 1, 2)
        report = audit_ledger(opened, contents)
        assert report.passed, report.reason
    wait_for(lambda: second.status()["head"] == first.status()["head"], 60, "they do not agree")
    assert not second.status()["refused"]
