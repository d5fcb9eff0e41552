"""The machines of docs/edge.md in places of their own, and its commands on them."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.edge import Block, Hall, Machine, blocks_of

from fedledger.ledger_plugins import Ledger, Store, open_ledger, open_store
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

from .network import ENTERED, Network, Place
from .wires import Link

__all__ = ["Federation", "Step"]

_SERVER, _AUDITOR, _DEVICE = 1, 4, 11  # last numbers of addresses
_FIRST_USER = 61_000
_READY = 900.0  # seconds

Step = tuple[Callable[[], None], str]
"""Something to do, and what is so then."""


class Federation:
    """A server with a chain beside it, an auditor and devices; models go in Flower's messages.

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

    away: Sequence[str] = ()
    """Machines without which rounds can go on for a while: their links may be cut."""

    carried = "a copy of the chain"
    """What an auditor has of the ledger."""

    def __init__(self, folder: Path, network: Network, devices: int, *, link: Link) -> None:
        self.network, self.count, self._link = network, devices, link
        self.hall = Hall(folder)
        self.hall.host, self.hall.port = f"10.77.0.{_SERVER}", 8000
        self.hall.changes = {"--host 127.0.0.1": f"--host {self.hall.host}"}
        self.users = _other_users()
        self.places: dict[str, Place] = {}
        self.machines: dict[str, Machine] = {}
        self.addresses: dict[str, str] = {}
        self.driver = Machine(folder / "driver")

    def steps(self) -> list[Step]:
        """Return what makes everybody ready, in order."""
        return [
            (self.build, "all machines have their files"),
            (self.begin, "the devices' keys are bound, on a chain beside the server"),
            (self.start_server, "the SuperLink answers by TLS, and knows the devices' keys"),
            (self.start_devices, "the devices are connected"),
        ]

    def build(self) -> None:
        """Make the files, carry them to their machines, and connect all of them."""
        hall = self.hall
        hall.make(self._files(), devices=self.count)
        self.place("auditor", _AUDITOR, Machine(hall.home / "auditor"))
        self.place("server", _SERVER, hall.server)
        self.driver.folder, self.driver.environment = hall.server.folder, hall.server.environment
        self.driver.prefix = hall.server.prefix
        for number, machine in enumerate(hall.devices):
            link = Link(self._link.seconds, self._link.jitter, self._link.loss)
            self.place(machine.home.name, _DEVICE + number, machine, link)
        for machine in (hall.server, *hall.devices):
            said = machine.run(". ./env.sh; fedledger account list")
            self.addresses[machine.home.name] = said.split()[1]

    def begin(self) -> None:
        """Bind the devices' keys where all files are still together."""
        self.hall.bind()
        self.own()

    def place(self, name: str, number: int, machine: Machine, link: Link | None = None) -> None:
        """Connect a machine, as 10.77.0.`number`."""
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

    def start_server(self) -> None:
        """Start the SuperLink, and register the devices' keys."""
        _, link, register, _, _ = blocks_of("Start")
        self.hall.start(link)
        said = self.hall.server.run(register.text)
        assert said.count("registered successfully") == self.count, said

    def start_devices(self) -> None:
        """Let each device look at its folder, and start its SuperNode."""
        device = self._of_a_device()
        for machine in self.hall.devices:
            machine.start(self.hall.text(device, **{"device-1": machine.home.name}))
        for machine in self.hall.devices:
            machine.wait_for("Starting Flower SuperNode", _READY)

    def train(self, **settings: object) -> None:
        """Let the server train, until `ended`."""
        self.hall.change(**settings)
        self.own()
        self.driver.start(self.hall.text(self._training()))

    @property
    def ended(self) -> bool:
        """Whether training and its audit have ended."""
        return self.driver.running[0].poll() is not None

    def rounds(self, known: int) -> list[Evidence]:
        """Return the evidence of the rounds that are published, after so many."""
        if not self._begun():
            return []
        with self._reading() as (ledger, store):
            task = TrainingTask(ledger)
            found = task.aggregates(1)[known:] if task.count() else []
            return [documents.load(Evidence, one.evidence, store) for one in found]

    def audit_elsewhere(self) -> tuple[str, str]:
        """Carry what an audit reads to the auditor's machine; return what is said there.

        And how large the file of contents is.
        """
        server, auditor = self.hall.server, self.machines["auditor"]
        ledger, store = self._urls()
        server.run(f". ./env.sh; fedledger store export run.car --audit {ledger} --store {store}")
        shutil.copy(server.folder / "run.car", auditor.folder)
        there = self._carry_ledger(auditor)
        self.own()
        said = auditor.run(f"fedledger audit --ledger {there} --car run.car", status=None)
        size = (auditor.folder / "run.car").stat().st_size
        return said, f"{size / 1e6:.1f} MB"

    def stop(self) -> None:
        """End all that was started."""
        self.driver.stop()
        self.hall.stop()
        for machine in self.machines.values():
            machine.stop()

    # What another kind of ledger changes ------------------------------------------------------

    def _files(self) -> Block:
        [files] = blocks_of("Files")
        return files

    def _of_a_device(self) -> Block:
        return blocks_of("Start")[3]

    def _training(self) -> Block:
        return blocks_of("Start")[4]

    def _begun(self) -> bool:
        return (self.hall.server.folder / "run" / "store").exists()

    @contextmanager
    def _reading(self) -> Iterator[tuple[Ledger, Store]]:
        run = self.hall.server.folder / "run"
        with (
            open_ledger(f"local://{run}/chain.db", read_only=True) as ledger,
            open_store(f"file://{run}/store", read_only=True) as store,
        ):
            yield ledger, store

    def _urls(self) -> tuple[str, str]:
        return '"local://$PWD/run/chain.db"', '"file://$PWD/run/store"'

    def _carry_ledger(self, auditor: Machine) -> str:
        """Give the auditor what it has of the ledger; return its URL there."""
        shutil.copy(self.hall.server.folder / "run" / "chain.db", auditor.folder)
        return '"local://$PWD/chain.db"'


def _other_users() -> bool:
    """Tell whether machines can have users of their own: root's, if those may run this Python."""
    words = ("setpriv", f"--reuid={_FIRST_USER}", f"--regid={_FIRST_USER}", "--clear-groups")
    if os.environ.get(ENTERED) != "root":
        return False
    tried = ("sh", "-c", f"{shlex.quote(sys.executable)} -c 'import fedledger'")
    return subprocess.run([*words, *tried], capture_output=True, check=False).returncode == 0
