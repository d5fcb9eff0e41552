"""The machines of docs/edge.md in places of their own, and its commands on them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

from support.anvil import anvil_program
from support.edge import Hall, Machine, blocks_of
from support.npm import CACHE, PACKAGES, npm_install

from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

from .network import ENTERED, Network, Place
from .wires import Link

__all__ = ["CHAIN", "Federation", "installed"]

SERVER, CHAIN, STORE, AUDITOR, DEVICE = 1, 2, 3, 4, 11  # last numbers of addresses
_RPC = f"http://10.77.0.{CHAIN}:8545"
_FIRST_USER = 61_000
_FUNDS = hex(10**18)
_READY = 300.0  # seconds


def installed() -> tuple[Path, Path]:
    """Install what npm has, before the network is one without registries: anvil, and IPFS."""
    return anvil_program(), npm_install(PACKAGES / "ipfs", CACHE / "ipfs")


class Federation:
    """A server, a chain, a store, an auditor and devices.

    Args:
        folder: everybody's home is below it.
        network: where they are connected.
        devices: how many.
        link: what the link of each device is like.

    Attributes:
        places: the machines' places, by name.
        machines: who runs commands there, by the same names.
        addresses: of the accounts of the server and the devices, by the same names.
        driver: runs the training, on the server's machine.
        users: whether each machine has a user of its own.
    """

    def __init__(self, folder: Path, network: Network, devices: int, *, link: Link) -> None:
        self.network, self.count, self._link = network, devices, link
        self.hall = Hall(folder)
        self.hall.host, self.hall.port = f"10.77.0.{SERVER}", 8000
        self.hall.changes = {
            "--host 127.0.0.1": f"--host 10.77.0.{SERVER}",
            "http://127.0.0.1:8545": _RPC,
            "127.0.0.1:7100": f"10.77.0.{STORE}:7100",
            "file://$PWD/store": "ipfs+http://127.0.0.1:5001",
        }
        self.users = _other_users()
        self.places: dict[str, Place] = {}
        self.machines: dict[str, Machine] = {}
        self.addresses: dict[str, str] = {}
        self.driver = Machine(folder / "driver")

    def build(self) -> None:
        """Make the files, carry them to their machines, and connect all of them."""
        [files, _], hall = blocks_of("Ethereum"), self.hall
        hall.make(files, devices=self.count)
        for name, number in (("chain", CHAIN), ("store", STORE), ("auditor", AUDITOR)):
            self._place(name, number, Machine(hall.home / name))
        self._place("server", SERVER, hall.server)
        self.driver.folder, self.driver.environment = hall.server.folder, hall.server.environment
        self.driver.prefix = hall.server.prefix
        for number, machine in enumerate(hall.devices):
            link = Link(self._link.seconds, self._link.jitter, self._link.loss)
            self._place(machine.home.name, DEVICE + number, machine, link)
        shutil.copytree(hall.server.folder, hall.home / "store" / "server")
        self.machines["store"].folder = hall.home / "store" / "server"
        for secret in ("password", "home", "tls"):  # the store's machine has none of them
            _remove(self.machines["store"].folder / secret)

    def _place(self, name: str, number: int, machine: Machine, link: Link | None = None) -> None:
        place = self.network.add(name, number, link)
        self.places[name], self.machines[name] = place, machine
        machine.prefix = place.prefix
        if self.users:
            user = str(_FIRST_USER + number)
            machine.prefix += ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")

    def own(self) -> None:
        """Give each machine's files to its user."""
        for name, place in self.places.items() if self.users else ():
            user = _FIRST_USER + int(place.address.rpartition(".")[2])
            home = self.machines[name].home
            for one in (home, *home.rglob("*")):
                os.chown(one, user, user, follow_symlinks=False)

    def start_chain(self, anvil: Path) -> None:
        """Start anvil, as a chain where calls cost ether, and give everybody some."""
        words = f"--host 10.77.0.{CHAIN} --port 8545 --chain-id 777 --block-time 1"
        self.machines["chain"].start(f"exec {anvil} {words} --max-persisted-states 0")
        self.machines["chain"].wait_for("Listening on", _READY)
        server = self.hall.server
        for machine in (server, *self.hall.devices):
            address = machine.run(". ./env.sh; fedledger account list").split()[1]
            self.addresses[machine.home.name] = address
            self._rpc("anvil_setBalance", address, _FUNDS)
        [_, deploy] = blocks_of("Ethereum")
        paid = " --account aggregator --password-file password"
        server.run(self.hall.text(deploy).rstrip() + paid)
        for machine in (self.machines["store"], *self.hall.devices):
            shutil.copytree(server.folder / "deployments", machine.folder / "deployments")
        self.own()

    def start_store(self, modules: Path) -> None:
        """Start an IPFS daemon that listens to its own machine alone, and the store's server."""
        machine = self.machines["store"]
        daemon = PACKAGES / "ipfs" / "daemon.mjs"
        machine.start(f"exec node {daemon} {modules} {machine.home}/repo 5001")
        _, _, store, _, _ = blocks_of("A ledger that devices reach")
        asked = "fedledger store pins --store ipfs+http://127.0.0.1:5001"
        machine.run(f"until {asked} 2>/dev/null; do sleep 0.5; done")
        machine.start(self.hall.text(store))
        machine.wait_for("store at ", _READY)

    def start_server(self) -> None:
        """Start the SuperLink, and register the devices' keys."""
        _, link, register, _, _ = blocks_of("Start")
        self.hall.start(link)
        said = self.hall.server.run(register.text)
        assert said.count("registered successfully") == self.count, said

    def start_devices(self) -> None:
        """Let each device bind its key, look at its folder, and start its SuperNode."""
        _, _, _, device, _ = blocks_of("A ledger that devices reach")
        for machine in self.hall.devices:
            machine.start(self.hall.text(device, **{"device-1": machine.home.name}))
        for machine in self.hall.devices:
            machine.wait_for("Starting Flower SuperNode", 3 * _READY)

    def train(self, **settings: object) -> None:
        """Let the server train, until `ended`."""
        self.hall.change(**settings)
        self.own()
        _, _, _, _, train = blocks_of("A ledger that devices reach")
        self.driver.start(self.hall.text(train))

    @property
    def ended(self) -> bool:
        """Whether training and its audit have ended."""
        return self.driver.running[0].poll() is not None

    def rounds(self) -> list[Evidence]:
        """Return the evidence of the rounds that are published."""
        task = TrainingTask(self._ledger)
        found = task.aggregates(1) if task.count() else []
        return [documents.load(Evidence, one.evidence, self._store) for one in found]

    def watch(self) -> None:
        """Open ledger and store to read, past all links."""
        [file] = (self.hall.server.folder / "deployments").glob("chain-*.json")
        self._ledger = open_ledger(f"ethereum+{_RPC}?deployment={file}&wait=600", read_only=True)
        self._store = open_store(f"store+http://10.77.0.{STORE}:7100", read_only=True)

    def audit_elsewhere(self) -> tuple[str, str]:
        """Export what an audit reads, carry the file to the auditor, and return what is said there.

        The auditor's machine has this file and the URL of the chain's node, and reaches no store.
        """
        server, auditor = self.hall.server, self.machines["auditor"]
        server.run(
            '. ./env.sh; fedledger store export run.car --audit "$FEDLEDGER_LEDGER" '
            '--store "$FEDLEDGER_STORE"'
        )
        shutil.copy(server.folder / "run.car", auditor.folder)
        self.own()
        self.places["store"].cut()
        said = auditor.run(f"fedledger audit --ledger ethereum+{_RPC} --car run.car", status=None)
        size = (auditor.folder / "run.car").stat().st_size
        return said, f"{size / 1e6:.1f} MB"

    def stop(self) -> None:
        """End all that was started."""
        self.driver.stop()
        self.hall.stop()
        for name in ("auditor", "store", "chain"):
            if name in self.machines:
                self.machines[name].stop()

    def _rpc(self, method: str, *params: object) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection = HTTPConnection(f"10.77.0.{CHAIN}", 8545, timeout=30)
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        said = json.loads(connection.getresponse().read())
        connection.close()
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _other_users() -> bool:
    """Tell whether machines can have users of their own: root's, if those may run this Python."""
    words = ("setpriv", f"--reuid={_FIRST_USER}", f"--regid={_FIRST_USER}", "--clear-groups")
    if os.environ.get(ENTERED) != "root":
        return False
    tried = ("sh", "-c", f"{shlex.quote(sys.executable)} -c 'import fedledger'")
    return subprocess.run([*words, *tried], capture_output=True, check=False).returncode == 0
