"""`fedledger client run`: what is wrong with a command is said before anything is signed."""

import importlib
from pathlib import Path

import pytest
from support.nodes import PASSWORD, keystore
from typer.testing import CliRunner

from fedledger.errors import FedledgerError
from fedledger.ledger_plugins.accounts import Account

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
APP = Path(__file__).parents[3] / "docs" / "examples" / "vehicles"


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """Run the command with changes; return the error."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    monkeypatch.syspath_prepend(str(APP))
    keystore(tmp_path, "c0", Account.from_key(b"\7" * 32))
    (tmp_path / "empty").mkdir()
    given = {
        "--app": APP,
        "--ledger": f"local://{tmp_path}/chain.db",
        "--store": f"file://{tmp_path}/store",
        "--account": "c0",
        "--task": "1",
    }

    def run(changes):
        changes = {
            name: str(value).replace("TMP", str(tmp_path)) for name, value in changes.items()
        }
        words = [str(one) for pair in (given | changes).items() for one in pair if one != "NONE"]
        if changes.get("--task") == "NONE":
            words.remove("--task")
        done = CliRunner().invoke(app, ["client", "run", *words])
        assert isinstance(done.exception, FedledgerError), done.output
        return str(done.exception)

    return run


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "no other process can write this ledger"),
        ({"--task": "NONE"}, "which task? Give its --task NUMBER, or its --name"),
        ({"--name": "digits"}, "which task? Give its --task NUMBER, or its --name"),
        ({"--owner": f"0x{7:040x}"}, "--owner goes with --name"),
        ({"--task": "NONE", "--name": "digits", "--owner": "0x12"}, "'0x12' is no address"),
        ({"--app": "TMP/empty"}, "empty is no Flower App"),
        (
            {"--run-config": "local-epoch=3"},
            "unknown key of the app's run config 'local-epoch': did you mean 'local-epochs'?",
        ),
        ({"--node-config": "partition-id"}, "--node-config: KEY=VALUE wanted"),
        ({"--node-config": "partition-id=one"}, "--node-config"),
        ({"--node-config": 'max-fee="much"'}, "node config: ledger pins and limits"),
        ({"--node-config": 'ledger-headers="uncheckd"'}, "did you mean 'unchecked'?"),
        ({"--device": "cuda:99"}, "device 'cuda:99': PyTorch finds"),
        ({"--device": "gpu"}, '"cpu", "cuda:0"'),
        ({"--malicious": "sign_flop"}, "sign_flop"),
        ({"--malicious": "ipm"}, ": ipm,knowledge=partial makes do"),
        ({"--account": "nobody"}, "nobody"),
        ({"--ledger": "nowhere"}, "'nowhere' is no URL"),
    ],
)
def test_what_is_wrong_is_said_first(refusal, tmp_path, changes, why):
    """One clear sentence, and no vehicle's file is left behind."""
    assert why in refusal(changes)
    assert not list((tmp_path / "keystore").glob("*.outbox"))
