"""npm packages for tests: what a lock file pins, installed once into `.cache/npm`.

Node 20 with npm is all that has to be on the machine; nothing is downloaded the second time.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

__all__ = [
    "CACHE",
    "CONTRACTS",
    "PACKAGES",
    "ROOT",
    "ContractsWorkspace",
    "locked",
    "npm_install",
    "run",
]

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "npm"
CONTRACTS = ROOT / "ledger_plugins" / "contracts"
PACKAGES = Path(__file__).parents[1] / "npm"


def npm_install(source: Path, target: Path) -> Path:
    """Install what `source/package-lock.json` pins; skip the test where there is no npm.

    Args:
        source: folder with `package.json` and `package-lock.json`.
        target: folder that gets copies of both, and `node_modules`.

    Returns:
        The folder `node_modules`.
    """
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    files = [source / name for name in ("package.json", "package-lock.json")]
    digest = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    modules = target / "node_modules"
    stamp = modules / ".installed"
    with locked(target):
        if not stamp.exists() or stamp.read_text() != digest:
            for file in files:
                shutil.copy(file, target)
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=target)
            stamp.write_text(digest)
    return modules


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let the tests of other processes wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program and return what it printed; fail the test with it when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} failed:\n{done.stdout}", pytrace=False)
    return done.stdout


class ContractsWorkspace:
    """A copy of the contracts' sources and artifacts with their npm packages beside them.

    forge and solc write into it, and so nothing is ever written beside the sources, from where it
    would get into the wheel.
    """

    def __init__(self, folder: Path = CACHE / "contracts") -> None:
        self.folder = folder
        self.node_modules = npm_install(CONTRACTS / "solidity", folder / "solidity")
        with locked(folder / "solidity"):
            self._copy()

    def _copy(self) -> None:
        tools = ("solidity/solc.js", "solidity/test/*.sol", "solidity/gas/*.json")
        copied = ("*.toml", "*/*.sol", "*/artifact.json", *tools)
        sources = [path for pattern in copied for path in CONTRACTS.glob(pattern)]
        for stale in (path for pattern in copied for path in self.folder.glob(pattern)):
            if CONTRACTS / stale.relative_to(self.folder) not in sources:
                stale.unlink()
        for path in sources:
            target = self.folder / path.relative_to(CONTRACTS)
            if not target.exists() or target.read_bytes() != path.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)

    def forge(self, *arguments: str, profile: str = "default") -> str:
        """Run forge and return what it printed; fail the test when forge fails."""
        found = [*self.node_modules.glob("@foundry-rs/forge-*/bin/forge*"), shutil.which("forge")]
        if found[0] is None:
            pytest.skip("npm has no forge for this machine, and none is on the PATH")
        return run(found[0], *arguments, cwd=self.folder, FOUNDRY_PROFILE=profile)
