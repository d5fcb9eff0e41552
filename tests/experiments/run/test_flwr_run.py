"""`flwr run experiments/apps/quickstart`, as a Flower user types it, on a SuperLink of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from support.third_party import installed, use

from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.strategies import audit_ledger

APP = Path(__file__).parents[3] / "experiments" / "apps" / "quickstart"
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Flower:
    """A SuperLink for simulations with a FLWR_HOME of its own, and the `flwr` command on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.environment = os.environ | {
            "FLWR_HOME": str(home / "flwr"),
            "HOME": str(home),
            "PYTHONPATH": installed(home / "site", "commit_reveal"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        (home / "flwr").mkdir()
        (home / "flwr" / "config.toml").write_text(
            '[superlink]\ndefault = "test"\n\n[superlink.test]\n'
            f'address = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        with (home / "superlink.log").open("w") as log:
            self.superlink = subprocess.Popen(
                ["flower-superlink", "--insecure", "--simulation", "--port", str(self.port)],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self.healthy():
            assert self.superlink.poll() is None, (home / "superlink.log").read_text()
            assert time.monotonic() < deadline, (home / "superlink.log").read_text()
            time.sleep(0.2)

    def healthy(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def flwr(self, *arguments: str) -> str:
        done = subprocess.run(
            ["flwr", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
            cwd=self.home,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(self, *, nodes: int, **config: object) -> tuple[str, str]:
        """Run the app to its end; its log, and how the run ended."""
        options = " ".join(f"{key.replace('_', '-')}={json.dumps(v)}" for key, v in config.items())
        output = self.flwr(
            *("run", str(APP), "test", "--stream", "--run-config", options, "--federation-config"),
            f"num-supernodes={nodes} client-resources-num-cpus=1",
        )
        run = re.search(r"started run (\d+)", output)
        assert run, output
        deadline = time.monotonic() + 30
        while True:  # the log may end a moment before the run's status does
            listed = self.flwr("ls", "test", "--run-id", run[1], "--format", "json")
            status = json.loads(listed)["runs"][0]["status"]
            if status.startswith("finished") or time.monotonic() > deadline:
                return output, status
            time.sleep(0.5)

    def stop(self) -> None:
        os.killpg(self.superlink.pid, signal.SIGTERM)
        try:
            self.superlink.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.superlink.pid, signal.SIGKILL)
            self.superlink.wait(10)


@pytest.fixture(scope="module")
def flower(tmp_path_factory):
    flower = Flower(tmp_path_factory.mktemp("home"))
    yield flower
    flower.stop()


def test_a_run_with_overrides_finishes_and_can_be_audited_from_outside(flower, tmp_path):
    """A robust run under attack ends as completed; chain and store lie where the user asked."""
    folder = tmp_path / "evidence"
    output, status = flower.run(
        nodes=7,
        num_server_rounds=2,
        local_epochs=2,
        attack="label_flip",
        malicious=0.28,
        folder=str(folder),
    )
    assert status == "finished:completed", output
    assert "round 2: accuracy" in output
    assert "audit: passed" in output
    ledger, store = f"local://{folder}/chain.db", f"file://{folder}/store"
    assert ledger in output
    with open_ledger(ledger, read_only=True) as chain, open_store(store) as contents:
        report = audit_ledger(chain, contents)
    assert report.passed, report.reason
    assert [(verdict.round, verdict.accepted) for verdict in report.rounds] == [(1, 7), (2, 7)]


@pytest.mark.soak
def test_flowers_default_of_two_nodes_runs_and_says_what_it_cannot_tolerate(flower):
    """A plain `flwr run` of the app works; the log says that two nodes tolerate nobody.

    Its models travel by the store.
    """
    output, status = flower.run(nodes=2, num_server_rounds=1, local_epochs=1, transport="store")
    assert status == "finished:completed", output
    assert "audit: passed" in output
    assert "2 nodes are too few to tolerate 1 malicious ones: f = 0" in output


@pytest.mark.soak
def test_a_protocol_from_outside_runs_as_any_other(flower, tmp_path, monkeypatch):
    """Three phases of a third party, by Flower's own command; the audit replays them."""
    folder = tmp_path / "evidence"
    output, status = flower.run(
        nodes=3, num_server_rounds=1, local_epochs=1, strategy="commit-reveal", folder=str(folder)
    )
    assert status == "finished:completed", output
    assert "audit: passed" in output
    use(monkeypatch, tmp_path / "site", "commit_reveal")
    with (
        open_ledger(f"local://{folder}/chain.db", read_only=True) as chain,
        open_store(f"file://{folder}/store", read_only=True) as contents,
    ):
        report = audit_ledger(chain, contents)
    assert report.passed, report.reason
    assert [phase.name for phase in report.rounds[0].record.phases] == ["commit", "reveal", "sum"]


def test_a_wrong_setting_fails_and_is_named(flower):
    """An unknown strategy is named with the nearest one, and the run is listed as failed."""
    output, status = flower.run(nodes=2, strategy="pofll")
    assert status == "finished:failed", output
    assert "did you mean 'pofl'" in output


def test_the_bundle_is_what_flower_accepts():
    """Every key of the README's table is a key of the config, and the name fits Flower's rules."""
    project = tomllib.loads((APP / "pyproject.toml").read_text())
    assert re.fullmatch(r"[A-Za-z0-9-]{1,32}", project["project"]["name"])
    readme = (APP / "README.md").read_text()
    table = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| `")]
    named = {key for cell in table for key in re.findall(r"`([a-z-]+)`", cell)}
    assert named == set(project["tool"]["flwr"]["app"]["config"])
