"""`make edge-rehearsal`: the network that it builds, and all of it in small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal.network import unshared
from support.edge import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "shared")}

NETWORK = '''
import socket, subprocess, sys, time
from rehearsal.network import Network
from rehearsal.wires import Link

ECHO = """
import socket
listening = socket.create_server(("0.0.0.0", 5000))
print("listening", flush=True)
while True:
    connection, _ = listening.accept()
    while piece := connection.recv(65536):
        connection.sendall(piece)
    connection.close()
"""

def echoed(size, timeout):
    with socket.create_connection(("10.77.0.2", 5000), timeout=timeout) as connection:
        began = time.monotonic()
        connection.sendall(bytes(size))
        left = size
        while left:
            left -= len(connection.recv(65536))
        return time.monotonic() - began

with Network() as network:
    one, two = network.add("one", 1), network.add("two", 2, Link(seconds=0.05))
    words = [*two.prefix, sys.executable, "-c", ECHO]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "listening\\n"
    assert echoed(1, 30) >= 0.1
    assert two.link.up and two.link.down and not two.link.lost
    assert server.pid in two.processes() and not one.processes()
    two.link.seconds, two.link.loss = 0.0, 0.2
    echoed(200_000, 60)
    assert two.link.lost
    two.link.loss = 0.0
    two.cut()
    try:
        echoed(1, 1)
    except TimeoutError:
        two.mend()
    else:
        raise AssertionError("it is not cut")
    echoed(1, 30)
assert server.wait(10) < 0, "it ends with the network"
server.stdout.close()
print("all of it")
'''


def run_unshared(*words, timeout):
    """Run Python in namespaces of its own; skip where this system has none, or no TAP."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("no /dev/net/tun that this user may open")
    tried = subprocess.run(unshared("true"), capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")
    return subprocess.run(
        unshared(sys.executable, *words),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=ENVIRONMENT,
        cwd=ROOT,
    )


def test_links_are_late_lose_frames_and_break():
    """A link has its delay both ways, what it loses is sent again by TCP, and a cut is silent."""
    done = run_unshared("-c", NETWORK, timeout=200)
    assert done.stdout == "all of it\n", done.stderr


@pytest.mark.soak
@pytest.mark.parametrize("kind", [(), ("--plain",)], ids=["ethereum", "plain"])
def test_the_rehearsal_is_audited_here_and_elsewhere(tmp_path, kind):
    """Three devices, two rounds: the auditor has one file and what it has of the ledger."""
    words = ("-m", "rehearsal", "--devices", "3", "--rounds", "2", "--keep", str(tmp_path / "all"))
    done = run_unshared(*words, *kind, timeout=1800)  # in namespaces of its own within these
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "rehearsal: passed"
    assert "the link of device-3 is cut" not in done.stdout, "the last round has no faults"
    for secret in (tmp_path / "all").glob("*/*/password"):
        said = Path(secret).read_text().strip()
        logs = (tmp_path / "all").glob("*/started.log")
        assert not any(said in log.read_text(errors="replace") for log in logs)
