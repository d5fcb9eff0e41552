"""docs/edge.md in processes: its blocks of commands, and machines that run them."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from fedledger.effects import Effects
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import load_account, read_password
from fedledger.ledger_plugins.contracts.identities.nodes import bind_node, load_node_key

__all__ = [
    "ROOT",
    "SECONDS",
    "Block",
    "Hall",
    "Machine",
    "blocks_of",
    "free_port",
    "quoted",
    "seen",
]

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "edge.md"
SECONDS = 900
"""For one command: machines that run tests can be very busy."""


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Block:
    """A block of commands: where it is run, and its text."""

    where: str
    text: str


def blocks_of(heading: str) -> list[Block]:
    """Return the blocks under a heading of the page, in order."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [
        Block(*found)
        for found in re.findall(r"^```sh (\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]


def quoted() -> list[str]:
    """Return what the page's table quotes of errors."""
    table = PAGE.read_text(encoding="utf-8").split("\n## Troubleshooting\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return [part for row in rows for part in row[0].strip("| ").split("`")[1::2]]


def seen(fault: str) -> list[str]:
    """Return what the page says that one sees of a fault, by its first words."""
    table = PAGE.read_text(encoding="utf-8").split("\n## What happens when\n")[1]
    [row] = [line for line in table.splitlines() if line.startswith(f"| {fault}")]
    return row.split(" | ")[1].split("`")[1::2]


class Machine:
    """A user with a home folder, who runs commands in one folder below it.

    Args:
        home: the home folder, made.
        folder: name of the folder below it in which commands run.

    Attributes:
        prefix: words before every command: what runs it elsewhere, or as somebody else.
    """

    def __init__(self, home: Path, folder: str = ".") -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.folder = home, home / folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.prefix: tuple[str, ...] = ()
        kept = {"LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment |= {"HOME": str(home), "PATH": path, "OMP_NUM_THREADS": "1"}
        self.environment |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}

    def run(self, text: str, *, status: int | None = 0) -> str:
        """Run commands to their end, and return what they said."""
        done = subprocess.run(
            [*self.prefix, "sh", "-e", "-c", text],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert status is None or done.returncode == status, done.stdout
        return done.stdout

    def start(self, text: str) -> None:
        """Start commands that go on until `stop`."""
        with self.log.open("ab") as log:
            self.running.append(
                subprocess.Popen(
                    [*self.prefix, "sh", "-e", "-c", text],
                    env=self.environment,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    @property
    def log(self) -> Path:
        """What was said by what was started."""
        return self.home / "started.log"

    def wait_for(self, said: str, seconds: float = SECONDS) -> None:
        """Wait until it says something."""
        deadline = time.monotonic() + seconds
        while said not in self.log.read_text(errors="replace"):
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(0.2)

    def wait(self) -> None:
        """Wait until what was started has ended."""
        for process in self.running:
            process.wait(SECONDS)
        self.running.clear()

    def kill(self) -> None:
        """End it as a power cut would; its children, in their own sessions, notice and end."""
        for process in self.running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        self.running.clear()

    def stop(self) -> None:
        """End what was started, and what that has started."""
        for process in self.running:
            _tell(process, signal.SIGTERM)
        deadline = time.monotonic() + 60
        for process in self.running:
            while _tell(process, 0) and time.monotonic() < deadline:
                time.sleep(0.05)
                process.poll()
            _tell(process, signal.SIGKILL)
            process.wait(60)
        self.running.clear()


def _tell(process: "subprocess.Popen[bytes]", number: int) -> bool:
    """Send a signal to a process and those of its session; tell whether there are any."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


class Hall:
    """The machines of the page: yours, the server's, and one for each device.

    Args:
        home: their home folders go below it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host, self.port = "127.0.0.1", free_port()
        self.yours = Machine(home / "yours")
        self.server = Machine(home / "server", "server")
        self.devices: list[Machine] = []
        self.changes = {"--host 127.0.0.1": f"--host 127.0.0.1 --port {self.port}"}
        """What the page says, and what is said here instead."""

    def text(self, block: Block, **more: str) -> str:
        """Return a block's commands with what is this place's own."""
        text = block.text
        for old, new in (self.changes | more).items():
            text = text.replace(old, new)
        return text

    def make(self, *blocks: Block, devices: int = 3) -> None:
        """Run blocks on your machine, then carry its folders to where they go."""
        for block in blocks:
            self.yours.run(self.text(block).replace("--devices 3", f"--devices {devices}"))
        made = self.yours.home
        shutil.copytree(made / "edge-app", self.server.home / "edge-app")
        shutil.copytree(made / "hall" / "server", self.server.folder)
        shutil.rmtree(made / "hall" / "server")
        self.carry(*(f"device-{number}" for number in range(1, devices + 1)))

    def carry(self, *names: str) -> None:
        """Carry folders of devices to machines of their own, and delete them here."""
        for name in names:
            folder = self.yours.home / "hall" / "devices" / name
            device = Machine(self.home / name, "edge")
            shutil.copytree(folder, device.folder)
            shutil.rmtree(folder)
            self.devices.append(device)

    def bind(self) -> None:
        """Publish each device's key in one process, which is faster than the page's commands."""
        disk = Effects.real().disk
        with open_ledger(f"local://{self.server.folder}/run/chain.db") as ledger:
            for machine in self.devices:
                folder = machine.folder
                password = read_password(folder / "password")
                [name] = [one.stem for one in (folder / "home" / "keystore").glob("*.json")]
                account = load_account(name, password, folder / "home")
                bind_node(ledger, account, load_node_key(folder / "node.key", disk))

    def start(self, block: Block) -> None:
        """Start the SuperLink, and wait until it answers by TLS, as its authority says it is."""
        self.server.start(self.text(block))
        authority = self.server.folder / "tls" / "ca.crt"
        context = ssl.create_default_context(cafile=str(authority))
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                with urlopen(f"https://{self.host}:{self.port}/health", timeout=2, context=context):
                    return
            except (URLError, OSError):
                assert time.monotonic() < deadline, self.server.log.read_text()
                time.sleep(0.2)

    def change(self, **settings: object) -> None:
        """Change lines of the run config."""
        path = self.server.folder / "run.toml"
        lines = path.read_text().splitlines()
        for name, value in settings.items():
            key = f"{name.replace('_', '-')} ="
            lines = [line for line in lines if not line.startswith(key)] + [f"{key} {value}"]
        path.write_text("\n".join([*lines, ""]))

    def take_clients(self, count: int) -> None:
        """Let the run have the first of the clients alone."""
        text = (self.server.folder / "run.toml").read_text()
        clients = text.partition('clients = "')[2].partition('"')[0].split()
        self.change(clients=f'"{" ".join(clients[:count])}"')

    def stop(self) -> None:
        """End all that was started."""
        for machine in (*self.devices, self.server, self.yours):
            machine.stop()
