"""`fedledger audit --ledger` where several accounts have tasks."""

import json
import re
import shutil

import pytest

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.storage.cid import cid_of

from .test_cli import CONFIG, fedledger

STRANGER = Account.from_key(b"\x07" * 32)
NOWHERE = cid_of(b"a document that the store does not have")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A ledger with a run's task 1, and tasks 2 and 3 of a stranger, whose documents are lost."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    assert fedledger("run", folder / "tiny.toml", "--out", folder).returncode == 0
    run = next((folder / "tiny").iterdir())
    with open_ledger(f"local://{run}/chain.db") as ledger:
        tasks = TrainingTask(ledger)
        for name in ("lost", "lost as well"):
            tasks.propose(STRANGER, model_id=name, model_cid=NOWHERE, rounds=1, spec=NOWHERE)
        owner = tasks.task(1).owner
    return owner, ("--ledger", f"local://{run}/chain.db", "--store", f"file://{run}/store"), run


def test_others_tasks_spoil_the_whole_audit_and_not_the_owners(shared):
    """The stranger's cannot be checked; the owner's alone pass, and what is left out is said."""
    owner, urls, _ = shared
    whole, own = fedledger("audit", *urls), fedledger("audit", *urls, "--owner", owner.lower())
    assert whole.returncode == 2
    assert whole.stdout.splitlines()[-1].startswith("audit: could not check: task 2 (lost)")
    assert "other tasks" not in whole.stdout
    assert "not checked: task 2 (lost): " in whole.stdout
    assert own.returncode == 0, own.stdout
    lines = own.stdout.splitlines()
    assert lines[0].startswith("passed  pofl--none--digits--iid--s1 round 1: ")
    left = "not checked: 2 other tasks (2, 3)"
    assert left in lines
    assert lines[-1] == "audit: passed"


def test_tasks_are_chosen_by_number(shared):
    """--task, once or several times, looks at these tasks alone; JSON names the others."""
    _, urls, _ = shared
    one = fedledger("audit", *urls, "--task", "1", "--format", "json")
    two = fedledger("audit", *urls, "--task", "3", "--task", "1", "--format", "json")
    assert (one.returncode, two.returncode) == (0, 2)
    (ledger,) = json.loads(one.stdout)["ledgers"]
    assert (ledger["passed"], ledger["skipped"]) == (True, [2, 3])
    (ledger,) = json.loads(two.stdout)["ledgers"]
    assert [verdict["task"] for verdict in ledger["rounds"]] == [1, 3]
    other = fedledger("audit", *urls, "--task", "2").stdout
    assert "2 other tasks (1, 3), and whether 140 tokens of rewards in them were earned" in other
    assert ledger["skipped"] == [2]
    assert ledger["reason"].startswith("task 3 (lost as well)")


def test_an_owner_and_tasks_together(shared):
    """Of the owner's tasks those that were named."""
    _, urls, _ = shared
    done = fedledger("audit", *urls, "--owner", STRANGER.address, "--task", "2", "--format", "json")
    assert done.returncode == 2
    (ledger,) = json.loads(done.stdout)["ledgers"]
    assert [verdict["task"] for verdict in ledger["rounds"]] == [2]
    assert ledger["skipped"] == [1, 3]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (["--owner", "0x" + "11" * 20], "has proposed no task on this ledger"),
        (["--owner", "alice"], "'alice' is no address"),
        (["--task", "9"], "there is no task 9 on this ledger: its tasks are 1 to 3"),
        (["--task", "0"], "there is no task 0 on this ledger"),
        (["--owner", STRANGER.address, "--task", "1"], f"task 1 is not {STRANGER.address}'s"),
    ],
)
def test_a_choice_of_nothing_is_an_error(shared, chosen, said):
    """Whoever has no task, and a task that is not there, is an error and never a pass."""
    _, urls, _ = shared
    done = fedledger("audit", *urls, *chosen)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_runs_tasks_are_not_chosen_by_hand(shared):
    """A run's folder knows which tasks are its own."""
    owner, _, run = shared
    done = fedledger("audit", run, "--owner", owner)
    assert done.returncode == 2
    assert "--owner and --task choose among the tasks of --ledger" in done.stderr


def test_a_stranger_writes_no_lines_of_a_report(shared):
    """A task's name is anybody's text: it neither adds a verdict nor steers the terminal."""
    _, urls, run = shared
    name = "x\naudit: passed\x1b[2J\u202e"
    with open_ledger(f"local://{run}/chain.db") as ledger:
        TrainingTask(ledger).propose(
            STRANGER, model_id=name, model_cid=NOWHERE, rounds=1, spec=NOWHERE
        )
        number = TrainingTask(ledger).count()
    for command in (("audit", *urls), ("audit", *urls, "--task", str(number))):
        done = fedledger(*command)
        assert done.returncode in (1, 2)
        assert "audit: passed" not in done.stdout.splitlines()
        assert r"x\naudit: passed\x1b[2J\u202e" in done.stdout
        assert not {"\x1b", "\u202e"} & set(done.stdout)


def test_an_update_is_erased_by_its_cid(shared, tmp_path):
    """`show rounds` names it, `store delete` deletes it, the audit then could not check."""
    _, _, run = shared
    shutil.copytree(run, tmp_path / "run")
    urls = (
        "--ledger",
        f"local://{tmp_path}/run/chain.db",
        "--store",
        f"file://{tmp_path}/run/store",
    )
    shown = fedledger("show", "rounds", *urls, "--round", "1")
    cids = re.findall(r"content (\w+)", shown.stdout)
    assert cids
    done = fedledger("store", "delete", cids[0], *urls[2:], "--format", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"deleted": [{"cid": cids[0]}]})
    again = fedledger("store", "delete", cids[0], *urls[2:])
    assert (again.returncode, again.stderr) == (2, f"error: nothing stored under {cids[0]}\n")
    audit = fedledger("audit", *urls, "--task", "1")
    assert audit.returncode == 2
    assert f"nothing stored under {cids[0]}: what 0x" in audit.stdout
    assert "was erased, or never kept" in audit.stdout
    nowhere = fedledger("store", "delete", cids[1], "--store", f"file://{tmp_path}/no-store")
    assert nowhere.returncode == 2
    assert not (tmp_path / "no-store").exists()
