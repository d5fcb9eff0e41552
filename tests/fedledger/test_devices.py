"""The README's federation of real devices: Flower's own processes, command by command."""

import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from support.certificates import write_certificates
from support.node_thread import NodeThread

from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger

ROOT = Path(__file__).parents[2]
DEVICES = 3


def shown():
    """Yield the commands of the README's section, with `--insecure` for the certificates."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("### Real devices")[1]
    section = section.split("\n## ")[0]
    text = "".join(re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"--root-certificates \S+", "--insecure", line)  # noqa: PLW2901 - the same line
        line = re.sub(r"(--ssl-\S+ \S+ ?)+", "--insecure", line)  # noqa: PLW2901 - the same line
        yield shlex.split(line)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Machine:
    """One machine with a blank in every path, on which servers and devices run."""

    def __init__(self, home):
        self.home = home
        self.port = free_port()
        self.running = []
        self.context = None
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "FLWR_HOME": str(home / "flwr"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        }
        self.environment.pop("FEDLEDGER_ACCOUNT_PASSWORD", None)
        (home / "flwr").mkdir()
        (home / "flwr" / "config.toml").write_text(
            f'[superlink.hall]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        (home / "password").touch(0o600)
        (home / "password").write_text("open sesame\nthe second line is no password\n")

    def words(self, command, **changes):
        """Return a command of the README with what is this machine's own."""
        changes = {
            "HOST:PORT": f"127.0.0.1:{self.port}",
            "/etc/fedledger/password": str(self.home / "password"),
            "/srv/hall": str(self.home / "the hall"),
            "docs/examples/devices": str(ROOT / "docs/examples/devices"),
            **changes,
        }
        for old, new in changes.items():
            command = [word.replace(old, new) for word in command]
        return command

    def run(self, command, **changes):
        done = subprocess.run(
            self.words(command, **changes),
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, command, *options, **changes):
        with (self.home / f"{len(self.running)}.log").open("w") as log:
            self.running.append(
                subprocess.Popen(
                    [*self.words(command, **changes), *options],
                    env=self.environment,
                    cwd=self.home,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def encrypt(self):
        """Let the SuperLink have a certificate of its own authority; return the options for it."""
        write_certificates(self.home)
        self.context = ssl.create_default_context(cafile=str(self.home / "ca.crt"))
        (self.home / "flwr" / "config.toml").write_text(
            f'[superlink.hall]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{self.home / "ca.crt"}"\n'
        )
        files = {"ca-certfile": "ca.crt", "certfile": "server.pem", "keyfile": "server.key"}
        return [f"--ssl-{name}={self.home / file}" for name, file in files.items()]

    def wait_for_server(self):
        deadline = time.monotonic() + 60
        scheme = "https" if self.context else "http"
        while time.monotonic() < deadline:
            try:
                place = f"{scheme}://127.0.0.1:{self.port}/health"
                with urlopen(place, timeout=1, context=self.context):  # noqa: S310 - of two
                    return
            except (URLError, OSError):
                time.sleep(0.2)
        pytest.fail((self.home / "0.log").read_text())

    def stop(self):
        for process in self.running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@pytest.fixture
def machine(tmp_path):
    home = tmp_path / "a home"
    home.mkdir()
    machine = Machine(home)
    yield machine
    machine.stop()


def test_real_devices_as_the_readme_says(machine):
    """A SuperLink, three SuperNodes with an account each, `flwr run`, an audit that passes."""
    create, node, link, run, audit = shown()
    made = [
        machine.run(create, **{"press-7": name})
        for name in ["aggregator", *(f"press-{number}" for number in range(DEVICES))]
    ]
    addresses = [line.split()[1] for line in made[1:]]
    machine.start(link, "--port", str(machine.port))
    machine.wait_for_server()
    for number in range(DEVICES):
        named = {"press-7": f"press-{number}", "61.5": f"{60 + number}.0"}
        machine.start(node, "--port", str(free_port()), **named)
    settings = {"0xADDRESS 0xADDRESS 0xADDRESS": " ".join(addresses)}
    options = ["--run-config", "num-server-rounds=1 window=200.0"]
    output = machine.run([*run, *options], **settings)
    drawn = r"model: \[(30\.|30\.5|31\.) \1 \1\]"  # Krum, when the lot falls on it, takes one press
    assert re.search(drawn, output), output
    said = machine.run(audit)
    assert "update: 3 counted, 0 late, 0 dropped; none of 3 registered accounts absent" in said
    assert "salts: 3 counted, 0 late, 0 dropped; none of 3 registered accounts absent" in said
    assert said.endswith("audit: passed\n")


def test_bound_devices_speak_for_themselves_alone(machine):
    """SuperNodes authenticate with keys that their accounts published; one with another is refused.

    Four devices on a SuperLink with TLS and node authentication. The last one has its account's
    keystore, and authenticates with a key that the SuperLink knows, but not with the key that the
    account published: it refuses, the others train, and the audit passes.
    """
    secure, password = machine.encrypt(), machine.home / "password"
    create, _, _, run, audit = shown()
    names = [f"press-{number}" for number in range(4)]
    made = [machine.run(create, **{"press-7": name}) for name in ("aggregator", *names)]
    addresses = [line.split()[1] for line in made[1:]]
    (machine.home / "the hall").mkdir()
    keys = [machine.home / f"node-{number}" for number in range(5)]
    for key in keys:
        machine.run(["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(key)])
    for name, key in zip(names, keys, strict=False):
        bind = ["fedledger", "account", "bind", "--node-key", str(key), "--account", name]
        bind += ["--ledger", f"local://{machine.home / 'the hall'}/chain.db"]
        machine.run([*bind, "--new", "--password-file", str(password)])
    machine.start(
        ["flower-superlink", *secure, "--enable-supernode-auth", "--port", str(machine.port)]
    )
    machine.wait_for_server()
    used = [*keys[:3], keys[4]]
    for number, (name, key) in enumerate(zip(names, used, strict=True)):
        machine.run(["flwr", "supernode", "register", f"{key}.pub", "hall"])
        config = f'account="{name}" account-password-file="{password}" node-key="{key}"'
        node = ["flower-supernode", "--superlink", f"127.0.0.1:{machine.port}"]
        node += ["--root-certificates", str(machine.home / "ca.crt")]
        node += ["--auth-supernode-private-key", str(key), "--port", str(free_port())]
        machine.start([*node, "--node-config", f"{config} celsius={60 + number}.0"])
    settings = {"0xADDRESS 0xADDRESS 0xADDRESS": " ".join(addresses)}
    options = ["--run-config", "num-server-rounds=1 window=200.0 binding='required'"]
    output = machine.run([*run, *options], **settings)
    assert "this device cannot speak for it" in output, output
    said = machine.run(audit)
    assert "update: 3 counted, 0 late, 1 dropped" in said, said


@pytest.mark.soak
def test_a_device_that_submits_by_itself(machine, tmp_path):
    """Its calls go to a node of the network; what it answers names them, and it counts as others.

    The ledger's URL stands in its environment. Models travel by the store, of all devices.
    """
    create, node, link, run, _ = shown()
    made = [
        machine.run(create, **{"press-7": name})
        for name in ["aggregator", *(f"press-{number}" for number in range(DEVICES))]
    ]
    addresses = [line.split()[1] for line in made[1:]]
    chain = NodeThread(tmp_path / "node")
    ledger, store = f"local+{chain.url}", f"file://{tmp_path}/store"
    try:
        machine.start(link, "--port", str(machine.port))
        machine.wait_for_server()
        machine.environment |= {"FEDLEDGER_LEDGER": ledger, "FEDLEDGER_STORE": store}
        for number in range(DEVICES):
            named = {"press-7": f"press-{number}", "61.5": f"{60 + number}.0"}
            direct = f'submit="direct" store="{store}" account='
            ways = {"account=": direct} if number else {}
            machine.start(node, "--port", str(free_port()), **named, **ways)
        settings = {"0xADDRESS 0xADDRESS 0xADDRESS": " ".join(addresses)}
        more = f"num-server-rounds=1 window=200.0 ledger='{ledger}' store='{store}'"
        more += " transport='store'"
        machine.run([*run, "--run-config", more], **settings)
        with open_ledger(ledger) as opened, open_store(store) as contents:
            report = audit_ledger(opened, contents)
            assert report.passed, report.reason
            assert [verdict.accepted for verdict in report.rounds] == [DEVICES]
            senders = [one.client for one in TrainingTask(opened).submitted(1, 1)]
            assert sorted(senders) == sorted(addresses)
    finally:
        chain.stop()
    kept = {one.parent.name for one in machine.home.rglob("*.answers/*")}
    assert kept == {"press-1.json.answers", "press-2.json.answers"}
