"""docs/vehicles.md, command by command: three miners, one of which lies, and five vehicles."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from support.nodes import PASSWORD, PROGRAM, wait_for

from fedledger.effects import Effects
from fedledger.ledger_plugins.local.node.http.control import NodeControl

ROOT = Path(__file__).parents[2]
VEHICLES = 5
NOTHING: dict[str, str] = {}


def shown():
    """Return the page's commands, as words."""
    text = (ROOT / "docs" / "vehicles.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    return [shlex.split(line.partition(" | ")[0]) for line in lines]


def free_ports(count):
    """Return ports that nobody listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Machine:
    """Where the page's processes run; what is the machine's own replaces what the page says."""

    def __init__(self, home):
        self.home = home
        self.running = {}
        ports = zip((7001, 7002, 7003), free_ports(3), strict=True)
        self.ports = {f"127.0.0.1:{old}": f"127.0.0.1:{new}" for old, new in ports}
        self.changes = {
            **self.ports,
            "$PWD": str(home),
            "docs/examples/vehicles": str(ROOT / "docs" / "examples" / "vehicles"),
        }
        self.environment = os.environ | {
            "FEDLEDGER_HOME": str(home),
            "FEDLEDGER_ACCOUNT_PASSWORD": PASSWORD,
            "OMP_NUM_THREADS": "1",
        }

    def words(self, command, more):
        for old, new in (*more.items(), *self.changes.items()):
            account = old.startswith("0x")  # an address may begin as another one's name
            command = [
                (new if word == old else word) if account else word.replace(old, new)
                for word in command
            ]
        program = {"fedledger": ["-c", PROGRAM], "python": []}[command[0]]
        return [sys.executable, *program, *command[1:]]

    def run(self, command, more=NOTHING):
        done = subprocess.run(
            self.words(command, more),
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name, command, *options, more=NOTHING):
        with (self.home / f"{name}.log").open("w") as log:
            self.running[name] = subprocess.Popen(
                [*self.words(command, more), *options],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, name):
        return (self.home / f"{name}.log").read_text(encoding="utf-8")

    def listens(self, name):
        return "node at" in self.said(name)

    def events(self, name, *kinds):
        """Return what a vehicle said, by its lines of JSON."""
        lines = self.said(name).splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in found if one["event"] in kinds]

    def create(self, owner, create):
        """Make the page's accounts; return what the page calls them to their addresses."""
        made = {"0xOWNER": self.run(owner)}
        made |= {f"0xC{n}": self.run(create, {"c0": f"c{n}"}) for n in range(VEHICLES)}
        return {name: line.split()[1] for name, line in made.items()}

    def drive(self, number, command, accounts, node):
        """Start a vehicle."""
        mine = {"partition-id=0": f"partition-id={number}", "127.0.0.1:7001": node}
        self.start(
            f"c{number}", [*command[:-1], f"c{number}"], "--format", "json", more=mine | accounts
        )

    def wait_for_vehicles(self, numbers, event):
        """Wait until each has said something."""
        for number in numbers:
            said = partial(self.events, f"c{number}", event)
            wait_for(said, 150, f"vehicle {number} has not said {event!r}")

    def end(self, numbers):
        """Wait until vehicles end, as they have to."""
        for number in numbers:
            assert self.running[f"c{number}"].wait(240) == 0, self.said(f"c{number}")

    def miner(self, name, *, running):
        NodeControl(self.home / name, Effects.real()).set_mining(running=running)

    def status(self, port, key):
        """Return what a node says of itself, by the page's port."""
        url = f"http://{self.ports[f'127.0.0.1:{port}']}/status"
        return httpx.get(url, timeout=20, trust_env=False).json()[key]

    def agree(self):
        """Tell whether the nodes have one head; the others left the liar alone for a minute."""
        return len({self.status(port, "head") for port in (7001, 7002, 7003)}) == 1

    def stop(self):
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@pytest.fixture
def machine(tmp_path):
    home = tmp_path / "a home"
    home.mkdir()
    machine = Machine(home)
    yield machine
    machine.stop()


def test_the_pages_commands(machine):
    """One node and three vehicles, of which one poisons: the round ends with the third update."""
    owner, create, node, _, _, vehicle, poisoner, initial, submit, audit, balances = shown()
    accounts = machine.create(owner, create)
    alone = node[: node.index("--peer")]
    machine.start("n1", alone, "--interval", "0.2")
    wait_for(partial(machine.listens, "n1"), 60, "the node did not start")
    for number in (0, 1):
        machine.drive(number, vehicle, accounts, "127.0.0.1:7001")
    machine.drive(4, poisoner, {**accounts, "127.0.0.1:7002": "127.0.0.1:7001"}, "127.0.0.1:7001")
    machine.run(initial)
    few = ["--client", "0xC0", "--client", "0xC1", "--client", "0xC4"]
    words = submit[: submit.index("--rounds")] + submit[submit.index("--ledger") :]
    now = ["--rounds", "1", "--window", "0", "--byzantine", "0", "--rule", "krum"]
    assert machine.run([*words, *now, *few], accounts).startswith("task: 1")
    machine.end((0, 1, 4))
    place = {"127.0.0.1:7003": "127.0.0.1:7001"}
    assert machine.run(audit, place).endswith("audit: passed\n")
    held = dict(line.split() for line in machine.run(balances, place).splitlines())
    assert [held.get(accounts[f"0xC{number}"]) for number in (0, 1, 4)].count("20") == 1
    assert accounts["0xC4"] not in held


@pytest.mark.soak
def test_five_vehicles_and_three_miners_as_the_page_says(machine):
    """They train the task to its end; who poisons is not paid, who lies is overruled.

    While the first round ends the liar mines alone: it publishes its wrong model, which the others
    refuse; then they mine as well, and theirs is the chain.
    """
    owner, create, *nodes, vehicle, poisoner, initial, submit, audit, balances = shown()
    accounts = machine.create(owner, create)
    for name, node in zip(("n1", "n2", "n3"), nodes, strict=True):
        machine.start(name, node, "--interval", "0.6" if name == "n3" else "0.4")
    for name in ("n1", "n2", "n3"):
        wait_for(partial(machine.listens, name), 60, "a node did not start")
    for number in range(VEHICLES - 1):
        machine.drive(number, vehicle, accounts, f"127.0.0.1:{7001 + number % 2}")
    machine.drive(VEHICLES - 1, poisoner, accounts, "127.0.0.1:7002")
    machine.wait_for_vehicles(range(VEHICLES), "waiting")
    machine.run(initial)
    assert machine.run(submit, accounts).startswith("task: 1")
    machine.wait_for_vehicles(range(VEHICLES), "sent")
    for name in ("n1", "n2"):
        machine.miner(name, running=False)
    refused = partial(machine.status, key="refused")
    wait_for(lambda: refused(7001) and refused(7002), 120, "nobody lied")
    for name in ("n1", "n2"):
        machine.miner(name, running=True)
    machine.end(range(VEHICLES))
    wait_for(machine.agree, 120, "the nodes do not agree")
    for port in (7001, 7002, 7003):
        place = {"127.0.0.1:7003": f"127.0.0.1:{port}"}
        report = machine.run(audit, place)
        assert report.endswith("audit: passed\n")
        assert "2 rounds: 2 proved, 0 attested, 0 kept" in report
        held = dict(line.split() for line in machine.run(balances, place).splitlines())
        assert accounts["0xC4"] not in held
        assert sum(int(held.get(accounts[f"0xC{n}"], 0)) for n in range(4)) >= 2 * 20
    for number in range(VEHICLES):
        rounds = machine.events(f"c{number}", "round")
        assert [one["round"] for one in rounds] == [1, 2]
        assert len(machine.events(f"c{number}", "trained")) == 2
    assert not any(one["contributed"] for one in machine.events("c4", "round"))
