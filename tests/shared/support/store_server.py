"""A real `fedledger store serve` on loopback, started as its operator starts it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from fedledger.ledger_plugins.accounts import Account

__all__ = ["PASSWORD", "WRITER", "StoreServer", "named_account"]

PASSWORD = "correct horse"  # noqa: S105 - of test accounts
WRITER = Account.from_key(b"\7" * 32)
PROGRAM = "from fedledger.cli import main; main()"


def named_account(monkeypatch, folder: Path, account: Account = WRITER) -> None:
    """Let the environment name an account, as a device's does."""
    path = folder / "writer.json"
    if not path.exists():
        account.save(path, PASSWORD, light=True)
    monkeypatch.setenv("FEDLEDGER_ACCOUNT", str(path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)


class StoreServer:
    """One process.

    Args:
        folder: its notes, its log, and the store behind it unless another is said.
        options: more of the command's.
        store: URL of the store behind it.
        program: what Python runs.
    """

    def __init__(
        self, folder: Path, *options: str, store: str = "", program: str = PROGRAM
    ) -> None:
        self.folder = folder
        self._program = program
        self.behind = folder / "behind"
        self._options = (
            *("--store", store or self.behind.as_uri(), "--data", str(folder / "server")),
            *options,
        )
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, listen: str = "127.0.0.1:0") -> Self:
        """Start it, and wait until it answers."""
        with (self.folder / "server.log").open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", self._program, "store", "serve", "--listen", listen),
                    *self._options,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("store at "), self.log
        self.url = line.removeprefix("store at ").strip()
        return self

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "server.log").read_text(encoding="utf-8")

    @property
    def http(self) -> str:
        """Its URL for those who speak HTTP themselves."""
        return self.url.removeprefix("store+")

    @property
    def name(self) -> str:
        """HOST:PORT."""
        return self.http.removeprefix("http://")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pause(self) -> None:
        """Let it hang: the kernel takes connections, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._finish()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._finish()

    def _finish(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        status = process.wait(timeout=60)
        assert process.stdout is not None
        process.stdout.close()
        return status

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
