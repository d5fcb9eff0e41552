"""Faults of a federation in Flower's own processes: a SuperNode and the SuperLink are killed.

What is slow here is Flower: it gives a node up a minute after it was last heard.
"""

import re
import time
from dataclasses import replace

import pytest
from support.edge import PAGE, Hall, Machine, blocks_of, free_port, seen

from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

ROUNDS = 3
DEVICES = 3
PATIENCE = 1500
"""Seconds: machines that run tests can be very busy."""


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path)
    yield hall
    hall.stop()


@pytest.fixture
def driver(hall):
    """Who lets the server train, beside it."""
    driver = Machine(hall.home / "driver")
    driver.folder, driver.environment = hall.server.folder, hall.server.environment
    yield driver
    driver.stop()


def start_device(hall, device, number):
    """Start a SuperNode so that killing it leaves nothing."""
    text = device.text.replace("fedledger edge check\n", "")
    start = f"exec sh start.sh --port {free_port()}"
    hall.devices[number].start(text.replace("sh start.sh", start))


def wait_for_training(machine, times):
    """Wait until a device trains for so many times since it was made."""
    deadline = time.monotonic() + PATIENCE
    while machine.log.read_text(errors="replace").count("Receiving: train message") < times:
        assert time.monotonic() < deadline, machine.log.read_text(errors="replace")
        time.sleep(0.1)


@pytest.mark.soak
def test_a_killed_supernode_and_a_killed_superlink_cost_rounds_of_nobody_else(hall, driver):
    """Both are killed in training and started again; the same run, started again, goes on."""
    [files] = blocks_of("Files")
    _, link, register, device, train = blocks_of("Start")
    hall.make(files, devices=DEVICES)
    hall.bind()
    link = replace(link, text=link.text.replace("sh start.sh", "exec sh start.sh"))
    hall.start(link)
    hall.server.run(register.text)
    for number in range(DEVICES):
        start_device(hall, device, number)
    hall.change(num_server_rounds=ROUNDS, window=300.0, local_epochs=2000)
    driver.start("".join(line for line in train.text.splitlines(True) if "audit" not in line))
    killed = hall.devices[-1]
    wait_for_training(killed, 1)
    killed.kill()
    start_device(hall, device, DEVICES - 1)
    killed.wait()
    for said in seen("a SuperNode that was killed is started again at once"):
        assert said in killed.log.read_text()
    *_, gone = seen("a client app or its SuperNode")
    driver.wait_for(gone, PATIENCE)
    [waits] = seen("fewer devices are there")
    driver.wait_for(waits, PATIENCE)
    start_device(hall, device, DEVICES - 1)
    wait_for_training(hall.devices[0], 3)
    hall.server.kill()
    driver.wait()
    published = len(evidence_of(hall))
    assert 0 < published < ROUNDS
    hall.start(link)
    said = hall.server.run(train.text)
    already = re.search(seen("the SuperLink is killed")[-1] + r"(\d)", said)
    assert already, said
    assert int(already[1]) == published
    assert said.count("audit: passed") == 2
    check_rounds(hall)
    for machine in hall.devices:
        check_log(machine)


def evidence_of(hall):
    """Return the evidence of each round that is on the ledger."""
    folder = hall.server.folder / "run"
    with (
        open_ledger(f"local://{folder}/chain.db", read_only=True) as ledger,
        open_store(f"file://{folder}/store", read_only=True) as store,
    ):
        found = TrainingTask(ledger).aggregates(1)
        return [documents.load(Evidence, one.evidence, store) for one in found]


def check_rounds(hall):
    """Look at the ledger: the first round is without the killed device, the others have all."""
    phases = [one.phase("update") for one in evidence_of(hall)]
    counted = [[entry.party for entry in phase.accepted] for phase in phases]
    assert [len(parties) for parties in counted] == [DEVICES - 1, DEVICES, DEVICES]
    assert set(counted[0]) < set(counted[1]) == set(counted[2])


def check_log(machine):
    """A device says nothing secret, and has no trouble of its own."""
    said = machine.log.read_text(errors="replace")
    secrets = (machine.folder / "password").read_text().split()
    assert not any(one in said for one in secrets)
    assert "fedledger.errors" not in said
    node = re.findall(r"SuperNode ID: (\d+)", said)
    assert len(set(node)) == 1, "it has kept its identity"


SITE = """
import datetime, time
right, by = time.time, datetime.timedelta(seconds={seconds})
time.time = lambda: right() + {seconds}


class Wrong(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + by


datetime.datetime = Wrong
"""


@pytest.mark.soak
def test_flower_takes_no_node_whose_clock_is_wrong(hall):
    """Neither one that is ahead nor one that is behind: it ends, and the page says why."""
    [files] = blocks_of("Files")
    _, link, register, device, _ = blocks_of("Start")
    hall.make(files, devices=2)
    hall.start(link)
    hall.server.run(register.text)
    for machine, seconds in zip(hall.devices, (60, -3600), strict=True):
        (machine.home / "site").mkdir()
        (machine.home / "site" / "sitecustomize.py").write_text(SITE.format(seconds=seconds))
        machine.environment["PYTHONPATH"] = str(machine.home / "site")
        text = device.text.replace("fedledger edge check\n", "")
        said = machine.run(text.replace("start.sh", f"start.sh --port {free_port()}"), status=None)
        assert seen("a device's clock is wrong")[0] in said
    answered = 'POST /v1/fleet/activate-node HTTP/1.1" 401'
    assert f"`{answered}`" in PAGE.read_text(encoding="utf-8")
    assert hall.server.log.read_text().count(answered) == len(hall.devices)
