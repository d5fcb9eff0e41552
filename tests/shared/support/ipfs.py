"""A real IPFS daemon for tests, of npm's packages, which others may be connected to."""

import http.client
import shutil
import signal
import subprocess
import time
from http import HTTPStatus
from pathlib import Path
from typing import Self

import pytest

from .anvil import free_port
from .npm import CACHE, PACKAGES, npm_install

__all__ = ["IpfsDaemon"]


class IpfsDaemon:
    """One process with an empty repository.

    Args:
        folder: what it writes goes there.
        swarm: whether it listens for other daemons, at a free port of 127.0.0.1.
    """

    def __init__(self, folder: Path, *, swarm: bool = False) -> None:
        modules = npm_install(PACKAGES / "ipfs", CACHE / "ipfs")
        self.folder = folder
        self.port = free_port()
        self.url = f"ipfs+http://127.0.0.1:{self.port}"
        self._command = [
            *("node", str(PACKAGES / "ipfs" / "daemon.mjs"), str(modules)),
            *(str(folder / "repo"), str(self.port), *([str(free_port())] if swarm else [])),
        ]
        self.start()

    def start(self) -> None:
        """Start it, with what its repository has, and wait until it answers."""
        # One that was killed leaves its lock, which lasts for seconds after it.
        shutil.rmtree(self.folder / "repo" / "repo.lock", ignore_errors=True)
        log_file = self.folder / "daemon.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"the IPFS daemon did not start: {log_file.read_text()}")
            time.sleep(0.05)

    def pause(self) -> None:
        """Let it hang: it takes connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Lose what stores keep there, and collect the garbage."""
        self._ask("files/rm?arg=/fedledger&recursive=true")  # refused where there is none
        if self._ask("repo/gc") != HTTPStatus.OK:
            pytest.fail("the IPFS daemon did not collect its garbage")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(timeout=20)

    def _answers(self) -> bool:
        try:
            return self._ask("version") == HTTPStatus.OK
        except OSError:
            return False

    def _ask(self, command: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", f"/api/v0/{command}")
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
