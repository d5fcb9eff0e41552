"""Servers, links and clients: a process each, and what each transfer needs of them."""

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from fedledger.errors import RunError

from ...ledger_plugins import open_store
from ..config.transfers import Links
from .machine import busy_since, ticks
from .processes.daemons import bitswap_over
from .processes.helper import Helper
from .ways import Way

__all__ = ["Parties", "Task", "Timed"]

_HERE = "127.0.0.1"
_BYTES = 1e6 / 8  # a second, of 1 Mbit/s
_PREPARING = 300.0  # seconds, to draw contents and log in
_FILE = "content"


@dataclass(frozen=True, slots=True)
class Task:
    """One transfer of every client.

    Attributes:
        way: how.
        links: the rates.
        size: bytes of each client.
        clients: how many there are.
        seed: of the contents; no two transfers have the same.
        patience: seconds that one of them may take.
    """

    way: Way
    links: Links
    size: int
    clients: int
    seed: tuple[int, ...]
    patience: float


@dataclass(frozen=True, slots=True)
class Timed:
    """What a task took.

    Attributes:
        seconds: of each client.
        connected: seconds until all clients were connected, before that.
        wall: seconds until the last one had finished.
        cpu: seconds of processor time by process.
        busy: share of this machine's processors that was busy, with what else ran on it; None where
            the system does not tell.
    """

    seconds: tuple[float, ...]
    connected: float
    wall: float
    cpu: dict[str, float]
    busy: float | None


class Parties:
    """The processes; a context manager that ends them, and removes what was transferred.

    Args:
        folder: their log goes there, and below it is what they transfer.
        store: URL of the store that is measured; "": embedded ones are started.
        peer: URL of a second IPFS daemon; "": none.
    """

    def __init__(self, folder: Path, store: str = "", peer: str = "") -> None:
        self._log = folder / "run.log"
        self._scratch = folder / "scratch"
        self._files = self._scratch / "sftp"
        self._store, self._peer = store, peer
        self._stack = ExitStack()
        self._helpers: dict[str, Helper] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            for role in ("servers", "keeper", "wires", "clients"):
                self._helpers[role] = stack.enter_context(Helper(role, self._log))
            self._files.mkdir(parents=True)
            key = self._ask("clients", "key")
            sftp = self._ask("servers", "sftp", folder=str(self._files), client=key)
            self._sftp_port, self._host_key = sftp["port"], sftp["host_key"]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all of them."""
        self._stack.__exit__(exc_type, exc, traceback)

    def transfer(self, task: Task) -> Timed:
        """Do a task, and time it.

        Raises:
            ConfigError: what the store's URL names cannot be measured.
            StoreError: the store does not do its part.
            RunError: something failed, or other bytes arrived than were sent.
        """
        prepare = {
            "sftp-get": self._sftp_get,
            "sftp-put": self._sftp_put,
            "served-get": self._served_get,
            "store-get": self._store_get,
            "peers-get": self._peers_get,
            "store-add": self._store_add,
            "store-put": self._store_put,
            "store-pass": self._store_pass,
        }[task.way.name]
        with ExitStack() as stack:
            stack.callback(self._clear)
            wanted = prepare(task, stack)
            stack.callback(self._ask, "clients", "end")
            connected = self._ask("clients", "ready", **wanted)
            before, then, began = self._cpu(), ticks(), time.perf_counter()
            seconds = self._ask("clients", "go", seconds=3 * task.patience)
            wall, busy = time.perf_counter() - began, busy_since(then)
            cpu = {role: used - before[role] for role, used in self._cpu().items()}
            if task.way.name == "sftp-put":
                self._check_arrived(task)
        return Timed(tuple(seconds), connected, wall, cpu, busy)

    # What each way needs, and what the clients are asked to get ready for.

    def _sftp_get(self, task: Task, _: ExitStack) -> dict[str, Any]:
        digest = self._ask("clients", "write", file=str(self._files / _FILE), **_drawn(task))
        wanted = {"ports": self._over_links(task, [self._sftp_port]), "host_key": self._host_key}
        return {"way": "sftp get", **wanted, "name": _FILE, "digest": digest}

    def _sftp_put(self, task: Task, _: ExitStack) -> dict[str, Any]:
        wanted = {"ports": self._over_links(task, [self._sftp_port]), "host_key": self._host_key}
        return {"way": "sftp put", **wanted, **_drawn(task)}

    def _served_get(self, task: Task, _: ExitStack) -> dict[str, Any]:
        cid = self._ask("clients", "add", url=self._own("kept/store"), **_drawn(task))
        urls = self._kept(task)
        return {"way": "store get", "urls": urls, "cid": cid, "patience": task.patience}

    def _store_get(self, task: Task, _: ExitStack) -> dict[str, Any]:
        url = self._store or self._own("server")
        cid = self._ask("clients", "add", url=url, **_drawn(task))
        if self._store:
            urls = self._through_links(task)
        else:
            urls = self._served(task, self._serve(url, peers=1))
        return {"way": "store get", "urls": urls, "cid": cid, "patience": task.patience}

    def _peers_get(self, task: Task, _: ExitStack) -> dict[str, Any]:
        url = self._own("server")
        cid = self._ask("clients", "add", url=url, **_drawn(task))
        urls = self._served(task, self._serve(url, peers=task.clients), apart=True)
        return {"way": "store get", "urls": urls, "cid": cid, "patience": task.patience}

    def _store_add(self, task: Task, _: ExitStack) -> dict[str, Any]:
        urls = [self._store] * task.clients if self._store else self._of_clients(task)
        return {"way": "store put", "urls": urls, "patience": task.patience, **_drawn(task)}

    def _store_put(self, task: Task, _: ExitStack) -> dict[str, Any]:
        urls = self._through_links(task) if self._store else self._kept(task)
        return {"way": "store put", "urls": urls, "patience": task.patience, **_drawn(task)}

    def _store_pass(self, task: Task, stack: ExitStack) -> dict[str, Any]:
        wanted = {"way": "store pass", "patience": task.patience, **_drawn(task)}
        if self._store:
            stack.enter_context(bitswap_over(self._store, self._peer, self._link_of_all(task)))
            many = task.clients
            return {**wanted, "urls": [self._store] * many, "over": [self._peer] * many, "to": ""}
        urls = self._of_clients(task)
        ports = [port for url in urls for port in self._serve(url, peers=1)]
        return {**wanted, "urls": urls, "over": self._served(task, ports), "to": self._own("peer")}

    # What they are made of.

    def _ask(self, role: str, what: str, *, seconds: float = _PREPARING, **arguments: Any) -> Any:
        return self._helpers[role].ask(what, seconds=seconds, **arguments)

    def _cpu(self) -> dict[str, float]:
        return {role: self._ask(role, "cpu") for role in self._helpers}

    def _own(self, name: str) -> str:
        """Return the URL of an embedded store, which is there then."""
        url = (self._scratch / name).resolve().as_uri()
        open_store(url).close()
        return url

    def _of_clients(self, task: Task) -> list[str]:
        return [self._own(f"client-{number}") for number in range(task.clients)]

    def _serve(self, url: str, *, peers: int) -> list[int]:
        ports: list[int] = self._ask("servers", "store", url=url, peers=peers)
        return ports

    def _served(self, task: Task, ports: Sequence[int], *, apart: bool = False) -> list[str]:
        over = self._over_links(task, ports, apart=apart)
        return [f"ipfs+gateway+http://{_HERE}:{port}" for port in over]

    def _kept(self, task: Task) -> list[str]:
        """Return URLs of a store's server by way of links, which it knows as its names."""
        ports = self._over_links(task, [0])
        places = [f"{_HERE}:{port}" for port in ports]
        writers = self._ask("clients", "accounts", clients=task.clients)
        folder = str(self._scratch / "kept")
        to = self._ask("keeper", "serve", folder=folder, names=places, allowed=writers)
        self._ask("wires", "lead", port=to)
        return [f"store+http://{place}" for place in places]

    def _over_links(
        self, task: Task, ports: Sequence[int], *, host: str = _HERE, apart: bool = False
    ) -> list[int]:
        """Return ports of links, one for each client, that lead to these ports or to the one."""
        to = list(ports) * (task.clients if len(ports) == 1 else 1)
        server = task.links.server
        linked: list[int] = self._ask(
            "wires",
            "open",
            to=to,
            groups=list(range(len(to))) if apart else [0] * len(to),
            client=task.links.client * _BYTES,
            server=None if server is None else server * _BYTES,
            host=host,
        )
        return linked

    def _through_links(self, task: Task) -> list[str]:
        """Return the store's URL by way of each client's link."""
        parts = urlsplit(self._store)
        user, at, _ = parts.netloc.rpartition("@")
        host, port = parts.hostname or _HERE, parts.port or 80
        return [
            parts._replace(netloc=f"{user}{at}{_HERE}:{over}").geturl()
            for over in self._over_links(task, [port], host=host)
        ]

    def _link_of_all(self, task: Task) -> Any:
        """Return what opens one link to a port, as wide as all clients' links together."""
        whole = task.links.client * task.clients
        server = task.links.server

        def open_to(host: str, port: int) -> int:
            [over] = self._ask(
                "wires",
                "open",
                to=[port],
                groups=[0],
                client=whole * _BYTES,
                server=None if server is None else server * _BYTES,
                host=host,
            )
            return int(over)

        return open_to

    def _check_arrived(self, task: Task) -> None:
        sent = self._ask("clients", "digests", clients=task.clients, **_drawn(task))
        there = self._ask("servers", "digests", folder=str(self._files))
        for number, digest in enumerate(sent):
            if there.get(f"put-{number}") != digest:
                raise RunError(f"the SFTP server has other bytes than client {number} put")

    def _clear(self) -> None:
        """Have nothing there of the last task."""
        self._ask("wires", "close")
        self._ask("servers", "stop stores")
        self._ask("keeper", "stop")
        for path in self._scratch.iterdir():
            if path != self._files:
                shutil.rmtree(path)
        for path in self._files.iterdir():
            path.unlink()


def _drawn(task: Task) -> dict[str, Any]:
    return {"seed": list(task.seed), "size": task.size}
