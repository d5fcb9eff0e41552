"""Encrypted rounds on SuperNodes: docs/edge.md's commands, and devices that are killed."""

import json
import time

import pytest
from support.edge import Hall, Machine, blocks_of, free_port

DEVICES = 5
PATIENCE = 1500
"""Seconds: machines that run tests can be very busy."""


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path)
    yield hall
    hall.stop()


def addresses(machine):
    """Return the accounts in a machine's keystore."""
    said = machine.run("fedledger account list")
    return [line.split()[1] for line in said.splitlines()]


def signed(machine):
    """Return the phases that a device has signed for in its newest round."""
    found = list(machine.folder.glob("home/keystore/*.journal"))
    if not found:
        return set()
    try:
        tasks = json.loads(found[0].read_text())["tasks"]
    except ValueError:  # it is being written
        return set()
    return {phase for task in tasks.values() for phase in task["answers"]}


def wait_until(driver, machines, phase, enough=all):
    """Wait until devices have signed for a phase of the run."""
    deadline = time.monotonic() + PATIENCE
    while not enough(phase in signed(one) for one in machines):
        assert driver.running[0].poll() is None, driver.log.read_text(errors="replace")
        assert time.monotonic() < deadline, driver.log.read_text(errors="replace")
        time.sleep(0.05)


def with_keys(hall):
    """Make a hall whose devices have bound themselves, and keys dealt to them."""
    _, node, store, bind, train = blocks_of("A ledger that devices reach")
    files, create, new, deal, forget = blocks_of("Encrypted rounds")
    _, link, register, _, _ = blocks_of("Start")
    for port in (7001, 7100):
        hall.changes[f"127.0.0.1:{port}"] = f"127.0.0.1:{free_port()}"
    hall.make(files, devices=DEVICES)
    dealer = Machine(hall.home / "dealer")
    dealer.environment["FEDLEDGER_ACCOUNT_PASSWORD"] = "of a dealer"  # noqa: S105 - a test's
    dealer.run(create.text)
    [address] = addresses(dealer)
    with (hall.server.folder / "accounts").open("a") as accounts:
        accounts.write(f"{address}\n")
    hall.server.start(hall.text(node))
    hall.server.wait_for("node at ")
    hall.server.start(hall.text(store))
    hall.server.wait_for("store at ")
    hall.start(link)
    hall.server.run(register.text)
    for number, machine in enumerate(hall.devices, start=1):
        own = {"device-1": f"device-{number}"}
        machine.run(hall.text(bind, **own).partition("fedledger edge check")[0])
        machine.run(hall.text(new, **own))
    run = (hall.server.folder / "run.toml").read_text()
    clients = run.partition('clients = "')[2].partition('"')[0]
    dealt = deal.text.replace("$CLIENTS", clients).rstrip()
    for old, changed in hall.changes.items():
        dealt = dealt.replace(old, changed)
    said = json.loads(dealer.run(f"{dealt} --format json"))
    assert sorted(one.name for one in (dealer.folder / "dealt").iterdir()) == sorted(
        ["keys.bin", *(f"{one}.share" for one in clients.split())]
    )
    hall.change(
        strategy='"threshold-paillier"',
        dealer=f'"{said["dealer"]}"',
        dealing=f'"{said["dealing"]}"',
        membership='""',
        window=300.0,
    )
    return said, train, forget


def start_device(hall, number):
    """Start a SuperNode so that killing it leaves nothing."""
    device = hall.devices[number]
    device.start(f". ./env.sh; exec sh start.sh --port {free_port()}")
    return device


@pytest.mark.soak
def test_devices_are_killed_after_the_key_set_up_and_after_the_list(hall):
    """Five devices, t = 3: four sign the list, three open its sum; anybody audits it."""
    said, train, forget = with_keys(hall)
    for number in range(DEVICES):
        start_device(hall, number)
    hall.change(num_server_rounds=1)
    driver = Machine(hall.home / "driver")
    driver.folder, driver.environment = hall.server.folder, hall.server.environment
    driver.start(hall.text(train))
    first, second = hall.devices[0], hall.devices[1]
    wait_until(driver, hall.devices, "masked", any)  # so all five have accepted the keys
    first.kill()
    wait_until(driver, hall.devices[1:], "list")
    time.sleep(4)  # replies leave; for a fifth signature the server waits longer
    second.kill()
    driver.wait()
    told = driver.log.read_text(errors="replace")
    assert told.count("audit: passed") == 2, told
    rounds = json.loads(
        hall.server.run(
            '. ./env.sh; fedledger show rounds --ledger "$FEDLEDGER_LEDGER" '
            '--store "$FEDLEDGER_STORE" --format json 2>/dev/null'
        )
    )
    counted = {one["name"]: len(one["accepted"]) for one in rounds[0]["phases"]}
    assert counted.pop("masked") in {4, 5}, rounds[0]  # the first may have been quick
    assert counted == {"keys": 5, "list": 4, "shares": 3}, rounds[0]
    assert rounds[0]["rule"] == "masked mean"
    third = hall.devices[2]
    text = hall.text(forget, **{"device-1": "device-3", "DIGEST": said["digest"]})
    third.run(text)
    left = [one.suffix for one in third.folder.glob("home/keystore/*.trainer/*")]
    assert ".key" not in left
    assert ".keys" not in left
