"""`fedledger task` and `account bind`: who takes part, by commands on a chain in a file."""

import importlib
import json
import logging
import subprocess

import numpy as np
import pytest
from support.nodes import keystore
from typer.testing import CliRunner

from fedledger.arrays import to_safetensors
from fedledger.errors import FedledgerError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Membership, Reports, TrainingTask
from fedledger.ledger_plugins.contracts.identities.keys import keys_of
from fedledger.ledger_plugins.contracts.membership.twin import ADMITTED, LEFT, REMOVED

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
OWNER = Account.from_key(b"\7" * 32)
PEOPLE = [Account.from_key(bytes([key]) * 32) for key in range(60, 66)]
A, B, C, D, E, F = (one.address for one in PEOPLE)


@pytest.fixture
def console(tmp_path, monkeypatch):
    """Run commands in this process, with the owner's and six more accounts; answer or error."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", "correct horse")
    monkeypatch.setattr(logging.root, "handlers", [])
    level = logging.getLogger("fedledger").level
    keystore(tmp_path, "owner", OWNER)
    for number, one in enumerate(PEOPLE):
        keystore(tmp_path, f"c{number}", one)
    runner = CliRunner()
    place = ["--ledger", f"local://{tmp_path}/chain.db", "--format", "json"]

    def run(*arguments, stored=False):
        store = ["--store", f"file://{tmp_path}/store"] if stored else []
        done = runner.invoke(app, [*(str(one) for one in arguments), *place, *store])
        if isinstance(done.exception, FedledgerError):
            return str(done.exception)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    yield run
    logging.getLogger("fedledger").setLevel(level)


@pytest.fixture
def task(console, tmp_path):
    """Propose a task whose members A, B and C decide about its clients A, B and C."""
    (tmp_path / "m").write_bytes(to_safetensors({"w": np.zeros(3, np.float32)}))
    clients = [part for one in (A, B, C) for part in ("--client", one)]
    console(
        *("model", "submit", tmp_path / "m", "--name", "m", "--account", "owner", "--rule"),
        *("median", "--membership", "members", *clients),
        stored=True,
    )
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        TrainingTask(ledger).appoint_members(OWNER, task=1, members=[A, B, C])
    return tmp_path


def standing(path, address):
    with open_ledger(f"local://{path}/chain.db", read_only=True) as ledger:
        return Membership(ledger).standing_of(1, address)


def test_members_vote_by_commands(console, task):
    """They admit, remove and replace; each command prints its receipt."""

    def vote(command, *about):
        for voter in ("c0", "c1"):
            receipt = console("task", command, *about, "--task", 1, "--account", voter)
            assert set(receipt) == {"transaction", "block", "block_hash", "position"}

    console("task", "join", "--task", 1, "--account", "c3")
    asking = console("task", "clients", "--task", 1, stored=True)
    assert (asking["decides"], asking["asking"]) == ("members", [{"account": D}])
    assert "MembersDecide" in console("task", "admit", D, "--task", 1, "--account", "owner")
    assert "MembersDecide" in console("task", "remove", D, "--task", 1, "--account", "owner")
    vote("vote-admit", D)
    assert standing(task, D) == ADMITTED
    console("task", "accept-place", C, "--task", 1, "--account", "c4")
    vote("vote-replace", C, E)
    assert [standing(task, one) for one in (C, E)] == [REMOVED, ADMITTED]
    vote("vote-remove", D)
    assert standing(task, D) == REMOVED
    console("task", "leave", "--task", 1, "--account", "c4")
    assert standing(task, E) == LEFT
    console("task", "accept-place", B, "--task", 1, "--account", "c5")
    console("task", "replace", B, F, "--task", 1, "--account", "c1")
    assert [standing(task, one) for one in (B, F)] == [LEFT, ADMITTED]


def test_members_elect_and_record_by_commands(console, task):
    """A halted task gets an aggregator, and a model becomes a checkpoint."""
    assert "NotHalted" in console("task", "elect", A, "--task", 1, "--account", "c0")
    with open_ledger(f"local://{task}/chain.db") as ledger:
        halted = ledger.contracts()["Reports"].address
        TrainingTask(ledger).appoint_aggregator(OWNER, task=1, aggregator=halted)
    about = ("--task", 1, "--round", 0, "--accuracy", 0.25)
    for voter in ("c0", "c2"):
        console("task", "elect", A, "--task", 1, "--account", voter)
        console("task", "vote-checkpoint", *about, "--account", voter)
    with open_ledger(f"local://{task}/chain.db", read_only=True) as ledger:
        tasks = TrainingTask(ledger)
        assert tasks.roles(1).aggregator == A
        assert tasks.checkpoint(1, 0).accuracy == 0.25


def test_the_owner_appoints_by_commands(console, task):
    """Members and an aggregator; nobody else does, and what is no address is said."""

    def roles():
        with open_ledger(f"local://{task}/chain.db", read_only=True) as ledger:
            tasks = TrainingTask(ledger)
            return tasks.roles(1).aggregator, [
                tasks.member_since(1, one) is not None for one in (A, D, E)
            ]

    assert "NotOwner" in console("task", "appoint", D, "--task", 1, "--account", "c3")
    assert "no address" in console("task", "appoint", "0xabc", "--task", 1, "--account", "owner")
    console("task", "appoint", D, "--task", 1, "--account", "owner")
    console("task", "appoint-members", D, E, "--task", 1, "--account", "owner")
    console("task", "revoke-members", A, E, "--task", 1, "--account", "owner")
    assert roles() == (D, [False, True, False])


def test_a_task_gets_the_terms_of_reports_by_a_command(console, task):
    """All four, or none; what is no name with a whole number is said, and nothing is proposed."""
    terms = {"min_pledge": 20, "late_cost": 5, "patience": 600, "report_seconds": 3600}

    def submit(**given):
        clients = [part for one in (A, B, C) for part in ("--client", one)]
        words = [part for name, value in given.items() for part in ("--term", f"{name}={value}")]
        about = ("--name", "t", "--account", "owner", "--rule", "median", *clients, *words)
        return console("model", "submit", task / "m", *about, stored=True)

    assert "'report_seconds'" in submit(**{**terms, "report_seconds": 0})
    assert "'late_cost'" in submit(min_pledge=1)
    assert "--term 'patience=-1': one NAME=WHOLE" in submit(**{**terms, "patience": -1})
    assert submit(**terms)["task"] == 2
    with open_ledger(f"local://{task}/chain.db", read_only=True) as ledger:
        assert Reports(ledger).terms(2)._asdict() == terms


def test_opening_goes_by_the_specification(console, task):
    """What the proposal opened is open; a task with fixed clients is told so."""
    opened = console("task", "open", "--task", 1, "--account", "owner", stored=True)
    assert opened == {"task": 1, "decides": "members"}
    clients = [part for one in (A, B, C) for part in ("--client", one)]
    console(
        *("model", "submit", task / "m", "--name", "n", "--account", "owner", "--rule", "median"),
        *clients,
        stored=True,
    )
    fixed = console("task", "open", "--task", 2, "--account", "owner", stored=True)
    assert fixed == "the specification of task 2 lists its clients for ever"
    said = console("task", "clients", "--task", 2, stored=True)
    assert said["decides"] == "nobody: the clients are fixed"
    assert "asking" not in said
    assert "MembershipFixed" in console("task", "join", "--task", 2, "--account", "c5")


def test_a_node_is_bound_by_a_command(console, tmp_path):
    """The account publishes the key; a file that holds none, or no ledger, is named."""
    key = tmp_path / "node.key"
    make = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True)
    assert "chain.db" in console("account", "bind", "--node-key", key, "--account", "c0")
    receipt = console("account", "bind", "--node-key", key, "--account", "c0", "--new")
    assert receipt["block"] == 1
    refused = console("account", "bind", "--node-key", f"{key}.pub", "--account", "c0")
    assert "it is no private key" in refused
    with open_ledger(f"local://{tmp_path}/chain.db", read_only=True) as ledger:
        assert len(keys_of(ledger, A).need("flower")) == 120
        assert ledger.head().block == 1
