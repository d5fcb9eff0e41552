"""Development nodes from npm: started on a free port, stopped by who started them."""

import http.client
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from .npm import CACHE, CONTRACTS, PACKAGES, npm_install

__all__ = ["Anvil", "Ganache", "Hardhat", "anvil_program"]


def anvil_program() -> Path:
    """Return the program that npm has for this machine, else the one on the PATH."""
    modules = npm_install(CONTRACTS / "solidity", CACHE / "contracts" / "solidity")
    found = [*modules.glob("@foundry-rs/anvil-*/bin/anvil*")]
    installed = shutil.which("anvil")
    if not found and installed is None:
        pytest.skip("npm has no anvil for this machine, and none is on the PATH")
    return found[0] if found else Path(str(installed))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DevNode:
    """One process of a development node.

    Args:
        folder: what it writes goes there.
        command: the program and its arguments; `{port}` in one stands for the port.
        port: where it listens; a free port by default.
        sockets: Unix sockets that it makes.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str | Path],
        *,
        port: int | None = None,
        sockets: Sequence[Path] = (),
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        log_file = folder / "node.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part).replace("{port}", str(self.port)) for part in command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.rpc("web3_clientVersion")
                for path in sockets:  # made after the port
                    path.stat()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    pytest.fail(f"{command[0]} did not start: {log_file.read_text()}")
                time.sleep(0.02)
            else:
                break

    def rpc(self, method: str, *params: object) -> object:
        """Return the result of a request; RuntimeError when it is refused."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            said = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    def pause(self) -> None:
        """Let it hang: it takes connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it as Ctrl-C would: it writes its state, when told to keep one."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=20)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()


class Anvil(DevNode):
    """One anvil process.

    Args:
        folder: what it writes goes there.
        arguments: its command line.
        port: where it listens; a free port by default.
    """

    def __init__(self, folder: Path, *arguments: str, port: int | None = None) -> None:
        # Old states would stay in the home when it is killed: some gigabytes a test.
        states = ("--max-persisted-states", "0")
        address = ("--host", "127.0.0.1", "--port", "{port}")
        command = [anvil_program(), *address, *states, *arguments]
        sockets = [Path(path) for name, path in pairwise(arguments) if name == "--ipc"]
        super().__init__(folder, command, port=port, sockets=sockets)


class Ganache(DevNode):
    """One ganache process."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None) -> None:
        program = npm_install(PACKAGES / "ganache", CACHE / "ganache") / "ganache/dist/node/cli.js"
        options = ["--server.host", "127.0.0.1", "--server.port", "{port}"]
        super().__init__(folder, ["node", program, *options, *arguments], port=port)


class Hardhat(DevNode):
    """One node of hardhat, whose folder becomes an empty project: it runs from inside of one."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None) -> None:
        modules = npm_install(PACKAGES / "hardhat", CACHE / "hardhat")
        (folder / "node_modules").symlink_to(modules)
        (folder / "hardhat.config.js").write_text("module.exports = {};\n")
        program = folder / "node_modules" / "hardhat" / "internal" / "cli" / "bootstrap.js"
        options = ["node", "--hostname", "127.0.0.1", "--port", "{port}"]
        super().__init__(folder, ["node", program, *options, *arguments], port=port)
