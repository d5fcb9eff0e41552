"""docs/edge.md, command by command: Flower's own processes, TLS, keys, a home for each machine."""

import shutil

import pytest
from support.edge import Machine, blocks_of, free_port, wait_for_superlink

DEVICES = 3


class Hall:
    """The machines of the page: yours, the server's, and one for each device."""

    def __init__(self, home):
        self.home = home
        self.port = free_port()
        self.yours = Machine(home / "yours")
        self.server = Machine(home / "server", "server")
        self.devices = []

    def make(self, *blocks):
        """Run blocks on your machine, then carry its folders to where they go."""
        for block in blocks:
            told = f"--host 127.0.0.1 --port {self.port}"
            self.yours.run(block.text.replace("--host 127.0.0.1", told))
        made = self.yours.home
        shutil.copytree(made / "edge-app", self.server.home / "edge-app")
        shutil.copytree(made / "hall" / "server", self.server.folder)
        for folder in sorted((made / "hall" / "devices").iterdir()):
            device = Machine(self.home / folder.name, "edge")
            shutil.copytree(folder, device.folder)
            self.devices.append(device)
        shutil.rmtree(made / "hall" / "devices")

    def stop(self):
        for machine in (*self.devices, self.server, self.yours):
            machine.stop()


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path)
    yield hall
    hall.stop()


def change(path, **settings):
    """Change lines of a run config."""
    text = path.read_text()
    for name, value in settings.items():
        key = name.replace("_", "-")
        kept = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
        text = "\n".join([*kept, f"{key} = {value}", ""])
    path.write_text(text)


def test_the_page_is_followed_to_an_audit_that_passes(hall):
    """From nothing to a federation with TLS, node authentication and bound nodes."""
    [files] = blocks_of("Files")
    bind, link, register, device, train = blocks_of("Start")
    hall.make(files, bind)
    hall.server.start(link.text)
    wait_for_superlink(hall.port, hall.server.folder / "tls" / "ca.crt")
    said = hall.server.run(register.text)
    assert said.count("registered successfully") == DEVICES
    assert len(hall.devices) == DEVICES
    for machine in hall.devices:
        machine.start(device.text.replace("start.sh", f"start.sh --port {free_port()}"))
    change(hall.server.folder / "run.toml", num_server_rounds=1, window=300.0)
    said = hall.server.run(train.text)
    assert said.count("audit: passed") == 2, said
    assert f"update: {DEVICES} counted, 0 late, 0 dropped" in said
    for machine in hall.devices:
        assert "SuperLink: 127.0.0.1" in machine.log.read_text()
