"""Checkpoints and rollbacks by commands, while a run goes on, on a node and on anvil."""

import importlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.anvil import Anvil
from support.federation import Federation, arrays_of, make_app
from support.nodes import PASSWORD, PROGRAM, NodeProcess, keystore
from typer.testing import CliRunner

from fedledger.arrays import from_safetensors
from fedledger.errors import FedledgerError
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies.protocols.pofl.protocol import PoFLProtocol

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
RUNNER = CliRunner()
ADMIN = Account.from_key(b"\1" * 32)
MEMBERS = {
    name: Account.from_key(bytes([n]) * 32) for n, name in enumerate(("ann", "bob", "cid"), 2)
}


@pytest.fixture(scope="module", params=["node", "anvil"])
def place(request, tmp_path_factory):
    """A ledger that several processes write, a federation on it, and its commands."""
    home = tmp_path_factory.mktemp(request.param)
    for name, account in {**MEMBERS, "eve": Account.from_key(b"\7" * 32), "admin": ADMIN}.items():
        keystore(home, name, account)
    node: Anvil | NodeProcess
    if request.param == "anvil":
        node = Anvil(home)
        file = home / "deployment.json"
        url, store = f"ethereum+{node.url}?deployment={file}", f"file://{home}/store"
        deploy(url, admin=ADMIN.address)
    else:
        member = NodeProcess(home, "n1", "--mine", "--interval", "0.1", "--account", "admin")
        member.start("--new-chain", "--admin", ADMIN.address).wait_ready()
        url, store, node = f"local+{member.url}", f"file://{member.data}/store", member
    federation = Federation(home / "run")
    federation.close()
    federation.ledger, federation.store = open_ledger(url), open_store(store)
    keystore(home, "server", federation.server)

    def run(*arguments):
        done = RUNNER.invoke(app, [str(one) for one in arguments], catch_exceptions=True)
        if isinstance(done.exception, FedledgerError):
            return SimpleNamespace(returncode=2, stdout=done.stdout, stderr=str(done.exception))
        assert isinstance(done.exception, SystemExit | None), done.exception
        return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    def process(*arguments):
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"FEDLEDGER_HOME": str(home), "FEDLEDGER_ACCOUNT_PASSWORD": PASSWORD},
            timeout=120,
        )

    def ask(*arguments, by=run):
        done = by(*arguments, "--ledger", url, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(*arguments):
        done = run(*arguments, "--ledger", url)
        assert done.returncode == 2, done.stdout
        return done.stderr

    patched = pytest.MonkeyPatch()
    patched.setenv("FEDLEDGER_HOME", str(home))
    patched.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    try:
        yield SimpleNamespace(
            federation=federation,
            run=run,
            process=process,
            ask=ask,
            refused=refused,
            url=url,
            store=store,
        )
    finally:
        patched.undo()
        federation.close()
        node.kill()


def test_members_roll_a_run_back_by_commands(place):
    """Two of three members end round 4 with round 1's model; the run goes on; the audit follows.

    What is no checkpoint, a second vote, and votes of strangers are refused by name, and change
    nothing. Afterwards task, calls, blocks, balances and rounds are shown.
    """
    said = {}

    def votes(number, _):
        if number != 3:
            return
        task = ("--task", "1")
        said["before"] = place.ask("task", "checkpoints", *task)
        vote = ("task", "vote-rollback", *task, "--to")
        said["none"] = place.refused(*vote, "9", "--account", "ann")
        said["stranger"] = place.refused(*vote, "1", "--account", "eve")
        said["first"] = place.ask(*vote, "1", "--account", "ann", by=place.process)
        said["twice"] = place.refused(*vote, "1", "--account", "ann")
        said["counted"] = place.ask("task", "checkpoints", *task)
        back = ("task", "rollback", *task, "--to", "1", "--account", "bob")
        said["no owner"] = place.refused(*back)
        said["second"] = place.ask(*vote, "1", "--account", "bob", by=place.process)

    members = [one.address for one in MEMBERS.values()]
    measure = iter([0.5, 0.6, 0.55, 0.7, 0.8, 0.9])
    strategy = place.federation.pofl(
        checkpoints="best", members=members, measure=lambda *_: {"accuracy": next(measure)}
    )
    result = place.federation.run(strategy, make_app(), rounds=6, evaluate_fn=votes)
    assert [(one["round"], one["accuracy"]) for one in said["before"]] == [(1, 0.5), (2, 0.6)]
    assert "UnknownCheckpoint" in said["none"]
    assert "NotMember" in said["stranger"]
    assert "AlreadyVoted" in said["twice"]
    assert "NotOwner" in said["no owner"]
    assert (said["first"]["rolled_back"], said["second"]["rolled_back"]) == (False, True)
    assert [one["votes"] for one in said["counted"]] == [1, 0]
    contract = TrainingTask(place.federation.ledger)
    [found] = contract.rollbacks(1)
    assert (found.round, found.to_round, found.votes) == (4, 1, 2)
    task = contract.task(1)
    stored = from_safetensors(place.federation.store.get(task.current_cid))
    returned = arrays_of(result.arrays)
    assert task.finished
    assert all(np.array_equal(stored[key], returned[key]) for key in stored)
    audit = place.run("audit", "--ledger", place.url, "--store", place.store)
    assert audit.returncode == 0, audit.stdout
    assert "1 rolled back" in audit.stdout
    check_task(place)
    check_calls(place)


def check_task(place):
    """Roles, rounds, what was rolled back, checkpoints; with the store protocol and clients too."""
    about = place.ask("show", "task", "1", "--store", place.store)
    assert about["owner"] == about["aggregator"] == place.federation.server.address
    assert about["members"] == [one.address for one in MEMBERS.values()]
    assert (about["rounds"], about["ended"], about["open_round"]) == (6, 6, None)
    assert about["membership"] == "fixed"
    assert [one["status"] for one in about["history"]] == [
        "final",
        "void",
        "void",
        "void",
        "final",
        "final",
    ]
    assert about["history"][3]["how"] == "rolled back to round 1"
    assert about["current_model"] == about["history"][-1]["model"]
    assert about["checkpoints"][0]["accuracy"] == 0.5
    specification = about["specification"]
    assert specification["protocol"] == f"pofl/{PoFLProtocol.version}"
    assert specification["parties"] == {"clients": place.federation.clients}
    assert specification["settings"]["byzantine"] == 2
    bare = place.ask("show", "task", "1")["specification"]
    assert bare == {"cid": specification["cid"], "unread": "no store was given"}
    text = place.run("show", "task", "1", "--ledger", place.url, "--store", place.store).stdout
    assert "… 1 more" in text, "seven clients are cut for people"
    gone = place.run("show", "task", "2", "--ledger", place.url)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "there is no task 2 on this ledger: its tasks are 1 to 1" in gone.stderr


def check_calls(place):
    """A call with its arguments, block and events; blocks with their calls; balances; rounds."""
    contract = TrainingTask(place.federation.ledger)
    published = contract.aggregates(1)[0]
    shown = place.ask("show", "tx", published.transaction)
    assert (shown["contract"], shown["function"]) == ("TrainingTask", "publishAggregate")
    assert shown["sender"] == place.federation.server.address
    assert shown["arguments"]["cid"] == published.cid
    assert shown["arguments"]["contributors"] == list(published.contributors)
    assert (shown["block"], shown["failed"]) == (published.block, False)
    names = [one["event"] for one in shown["events"]]
    assert names == ["AggregatePublished", "Transfer"]
    assert shown["events"][0]["arguments"]["evidence"] == published.evidence
    bare = published.transaction.removeprefix("0x").upper()
    assert place.ask("show", "tx", bare) == shown
    block = place.ask("show", "block", str(published.block))
    calls = [one["call"] for one in block["transactions"]]
    assert "TrainingTask.publishAggregate" in calls
    assert block["models"] >= 1
    newest = place.ask("show", "chain", "--last", "5")
    assert [one["index"] for one in newest] == sorted(
        (one["index"] for one in newest), reverse=True
    )
    assert place.ask("show", "block", str(newest[0]["index"]))["hash"] == newest[0]["hash"]
    rows = {one["address"]: one["balance"] for one in place.ask("show", "balances")}
    paid = contract.payments(1)
    assert sum(rows.values()) == sum(one.amount for one in paid) > 0
    rounds = place.ask("show", "rounds", "--store", place.store)
    assert len(rounds) == 6


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ("0x" + "11" * 32, 1, "has no call of a contract with the hash 0x11"),
        ("0x" + "11" * 31, 2, "is no transaction's hash: that is 64 hexadecimal digits"),
        ("0x" + "1g" * 32, 2, "is no transaction's hash"),
        ("", 2, "is no transaction's hash"),
    ],
)
def test_hashes_that_are_none_are_said(place, given, code, says):
    """Unknown: exit status 1; of the wrong length or letters: 2. One sentence each."""
    done = place.run("show", "tx", given, "--ledger", place.url)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_money_by_commands(place):
    """The administrator gives, once; accounts deposit and withdraw; who may not is told why."""
    ann, bob = (MEMBERS[name].address for name in ("ann", "bob"))
    give = ("faucet", ann, bob, "--amount", "30", "--account")
    assert "may not mint" in place.refused(*give, "eve")
    assert len(place.ask(*give, "admin")) == 2
    assert place.ask(*give, "admin") == []
    place.ask("bond", "deposit", "20", "--account", "ann")
    assert "ERC20InsufficientBalance" in place.refused("bond", "deposit", "20", "--account", "ann")
    place.ask("bond", "withdraw", "5", "--account", "ann")
    assert "FreeTooSmall" in place.refused("bond", "withdraw", "16", "--account", "ann")
    [row] = place.ask("bond", "show", ann)
    assert (row["address"], row["free"], row["locked"]) == (ann, 15, 0)
    assert ann in [one["address"] for one in place.ask("bond", "show")]
    text = place.run("bond", "show", "--ledger", place.url).stdout
    assert ann in text
    assert "at any time" in text
