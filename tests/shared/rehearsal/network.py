"""Machines of a rehearsal as network namespaces, each behind a link of its own to one switch."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from .wires import Link, Wires, open_tap

__all__ = ["ENTERED", "HUB", "Network", "Place", "enter", "unshared"]

HUB = "10.77.0.254"
"""The address of who watches: at the switch, behind no link."""

ENTERED = "FEDLEDGER_REHEARSAL_BY"
"""Environment variable of who is in those namespaces: "root", or another who is "mapped" to it."""

_SPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def enter() -> None:
    """Go on in namespaces of its own, where networks can be made and what is started ends with it.

    Root needs nothing else; others become root of a user namespace, where they may.
    """
    if os.environ.get(ENTERED):
        return
    command = unshared(sys.executable, "-m", "rehearsal", *sys.argv[1:])
    by = "root" if os.geteuid() == 0 else "mapped"
    os.execvpe("unshare", command, {**os.environ, ENTERED: by})  # noqa: S606 - itself


def unshared(*words: str) -> list[str]:
    """Return the words that run a command in namespaces of its own, as `enter` says."""
    mapped = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    # The shell is the first process there, which has to bury those whose parents are dead.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    return ["unshare", *mapped, *_SPACES, "--", *shell, *words]


class Place:
    """A network namespace.

    Args:
        name: what is shown.
        address: in 10.77.0.0/24.
        link: how it is connected.
        number: of its device at the switch.
    """

    def __init__(self, name: str, address: str, link: Link, number: int) -> None:
        self.name, self.address, self.link = name, address, link
        self._port = f"port{number}"
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.prefix = ("nsenter", f"--target={self._holder.pid}", "--net", "--")

    def connect(self, wires: Wires) -> None:
        """Give it its end of the link, and the switch the other."""
        _wait_for_own_network(self._holder.pid)
        hub, machine = open_tap(self._port), open_tap("machine")
        _ip("link", "set", "machine", "netns", str(self._holder.pid), "name", "eth0")
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "lo", "up"),
            ("link", "set", "eth0", "up"),
        ):
            _run(*self.prefix, "ip", *words)
        _ip("link", "set", self._port, "master", "switch", "up")
        wires.connect(machine, hub, self.link)

    def cut(self) -> None:
        """Cut the link: what is sent into it is lost, without a word."""
        _ip("link", "set", self._port, "down")

    def mend(self) -> None:
        """Have the link carry frames again."""
        _ip("link", "set", self._port, "up")

    def processes(self) -> list[int]:
        """Return the ids of the processes that run there."""
        own = _network_of(self._holder.pid)
        found = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
        return [one for one in found if one != self._holder.pid and _network_of(one) == own]

    def close(self) -> None:
        """End it, with all that still runs there."""
        for one in self.processes():
            os.kill(one, signal.SIGKILL)
        self._holder.kill()
        self._holder.wait(10)


class Network:
    """The switch, and what is connected to it.

    Args:
        seed: see `Wires`.
    """

    def __init__(self, seed: int = 7) -> None:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "switch", "type", "bridge")
        _ip("addr", "add", f"{HUB}/24", "dev", "switch")
        _ip("link", "set", "switch", "up")
        self.places: list[Place] = []
        self._wires = Wires(seed)

    def add(self, name: str, number: int, link: Link | None = None) -> Place:
        """Return a new machine, 10.77.0.`number`."""
        place = Place(name, f"10.77.0.{number}", link or Link(), number)
        self.places.append(place)
        place.connect(self._wires)
        return place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for place in self.places:
            place.close()
        self._wires.close()
        _ip("link", "del", "switch")


def _network_of(process: int) -> str:
    try:
        return str(Path(f"/proc/{process}/ns/net").readlink())
    except OSError:
        return ""  # it has ended


def _wait_for_own_network(process: int) -> None:
    own = _network_of(os.getpid())
    while _network_of(process) == own:
        if not Path(f"/proc/{process}").exists():
            raise RuntimeError("no network namespace can be made here")


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
