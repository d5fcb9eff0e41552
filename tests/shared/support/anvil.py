"""anvil, a development node, from npm: started on a free port, stopped by who started it."""

import http.client
import json
import shutil
import signal
import socket
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from .npm import CACHE, CONTRACTS, npm_install

__all__ = ["Anvil", "anvil_program"]


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


class Anvil:
    """One anvil process.

    Args:
        folder: what it writes goes there.
        arguments: its command line.
        port: where it listens; a free port by default.
    """

    def __init__(self, folder: Path, *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [anvil_program(), "--host", "127.0.0.1", "--port", str(self.port), *arguments]
        with (folder / "anvil.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        sockets = [Path(path) for name, path in pairwise(arguments) if name == "--ipc"]
        while True:
            try:
                self.rpc("web3_clientVersion")
                for path in sockets:  # made after the port
                    path.stat()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    pytest.fail(f"anvil did not start: {(folder / 'anvil.log').read_text()}")
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
