"""The console of a node (Bift's Table IV): what it prints for programs, and what it refuses."""

import importlib
import json
import logging
import re
import time

import numpy as np
import pytest
from support.nodes import NodeProcess, keystore, run_cli, wait_for
from typer.testing import CliRunner

from fedledger.arrays import to_safetensors
from fedledger.errors import FedledgerError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, CHAIN_ONLY

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
OWNER = Account.from_key(b"\7" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in (40, 41, 42)]


@pytest.fixture
def console(tmp_path, monkeypatch):
    """Run commands in this process, with a keystore of its own; return answer or error."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", "correct horse")
    monkeypatch.setattr(logging.root, "handlers", [])
    level = logging.getLogger("fedledger").level
    runner = CliRunner()

    def run(*arguments):
        done = runner.invoke(app, [str(one) for one in arguments], catch_exceptions=True)
        if isinstance(done.exception, FedledgerError):
            return str(done.exception)
        assert isinstance(done.exception, SystemExit | None), done.exception
        return done.output if done.exit_code else json.loads(done.stdout)

    yield run
    logging.getLogger("fedledger").setLevel(level)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A mining node that aggregates for its account; OWNER is the chain's admin."""
    home = tmp_path_factory.mktemp("console")
    keystore(home, "owner", OWNER)
    for number, client in enumerate(CLIENTS):
        keystore(home, f"c{number}", client)
    options = ["--account", "owner", "--aggregate", "--mine", "--interval", "0.1"]
    node = NodeProcess(home, "n1", *options, "--new-chain", "--admin", OWNER.address)
    try:
        yield node.start("--with-defend").wait_ready()
    finally:
        node.kill()


def test_accounts_are_made_and_listed(console, tmp_path):
    """`account create` writes a key file and prints its address; a second one is refused."""
    [made] = console("account", "create", "alice", "--format", "json")
    assert made["name"] == "alice"
    assert made["path"].startswith(str(tmp_path))
    assert console("account", "list", "--format", "json") == [made]
    assert "alice" in console("account", "create", "alice", "--format", "json")
    assert "a-z, 0-9 and hyphens" in console("account", "create", "Alice!", "--format", "json")


def test_a_round_by_the_console(node, console, tmp_path, monkeypatch):
    """Propose, submit, reveal; the miner draws, aggregates and pays: all by commands, as JSON."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(node.home))
    place = ["--ledger", f"local+{node.url}", "--format", "json"]
    store = ["--store", (node.data / "store").resolve().as_uri()]
    start = {"w": np.zeros(3, np.float32)}
    (tmp_path / "m").write_bytes(to_safetensors(start))
    clients = [part for client in CLIENTS for part in ("--client", client.address)]
    task = console(
        *("model", "submit", tmp_path / "m", "--name", "lights", "--account", "owner"),
        # Rules in which every client contributes and is paid; Krum would pay one.
        *("--rule", "trimmed_mean", "--rule", "median", "--window", "15", "--salt-window", "60"),
        *("--reward", "7", *clients, *place, *store),
    )
    assert task == {"task": 1, "name": "lights", "rounds": 1}
    (tmp_path / "t").write_bytes(to_safetensors(start))
    refused = console(
        *("model", "update", tmp_path / "t", "--task", "1", "--account", "owner", *place, *store)
    )
    assert "is none of the 3 clients of task 1" in refused
    for number in range(3):
        trained = {"w": start["w"] + np.float32(number + 1)}
        (tmp_path / "t").write_bytes(to_safetensors(trained))
        receipt = console(
            *("model", "update", tmp_path / "t", "--task", "1", "--account", f"c{number}"),
            *("--samples", "5", *place, *store),
        )
        assert not isinstance(receipt, str), receipt
        assert set(receipt) == {"transaction", "block", "block_hash", "position"}
    reveal = ["model", "reveal", "--task", "1", *place, *store]
    early = console(*reveal, "--account", "c0")
    assert re.fullmatch(
        r"task 1 takes updates until \d\d:\d\d:\d\d, and salts afterwards: .*--wait.*", early
    )
    for number in range(3):
        receipt = console(*reveal, "--wait", "--account", f"c{number}")
        assert not isinstance(receipt, str), receipt

    def paid():
        held = {one["address"]: one["balance"] for one in console("show", "balances", *place)}
        return [held.get(client.address) for client in CLIENTS] == [7] * 3

    wait_for(paid, 60, "the round was not paid")
    blocks = console("show", "chain", "--last", "500", *place)
    assert blocks[-1]["index"] == 0
    [proposed, ended] = [block["index"] for block in reversed(blocks) if block["models"]]
    models = console("show", "block", ended, *place)
    assert proposed < ended
    assert "lights" in json.dumps(models)
    assert "no block" in console("show", "block", 10**6, *place)
    confirmed = console("model", "confirm", "--task", "1", "--account", "c1", *place)
    assert not isinstance(confirmed, str), confirmed
    assert confirmed["block"] > ended
    said = console("show", "block", confirmed["block"], *place)
    assert "TrainingTask.confirmHistory" in json.dumps(said)
    listed = console("list", "contracts", *place)
    assert [(one["name"], one["version"], one["since"]) for one in listed] == [
        (name, 1, 0) for name in sorted([*BUILT_IN, *CHAIN_ONLY])
    ]


def test_transfers_by_the_console(node, console, monkeypatch):
    """`tx mint` and `tx transfer` print their receipts; who has too little is told so."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(node.home))
    place = ["--ledger", f"local+{node.url}", "--format", "json"]
    someone = Account.create().address
    console("tx", "mint", OWNER.address, 50, "--account", "owner", *place)
    receipt = console("tx", "transfer", someone, 20, "--account", "owner", *place)
    assert not isinstance(receipt, str), receipt
    assert receipt["block"] > 0
    balances = console("show", "balances", *place)
    assert {"address": someone, "balance": 20} in balances
    assert "InsufficientBalance" in console(
        "tx", "transfer", someone, 10**9, "--account", "owner", *place
    )
    assert "not-an-address" in console(
        "tx", "transfer", "not-an-address", 1, "--account", "owner", *place
    )
    assert "nobody" in console("tx", "transfer", someone, 1, "--account", "nobody", *place)


def test_a_miner_is_stopped_and_started(node, console):
    """`miner stop` ends the making of blocks, `miner start` begins it again; both are reported."""
    stopped = console("miner", "stop", "--data", node.data, "--format", "json")
    assert (stopped["mining"], stopped["account"]) == (False, OWNER.address)
    height = node.status()["index"]
    time.sleep(0.5)
    assert node.status()["index"] == height
    started = console("miner", "start", "--data", node.data, "--format", "json")
    assert started["mining"]
    assert started["defend"]


def test_peers_by_the_console(node, console):
    """`node peers` changes the list, `show peers` prints it; wrong peers change nothing."""
    data = ["--data", node.data, "--format", "json"]
    changed = console("node", "peers", "--peer", "127.0.0.1:9", *data)
    assert [peer["url"] for peer in changed["peers"]] == ["http://127.0.0.1:9"]
    assert "HOST:PORT" in console("node", "peers", "--peer", "nowhere", *data)
    assert "exclude" in console("node", "peers", "--peer", "127.0.0.1:9", "--none", *data)
    assert len(console("show", "peers", *data)["peers"]) == 1
    assert console("node", "peers", "--none", *data)["peers"] == []


RUN = ["node", "run", "--listen", "127.0.0.1:0"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--malicious"], "need --account"),
        (["--aggregate"], "need --account"),
        (["--aggregate-task", "3"], "need --account"),
        (["--mine", "--account", "nobody"], "nobody"),
        ([], "name a --peer"),
        (["--listen", "somewhere"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--peer", "ftp://a:1"], "http://HOST:PORT"),
        (["--new-chain", "--admin", "0x12"], "0x12"),
        (["--new-chain", "--leader", "lottery"], "lottery"),
        (["--new-chain", "--leader", "reliability", "--leader-candidates", "0"], "at least 1"),
        (["--new-chain", "--leader", "reliability", "--leader-timeout", "0"], "positive"),
        (["--new-chain", "--chain-id", "0"], "chain_id 0"),
        (["--new-chain", "--genesis", "ab" * 32], "not ab"),
        (["--new-chain", "--deadline", "0"], "positive"),
        (["--new-chain", "--difficulty-bits", "25"], "0<=x<=24"),
        (["--new-chain", "--store", "nowhere://x"], "nowhere"),
    ],
)
def test_wrong_settings_are_refused(console, tmp_path, options, said):
    """A node that cannot run as told says what is wrong and what would be right, and ends."""
    assert said in console(*RUN, "--data", tmp_path / "n", *options)


def test_a_folder_without_a_node_is_named(console, tmp_path):
    """Control of a folder where no node ran, or runs no more, is a clear error."""
    assert "node's folder" in console("miner", "start", "--data", tmp_path)
    (tmp_path / "control.json").write_text('{"url": "http://127.0.0.1:9", "token": "x"}')
    assert "no node answers" in console("show", "peers", "--data", tmp_path)


def test_the_other_options_of_a_node(tmp_path):
    """`--leader`, `--genesis`, `--no-defend` and `--malicious` reach the node that is told them."""
    keystore(tmp_path, "owner", OWNER)
    leader = ["--leader", "reliability", "--leader-candidates", "3", "--leader-timeout", "900"]
    first = NodeProcess(tmp_path, "a", *leader, "--new-chain").start().wait_ready()
    try:
        start = first.status()["first"]
        assert first.status()["leader"] == "reliability candidates=3 timeout=900"
        joining = [*leader, "--peer", first.url, "--account", "owner", "--malicious"]
        second = NodeProcess(tmp_path, "b", *joining).start("--genesis", start).wait_ready()
        try:
            assert second.status()["first"] == start
            about = run_cli(tmp_path, "show", "peers", "--data", str(second.data))
            assert (about["defend"], about["account"]) == (False, OWNER.address)
        finally:
            assert second.stop() == 0
        third = NodeProcess(tmp_path, "b", *leader).start("--no-defend").wait_ready()
        assert third.control().about()["defend"] is False
        assert third.stop() == 0
        wrong = NodeProcess(tmp_path, "c", *leader, "--peer", first.url)
        wrong.start("--genesis", "ab" * 32)
        wait_for(lambda: f"not {'ab' * 32}" in wrong.said(), 60, "another block 0 was taken")
        wrong.kill()
    finally:
        assert first.stop() == 0
