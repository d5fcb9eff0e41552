"""What goes wrong on a device costs that device its round, and nobody else anything.

Every client app is a process of its own, as under Flower's SuperNodes, which have a test of their
own: edge/test_faults_deployed.py.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from support.edge import seen
from support.faults import Scene
from support.node_thread import NodeThread
from support.nodes import PROGRAM

from fedledger.ledger_plugins.accounts import create_account, keystore_path

HOURS = 3600.0


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def small_disk(folder):
    """Mount a disk of 256 KiB where that is allowed; return whether it is."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None:
        return False
    return subprocess.run(mount, check=False, capture_output=True).returncode == 0


def with_keystore(scene, device, home):
    """Give a device an account of its own, in a keystore; return its address."""
    made = create_account(f"device-{device.number}", "open sesame", home)
    password = scene.path / "password"
    password.write_text("open sesame\n")
    password.chmod(0o600)
    path = keystore_path(f"device-{device.number}", home)
    device.config |= {"account": str(path), "account-password-file": str(password)}
    scene.federation.clients[device.number] = made.address
    return made.address


def test_a_device_killed_in_training_is_back_in_the_next_round(scene, caplog):
    """It had trained and signed nothing: its round is without it, the next one is with it."""
    device = scene.devices[2]
    device.sleep = 3600.0

    def power_cut():
        while not (device.asked == 1 and device.trains):
            time.sleep(0.02)
        device.kill()
        device.sleep = 0.0

    cut = threading.Thread(target=power_cut)
    cut.start()
    scene.run(rounds=2)
    cut.join()
    first, second = scene.evidence()
    assert scene.reasons(first) == {device.number: "unheard"}
    assert scene.reasons(second) == {}
    assert "Traceback" not in device.log
    said = seen("a client app or its SuperNode is killed")[0]
    assert f"update: dropped (client-error): code 8: {said}" in caplog.text


def test_a_device_slower_than_the_window_costs_nobody_else_the_round(scene, caplog):
    """The others' round ends without it."""
    device = scene.devices[1]
    device.sleep = 3600.0
    scene.run(rounds=1, quiet=1.0)
    [only] = scene.evidence()
    assert scene.reasons(only) == {device.number: "unheard"}
    [said] = seen("a device is slower")
    assert f"update: dropped (no-reply): {said}" in caplog.text


@pytest.mark.parametrize("how", ["quota", "disk"])
def test_a_device_whose_disk_is_full_signs_nothing_until_there_is_room(scene, how):
    """It says so in one sentence, is dropped with it, and is back when there is room again."""
    device, home = scene.devices[2], scene.path / "disk"
    if not small_disk(home) and how == "disk":
        pytest.skip("no disk can be mounted here: this needs root")
    try:
        with_keystore(scene, device, home)

        def after_round(number):
            filler = home / "filler"
            if how == "quota":
                device.largest = 64 if number == 1 else None
            elif number == 1:
                fill(filler)
            else:
                filler.unlink(missing_ok=True)

        scene.run(rounds=3, after_round=after_round)
    finally:
        unmount(home)
    first, second, third = scene.evidence()
    assert [scene.reasons(one) for one in (first, third)] == [{}, {}]
    assert scene.reasons(second) == {device.number: "client-error"}
    [entry] = second.phases[0].dropped
    [said] = seen("a device's disk is full")
    if how == "quota":
        said = said.replace("No space left on device", "File too large")
    assert f"AccountError: journal {home}" in device.log
    assert said in entry.detail
    assert said in device.log
    assert "open sesame" not in device.log


def fill(path):
    """Write a file until its disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1024)):
                pass
        except OSError:
            return


def unmount(folder):
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("hours", [-24 * 365 * 30, 48], ids=["no clock at all", "ahead"])
def test_a_device_with_a_wrong_clock_counts(scene, hours):
    """Nothing that a device signs for the ledger has its time: a round's window is the server's."""
    scene.devices[0].clock = hours * HOURS
    scene.run(rounds=1)
    [only] = scene.evidence()
    assert scene.reasons(only) == {}


def test_a_device_without_a_clock_is_told_by_its_ledger(tmp_path):
    """Before the node's first block no number of blocks is possible; the sentence says why."""
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.time = lambda: 86_400.0\n")
    node = NodeThread(tmp_path / "node")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "show", "chain", "--ledger", f"local+{node.url}"],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        node.stop()
    assert done.returncode == 2
    assert done.stderr.startswith("error: the node says to have ")
    said = seen("a device's clock is wrong")[1]
    assert f"{said}, which says 1970-01-02 00:00 UTC" in done.stderr
