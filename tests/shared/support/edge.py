"""docs/edge.md in processes: its blocks of commands, and machines that run them."""

import os
import re
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

__all__ = ["Block", "Machine", "blocks_of", "free_port", "wait_for_superlink"]

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "edge.md"
SECONDS = 500
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
    return [Block(*found) for found in re.findall(r"^```sh (\w+)\n(.*?)^```", text, re.S | re.M)]


class Machine:
    """A user with a home folder, who runs commands in one folder below it.

    Args:
        home: the home folder, made.
        folder: name of the folder below it in which commands run.
    """

    def __init__(self, home: Path, folder: str = ".") -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.folder = home, home / folder
        self.running: list[subprocess.Popen[bytes]] = []
        kept = {"LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment |= {"HOME": str(home), "PATH": path, "OMP_NUM_THREADS": "1"}
        self.environment |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}

    def run(self, text: str, *, status: int | None = 0) -> str:
        """Run commands to their end, and return what they said."""
        done = subprocess.run(
            ["sh", "-e", "-c", text],
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
                    ["sh", "-e", "-c", text],
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

    def wait_for(self, said: str) -> None:
        """Wait until it says something."""
        deadline = time.monotonic() + SECONDS
        while said not in self.log.read_text(errors="replace"):
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(0.2)

    def stop(self) -> None:
        """End what was started; its children, in their own sessions, end with it."""
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self.running.clear()


def wait_for_superlink(port: int, authority: Path) -> None:
    """Wait until a SuperLink answers by TLS, with a certificate of this authority."""
    context = ssl.create_default_context(cafile=str(authority))
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urlopen(f"https://127.0.0.1:{port}/health", timeout=2, context=context):  # noqa: S310
                return
        except (URLError, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.2)
