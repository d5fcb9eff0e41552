"""What `fedledger model` tells people besides its answer: what comes next, and how long."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.nodes import PASSWORD, PROGRAM, keystore
from typer.testing import CliRunner

from fedledger.arrays import from_safetensors, to_safetensors
from fedledger.errors import AccountError
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
OWNER = Account.from_key(b"\7" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in (40, 41, 42)]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Run a `model` command on a ledger and store of its own."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    keystore(tmp_path, "owner", OWNER)
    for number, client in enumerate(CLIENTS):
        keystore(tmp_path, f"c{number}", client)
    (tmp_path / "m").write_bytes(to_safetensors({"w": np.ones(3, np.float32)}))
    place = ["--ledger", f"local://{tmp_path}/chain.db", "--store", f"file://{tmp_path}/store"]

    def arguments(command, account, *options):
        return ["model", command, *map(str, options), "--account", account, *place]

    def run(*words):
        done = CliRunner().invoke(app, arguments(*words), catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done

    run.arguments = arguments  # type: ignore[attr-defined]
    return run


def propose(model, tmp_path, *options):
    clients = [part for client in CLIENTS for part in ("--client", client.address)]
    model("submit", "owner", tmp_path / "m", "--name", "lights", *clients, *options)


@pytest.mark.parametrize(
    ("options", "next_"),
    [
        (["--rule", "median", "--rule", "trimmed_mean"], True),
        (["--rule", "median"], False),
        (["--selection", "timestamp", "--rule", "median", "--rule", "mean"], False),
    ],
    ids=["lot", "one-rule", "timestamp"],
)
def test_an_update_says_what_comes_next(model, tmp_path, options, next_):
    """Where salts choose the rule, its client is told when to reveal, and by which command."""
    propose(model, tmp_path, *options)
    done = model("update", "c0", tmp_path / "m", "--task", "1")
    assert done.stdout.startswith("transaction: 0x")
    assert ("fedledger model reveal --wait --task 1" in done.stderr) == next_
    assert done.stderr.startswith("next: reveal your salt between ") == next_


def test_waiting_ends_with_ctrl_c(model, tmp_path):
    """A client that waits says for how long, and ends at once when it is told to."""
    propose(model, tmp_path, "--rule", "median", "--rule", "trimmed_mean")
    for name in ("c0", "c1", "c2"):
        model("update", name, tmp_path / "m", "--task", "1")
    words = model.arguments("reveal", "c0", "--task", "1", "--wait")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stderr=subprocess.PIPE, text=True, env=os.environ
    ) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("the window is open for ")
        told = time.monotonic()
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(timeout=120) == 130
        assert time.monotonic() - told < 10
        assert "Traceback" not in waiting.stderr.read()


def test_nothing_is_opened_for_who_is_nobody(model):
    """A mistyped account is an error, not one that has nothing to open."""
    with pytest.raises(AccountError, match=r"no account file .*c7\.json"):
        model("open", "c7")


def test_a_sealed_update_waits_beside_the_keystore_until_it_is_opened(model, tmp_path):
    """Its client is told so; opened before the window is over, it stays; afterwards it counts."""
    propose(model, tmp_path, "--rule", "median", "--window", "2", "--sealed")
    before = set((tmp_path / "store").rglob("*"))
    done = model("update", "c0", tmp_path / "m", "--task", "1")
    assert "fedledger model open --wait" in done.stderr
    assert set((tmp_path / "store").rglob("*")) == before
    [waiting] = (tmp_path / "keystore" / "c0.json.pending").iterdir()
    assert waiting.stat().st_mode & 0o77 == 0
    early = json.loads(model("open", "c0", "--format", "json").stdout)
    assert [one["round"] for one in early["waiting"]] == [1]
    assert early["opened"] == []
    time.sleep(3)
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        TrainingTask(ledger).confirm_history(OWNER, task=1)  # a block, so time
    late = json.loads(model("open", "c0", "--wait", "--format", "json").stdout)
    assert [one["task"] for one in late["opened"]] == [1]
    assert not list(waiting.parent.iterdir())
    content = open_store(f"file://{tmp_path}/store").get(late["opened"][0]["content"])
    assert list(from_safetensors(content)) == ["w"]
