"""Real node processes on loopback, started as a user starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from fedledger.effects import Effects
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.local.node.http.control import NodeControl
from fedledger.ledger_plugins.local.node.http.remote import NodeLedger, open_node_ledger

ADMIN = Account.from_key(b"\1" * 32)
PASSWORD = "correct horse"  # noqa: S105 - of test accounts
PROGRAM = "from fedledger.cli import main; main()"


class NodeProcess:
    """One `fedledger node run`."""

    def __init__(self, home: Path, name: str, *options: str) -> None:
        self.home = home
        self.data = home / name
        self.log = home / f"{name}.log"
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, *options: str, listen: str = "127.0.0.1:0") -> "NodeProcess":
        """Start the process; `wait_ready` says when it answers."""
        arguments = ["node", "run", "--data", str(self.data), "--listen", listen]
        with self.log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments, *self._options, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ
                | {"FEDLEDGER_HOME": str(self.home), "FEDLEDGER_ACCOUNT_PASSWORD": PASSWORD},
            )
        return self

    def wait_ready(self) -> "NodeProcess":
        """Wait until it answers; its URL is known then."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("node at "), self.log.read_text(encoding="utf-8")
        self.url = line.removeprefix("node at ").strip()
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self.url.removeprefix("http://")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._finish()

    def pause(self) -> None:
        """Let it hang: it takes connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._finish()

    def _finish(self) -> int:
        assert self._process is not None
        try:
            self._process.communicate(timeout=15)
        finally:
            self._process.kill()
            code = self._process.wait()
            self._process = None
        return code

    def status(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/status", timeout=10, trust_env=False)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def control(self) -> NodeControl:
        return NodeControl(self.data, Effects.real())

    def ledger(self) -> NodeLedger:
        return open_node_ledger(f"local+{self.url}", patience=90)

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(encoding="utf-8")


class Cluster:
    """Several nodes of one network, each a peer of every other one.

    Args:
        home: folder of all of them.
        options: of each node.
        new: options of the first one, which makes the chain.
    """

    def __init__(self, home: Path, options: list[list[str]], new: list[str] | None = None) -> None:
        self.nodes = [
            NodeProcess(home, f"n{number}", *extra) for number, extra in enumerate(options)
        ]
        self._new = new or ["--admin", ADMIN.address, "--difficulty-bits", "8"]

    def start(self) -> "Cluster":
        first, *others = self.nodes
        first.start("--new-chain", *self._new).wait_ready()
        for node in others:
            node.start("--peer", first.url)
        for node in others:
            node.wait_ready()
        self.connect(self.nodes)
        return self

    def connect(self, *groups: list[NodeProcess]) -> None:
        """Let the nodes of each group talk to each other, and to nobody else."""
        for group in groups:
            for node in group:
                node.control().set_peers([other.url for other in group if other is not node])

    def agree(self, seconds: float = 90, *, nodes: list[NodeProcess] | None = None) -> str:
        """Wait until all stand on one head, and return it."""
        chosen = nodes or self.nodes

        def one_head() -> str | None:
            found = [node.status() for node in chosen]
            heads = {status["head"] for status in found}
            busy = any(status["pending"] for status in found)
            return heads.pop() if len(heads) == 1 and not busy else None

        return str(wait_for(one_head, seconds, "the nodes do not agree"))

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()


def wait_for(what: Callable[[], Any], seconds: float, problem: str) -> Any:
    """Return what `what` returns once it is true; fail after a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(problem)


def keystore(home: Path, name: str, account: Account) -> None:
    """Keep an account where `--account NAME` finds it."""
    folder = home / "keystore"
    folder.mkdir(parents=True, exist_ok=True)
    account.save(folder / f"{name}.json", PASSWORD, light=True)


def run_cli(home: Path, *arguments: str) -> Any:
    """Run a command with `--format json` and return its answer."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FEDLEDGER_HOME": str(home), "FEDLEDGER_ACCOUNT_PASSWORD": PASSWORD},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
