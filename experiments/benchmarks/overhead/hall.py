"""A federation of processes on this machine, with keys as `fedledger edge init` makes them."""

import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from fedledger.effects import Effects
from fedledger.errors import RunError

from ....ledger_plugins import open_ledger
from ....ledger_plugins.accounts import (
    Account,
    create_account,
    keystore_path,
    load_account,
    read_password,
)
from ....ledger_plugins.contracts.identities.nodes import bind_node, load_node_key
from .settings import Places

__all__ = ["Hall", "Started"]

_HERE = "127.0.0.1"
_PATIENCE = 300.0
"""Seconds in which a process has to be there, on a machine that is busy."""
_GRACE = 20.0
_KEPT = {"LANG", "LC_ALL", "TMPDIR"}
_APP = Path(__file__).parent / "apps" / "timed"
_PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "timed"
version = "0.1.0"
license = "Apache-2.0"
dependencies = []

[tool.setuptools]
packages = ["timed"]

[tool.flwr.app]
publisher = "fedledger"

[tool.flwr.app.components]
serverapp = "timed.server_app:app"
clientapp = "timed.client_app:app"

[tool.flwr.app.config]
settings = ""
"""


class Started:
    """A process in a session of its own, and what it says.

    Args:
        text: commands of a shell.
        folder: where they run.
        log: file that gets what they say.
    """

    def __init__(self, text: str, folder: Path, log: Path) -> None:
        self.log = log
        with log.open("ab") as said:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                ["/bin/sh", "-e", "-c", text],
                cwd=folder,
                env=_environment(log.parent),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for who started it, who then ends it
            )

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until it says something.

        Raises:
            RunError: it ends before that, or does not say it in time.
        """
        end = time.monotonic() + _PATIENCE
        while text not in self.said:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RunError(f"{self.log.stem} did not start: {last_of(self.said)}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it and what it has started."""
        for number, seconds in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        end = time.monotonic() + _GRACE
        while _is_there(self.process.pid) and time.monotonic() < end:
            time.sleep(0.05)


class Hall:
    """A SuperLink, its SuperNodes, a node of the embedded chain and a served store.

    A context manager: when it is left, all of them have ended.

    Args:
        folder: where all of it is; empty.
        devices: how many.
    """

    def __init__(self, folder: Path, devices: int) -> None:
        self.folder = folder.absolute()
        self.devices = devices
        self.notes = self.folder / "notes"
        self._files = self.folder / "hall"
        self._server = self._files / "server"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            self._make()
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything."""
        self._stack.__exit__(exc_type, exc, traceback)

    def train(self, settings: Path) -> Started:
        """Start Flower's run of the benchmark's app."""
        given = shlex.quote(f'settings="{settings}"')
        text = f"exec flwr run {shlex.quote(str(self._app))} edge --stream --run-config {given}"
        return self._started("flwr-run", text, self._server)

    # Files ---------------------------------------------------------------------------------

    def _make(self) -> None:
        self._port = _free_port()
        self.notes.mkdir(parents=True)
        made = f"fedledger edge init hall --devices {self.devices} --host {_HERE}"
        self._run(f"{made} --port {self._port}", self.folder)
        self._app = self.folder / "app"
        package = self._app / _APP.name
        package.mkdir(parents=True)
        for path in _APP.glob("*.py"):
            (package / path.name).write_bytes(path.read_bytes())
        (self._app / "pyproject.toml").write_text(_PROJECT, encoding="utf-8")
        store = f"file://{self._server}/run/store"
        ledger = f"local://{self._server}/run/chain.db"
        self.local = Places(ledger=ledger, store=store, clients=self._bound(ledger, "device"))

    def _bound(self, ledger: str, name: str) -> tuple[str, ...]:
        """Return the addresses of the devices' accounts, whose nodes are bound on a ledger."""
        disk, found = Effects.real().disk, []
        with open_ledger(ledger) as opened:
            for number in range(1, self.devices + 1):
                place = self._device(number)
                account = self._account(f"{name}-{number}", place)
                bind_node(opened, account, load_node_key(place / "node.key", disk))
                found.append(account.address)
        return tuple(found)

    def _account(self, name: str, place: Path) -> Account:
        """Return an account of a device; made like the others where it is not there yet."""
        home, password = place / "home", read_password(place / "password")
        if not keystore_path(name, home).exists():
            create_account(name, password, home, light=True)
        return load_account(name, password, home)

    def _device(self, number: int) -> Path:
        return self._files / "devices" / f"device-{number}"

    # Processes -----------------------------------------------------------------------------

    def _start(self) -> None:
        node, served = (f"{_HERE}:{_free_port()}" for _ in range(2))
        ledger, store = f"local+http://{node}", f"store+http://{served}"
        behind = f"file://{self._server}/store"
        # Only so it says in its log that a device has asked for a message.
        loud = "export FLWR_LOG_LEVEL=DEBUG; exec sh start.sh"
        self.superlink = self._started("superlink", loud, self._server)
        self._started(
            "node",
            f"exec fedledger node run --data chain --listen {node} --store {behind} --new-chain "
            "--mine --account aggregator --password-file password",
            self._server,
        ).wait_for("node at ")
        clients = self._bound(ledger, "direct")
        writers = [*clients, *(self._server / "accounts").read_text(encoding="utf-8").split()]
        self._started(
            "store",
            f"exec fedledger store serve --store {behind} --data store-server --listen {served} "
            + " ".join(f"--allow {one}" for one in writers),
            self._server,
        ).wait_for(served)
        self.direct = Places(ledger=ledger, store=store, clients=clients)
        self._wait_for_superlink()
        register = 'for key in nodes/*.pub; do flwr supernode register "$key" edge; done'
        self._run(register, self._server)
        for number in range(1, self.devices + 1):
            text = f"exec sh start.sh --port {_free_port()}"
            self._started(f"device-{number}", text, self._device(number))

    def _wait_for_superlink(self) -> None:
        context = ssl.create_default_context(cafile=str(self._server / "tls" / "ca.crt"))
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                with urlopen(f"https://{_HERE}:{self._port}/health", timeout=5, context=context):
                    return
            except OSError as error:
                link = self.superlink
                if link.process.poll() is not None or time.monotonic() > end:
                    raise RunError(f"the SuperLink did not start: {last_of(link.said)}") from error
                time.sleep(0.2)

    def _started(self, name: str, text: str, folder: Path) -> Started:
        started = Started(f". ./env.sh\n{text}", folder, self.folder / f"{name}.log")
        self._stack.callback(started.stop)
        return started

    def _run(self, text: str, folder: Path) -> None:
        """Run commands to their end.

        Raises:
            RunError: they fail.
        """
        first = ". ./env.sh\n" if (folder / "env.sh").exists() else ""
        done = subprocess.run(  # noqa: S603 - our own commands
            ["/bin/sh", "-e", "-c", first + text],
            cwd=folder,
            env=_environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RunError(f"{text.split(' --', maxsplit=1)[0]}: {last_of(done.stdout)}")


def last_of(said: str) -> str:
    """Return the last line that something said, for a sentence."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it has said nothing"


def _environment(home: Path) -> dict[str, str]:
    """Return a bare environment in which our own programs are found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"HOME": str(home), "PATH": path} | {
        name: os.environ[name] for name in _KEPT if name in os.environ
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_HERE, 0))
        return int(found.getsockname()[1])


def _is_there(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True
