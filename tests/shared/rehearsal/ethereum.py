"""A federation on a chain that its devices reach, with a store's server before an IPFS daemon."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from support.anvil import anvil_program
from support.edge import Block, Machine, blocks_of
from support.npm import CACHE, PACKAGES, npm_install

from fedledger.ledger_plugins import Ledger, Store, open_ledger, open_store

from .federation import Federation, Step
from .network import Network
from .wires import Link

__all__ = ["OnEthereum", "installed"]

_CHAIN, _STORE = 2, 3  # last numbers of addresses
_RPC = f"http://10.77.0.{_CHAIN}:8545"
_SERVED = f"10.77.0.{_STORE}:7100"
_FUNDS = hex(10**18)
_READY = 300.0  # seconds


def installed() -> tuple[Path, Path]:
    """Install what npm has, before the network is one without registries: anvil, and IPFS."""
    return anvil_program(), npm_install(PACKAGES / "ipfs", CACHE / "ipfs")


class OnEthereum(Federation):
    """A server, a chain, a store, an auditor and devices that send their calls themselves.

    Args:
        folder: everybody's home is below it.
        network: where they are connected.
        devices: how many.
        link: what the link of each device is like.
        programs: anvil, and the folder of npm's packages.
    """

    away = ("chain", "store")
    carried = "the URL of the chain's node"

    def __init__(
        self,
        folder: Path,
        network: Network,
        devices: int,
        *,
        link: Link,
        programs: tuple[Path, Path],
    ) -> None:
        super().__init__(folder, network, devices, link=link)
        self._anvil, self._modules = programs
        self._opened: tuple[Ledger, Store] | None = None
        self.hall.changes |= {
            "http://127.0.0.1:8545": _RPC,
            "127.0.0.1:7100": _SERVED,
            "file://$PWD/store": "ipfs+http://127.0.0.1:5001",
        }

    def steps(self) -> list[Step]:
        """Return what makes everybody ready, in order."""
        first, _, *others = super().steps()
        store = "a store's server is there, before an IPFS daemon that its machine alone reaches"
        return [
            first,
            (self.begin, "anvil has the contracts, and everybody ether"),
            (self.start_store, store),
            *others,
        ]

    def build(self) -> None:
        """Make the files, carry them to their machines, and connect all of them."""
        super().build()
        home = self.hall.home
        for name, number in (("chain", _CHAIN), ("store", _STORE)):
            self.place(name, number, Machine(home / name))
        store = self.machines["store"]
        store.folder = home / "store" / "server"
        shutil.copytree(self.hall.server.folder, store.folder)
        (store.folder / "password").unlink()  # that machine has none of the server's secrets
        for secret in ("home", "tls"):
            shutil.rmtree(store.folder / secret)
        self.own()

    def begin(self) -> None:
        """Start anvil, as a chain where calls cost ether, give everybody some, and deploy."""
        chain, server = self.machines["chain"], self.hall.server
        words = f"--host 10.77.0.{_CHAIN} --port 8545 --chain-id 777 --block-time 1"
        chain.start(f"exec {self._anvil} {words} --max-persisted-states 0")
        chain.wait_for("Listening on", _READY)
        for address in self.addresses.values():
            _rpc("anvil_setBalance", address, _FUNDS)
        [_, deploy] = blocks_of("Ethereum")
        paid = " --account aggregator --password-file password"
        server.run(self.hall.text(deploy).rstrip() + paid)
        for machine in (self.machines["store"], *self.hall.devices):
            shutil.copytree(server.folder / "deployments", machine.folder / "deployments")
        self.own()

    def start_store(self) -> None:
        """Start an IPFS daemon that listens to its own machine alone, and the store's server."""
        machine = self.machines["store"]
        daemon = PACKAGES / "ipfs" / "daemon.mjs"
        machine.start(f"exec node {daemon} {self._modules} {machine.home}/repo 5001")
        _, _, store, _, _ = blocks_of("A ledger that devices reach")
        asked = "fedledger store pins --store ipfs+http://127.0.0.1:5001"
        machine.run(f"until {asked} 2>/dev/null; do sleep 0.5; done")
        machine.start(self.hall.text(store))
        machine.wait_for("store at ", _READY)

    def stop(self) -> None:
        """End all that was started."""
        for one in self._opened or ():
            one.close()
        super().stop()

    def _files(self) -> Block:
        return blocks_of("Ethereum")[0]

    def _of_a_device(self) -> Block:
        return blocks_of("A ledger that devices reach")[3]

    def _training(self) -> Block:
        return blocks_of("A ledger that devices reach")[4]

    def _begun(self) -> bool:
        return True

    @contextmanager
    def _reading(self) -> Iterator[tuple[Ledger, Store]]:
        if self._opened is None:  # once: opening compares each contract's code
            [file] = (self.hall.server.folder / "deployments").glob("chain-*.json")
            url = f"ethereum+{_RPC}?deployment={file}&wait=600"
            served = open_store(f"store+http://{_SERVED}", read_only=True)
            self._opened = open_ledger(url, read_only=True), served
        yield self._opened

    def _urls(self) -> tuple[str, str]:
        return '"$FEDLEDGER_LEDGER"', '"$FEDLEDGER_STORE"'

    def _carry_ledger(self, auditor: Machine) -> str:  # noqa: ARG002 - the URL is all that it has
        self.places["store"].cut()
        return f"ethereum+{_RPC}"


def _rpc(method: str, *params: object) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    connection = HTTPConnection(f"10.77.0.{_CHAIN}", 8545, timeout=30)
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    said = json.loads(connection.getresponse().read())
    connection.close()
    if "error" in said:
        raise RuntimeError(f"{method}: {said['error']}")
