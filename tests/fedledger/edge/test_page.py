"""docs/edge.md, command by command: Flower's own processes, TLS, keys, a home for each machine."""

import pytest
from support.edge import Hall, blocks_of, free_port

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


def on_a_node(hall, files, node):
    """Make the files of a hall whose ledger is a node, and start that."""
    port = free_port()
    hall.changes["127.0.0.1:7001"] = f"127.0.0.1:{port}"
    hall.changes["/srv/hall/store"] = str(hall.home / "store")
    hall.make(files)
    hall.server.start(hall.text(node))
    hall.server.wait_for("node at ")


def test_devices_on_a_ledger_that_they_reach(hall):
    """With a node each device binds itself and sends its calls past the server."""
    files, node, device, train = blocks_of("A ledger that devices reach")
    _, link, register, _, _ = blocks_of("Start")
    on_a_node(hall, files, node)
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
