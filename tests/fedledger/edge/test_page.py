"""docs/edge.md, command by command: Flower's own processes, TLS, keys, a home for each machine."""

import json
import shutil
import time
from dataclasses import replace

import pytest
from support.anvil import Anvil
from support.edge import SECONDS, Hall, blocks_of, free_port

DEVICES = 3


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path)
    yield hall
    hall.stop()


def test_the_page_is_followed_to_an_audit_that_passes(hall):
    """From nothing to a federation with TLS, node authentication and bound nodes."""
    [files] = blocks_of("Files")
    bind, link, register, device, train = blocks_of("Start")
    hall.make(files, bind)
    hall.start(link)
    said = hall.server.run(register.text)
    assert said.count("registered successfully") == DEVICES
    assert len(hall.devices) == DEVICES
    for machine in hall.devices:
        machine.start(device.text.replace("start.sh", f"start.sh --port {free_port()}"))
    hall.change(num_server_rounds=1, window=300.0)
    said = hall.server.run(train.text)
    assert said.count("audit: passed") == 2, said
    assert f"update: {DEVICES} counted, 0 late, 0 dropped" in said
    for machine in hall.devices:
        assert "SuperLink: 127.0.0.1" in machine.log.read_text()


def on_a_node(hall, files, node, store):
    """Make the files of a hall whose ledger is a node, and start that and the store's server."""
    for port in (7001, 7100):
        hall.changes[f"127.0.0.1:{port}"] = f"127.0.0.1:{free_port()}"
    hall.make(files)
    hall.server.start(hall.text(node))
    hall.server.wait_for("node at ")
    hall.server.start(hall.text(store))
    hall.server.wait_for("store at ")


@pytest.mark.soak
def test_devices_on_a_ledger_that_they_reach(hall):
    """With a node each device binds itself and sends its calls past the server."""
    files, node, store, device, train = blocks_of("A ledger that devices reach")
    _, link, register, _, _ = blocks_of("Start")
    on_a_node(hall, files, node, store)
    hall.start(link)
    hall.server.run(register.text)
    for number, machine in enumerate(hall.devices, start=1):
        own = {"device-1": f"device-{number}", "start.sh": f"start.sh --port {free_port()}"}
        machine.start(hall.text(device, **own))
    hall.change(num_server_rounds=1, window=300.0)
    said = hall.server.run(train.text)
    assert said.count("audit: passed") == 2, said
    assert f"update: {DEVICES} counted, 0 late, 0 dropped" in said
    for machine in hall.devices:
        assert list(machine.folder.glob("home/keystore/*.answers")), "it has sent by itself"
        told = machine.log.read_text()
        assert "binding: the account has published this node's key" in told
        assert "store: it takes a content and gives it back" in told


ROUNDS = 8


def published(hall):
    """Return the rounds that are on the ledger."""
    show = '. ./env.sh; fedledger show rounds --ledger "$FEDLEDGER_LEDGER" --format json'
    said = hall.server.run(f'{show} --store "$FEDLEDGER_STORE" 2>/dev/null', status=None)
    return json.loads(said) if said.startswith("[") else []


def wait_for_rounds(hall, count):
    """Wait until so many rounds are published."""
    deadline = time.monotonic() + SECONDS
    while len(published(hall)) < count:
        assert time.monotonic() < deadline, hall.server.log.read_text()
        time.sleep(1)


def check_clients(hall, reached, give):
    """Look at the page's list, once what was changed counts: from the next round on."""
    wait_for_rounds(hall, reached)
    [listed] = [line for line in give.text.splitlines() if "task clients" in line]
    clients = hall.server.run(f". ./env.sh; {hall.text(replace(give, text=listed))}")
    for name in ("0xDEVICE4", "0xDEVICE5"):
        assert hall.changes[name] in clients
    assert hall.changes["0xDEVICE2"] not in clients


@pytest.mark.soak
def test_devices_come_and_go_while_a_task_runs(hall):
    """One joins, one leaves, a node's key and a whole device are lost: the page's commands."""
    files, node, store, device, train = blocks_of("A ledger that devices reach")
    _, link, register, _, _ = blocks_of("Start")
    more, register4, join, admit, leave, rekey, take, give = blocks_of("Devices come and go")
    on_a_node(hall, files, node, store)
    hall.start(link)
    hall.server.run(register.text)
    own = [
        {"device-1": f"device-{n}", "start.sh": f"start.sh --port {free_port()}"}
        for n in range(1, 6)
    ]
    for number, machine in enumerate(hall.devices):
        machine.start(hall.text(device, **own[number]))
    hall.change(num_server_rounds=ROUNDS, window=300.0)
    first, second, third = hall.devices
    hall.yours.run(hall.text(more))
    hall.carry("device-4", "device-5")
    fourth, fifth = hall.devices[3:]
    nodes = hall.server.folder / "nodes"
    for machine in (fourth, fifth):
        name = machine.home.name
        shutil.copy(machine.folder / "node.key.pub", nodes / f"{name}.pub")
        for line in machine.run(". ./env.sh; fedledger account list").splitlines():
            hall.changes[f"0x{name.upper().replace('-', '')}"] = line.split()[1]
    hall.changes["0xDEVICE2"] = second.run(". ./env.sh; fedledger account list").split()[1]
    stayed = (third, fourth, fifth)
    hall.server.start(hall.text(train))
    wait_for_rounds(hall, 1)

    second.stop()  # and nobody will see it again
    hall.server.run(hall.text(register4))
    hall.server.run(hall.text(register4).replace("device-4", "device-5"))
    fourth.start(hall.text(join, **{"start.sh": own[3]["start.sh"]}))
    fifth.start(hall.text(take, **{"start.sh": own[4]["start.sh"]}))
    first.run(hall.text(leave))
    first.stop()
    third.stop()
    third.run(hall.text(rekey))
    shutil.copy(third.folder / "node.key.pub", nodes / "device-3.pub")
    hall.server.run(hall.text(register4).replace("device-4", "device-3"))
    third.start(f". ./env.sh; sh {own[2]['start.sh']}")
    fourth.wait_for("Starting Flower SuperNode")
    fifth.wait_for("Starting Flower SuperNode")
    hall.server.run(hall.text(admit))
    hall.server.run(hall.text(give))
    reached = len(published(hall))
    assert reached < ROUNDS - 1, "the machine was too slow for this many rounds"
    check_clients(hall, reached + 1, give)
    wait_for_rounds(hall, ROUNDS)
    hall.server.wait_for("audit: passed")
    update = published(hall)[-1]["phases"][0]
    counted = {one["party"] for one in update["accepted"]}
    last = {machine.run(". ./env.sh; fedledger account list").split()[1] for machine in stayed}
    assert counted == last, update
    assert not update["dropped"], update


@pytest.mark.soak
def test_a_federation_on_ethereum(hall, tmp_path):
    """Each device sends its calls to a node of Ethereum and pays; who has no ether is told so."""
    files, deploy = blocks_of("Ethereum")
    _, _, store, device, train = blocks_of("A ledger that devices reach")
    _, link, register, _, _ = blocks_of("Start")
    (tmp_path / "chain").mkdir()
    with Anvil(tmp_path / "chain", "--chain-id", "777") as chain:  # no development chain's id
        hall.changes["http://127.0.0.1:8545"] = chain.url
        hall.changes["127.0.0.1:7100"] = f"127.0.0.1:{free_port()}"
        hall.make(files, devices=DEVICES + 1)
        for machine in (hall.server, *hall.devices[:DEVICES]):
            address = machine.run(". ./env.sh; fedledger account list").split()[1]
            chain.rpc("anvil_setBalance", address, hex(10**18))
        paid = " --account aggregator --password-file password"
        hall.server.run(hall.text(deploy).rstrip() + paid)
        hall.server.start(hall.text(store))
        hall.server.wait_for("store at ")
        hall.start(link)
        hall.server.run(register.text)
        for number, machine in enumerate(hall.devices, start=1):
            shutil.copytree(hall.server.folder / "deployments", machine.folder / "deployments")
            own = {"device-1": f"device-{number}", "start.sh": f"start.sh --port {free_port()}"}
            if number <= DEVICES:
                machine.start(hall.text(device, **own))
        poor = hall.devices[DEVICES]
        said = poor.run(hall.text(device, **{"device-1": f"device-{DEVICES + 1}"}), status=2)
        assert "send it ether" in said
        said = poor.run(". ./env.sh; fedledger edge check", status=1)
        assert "funds: wrong" in said
        assert "on chain 777, and its calls may cost" in said
        hall.change(num_server_rounds=1, window=300.0)
        said = hall.server.run(hall.text(train))
        assert said.count("audit: passed") == 2, said
        assert f"update: {DEVICES} counted, 0 late, 0 dropped" in said
