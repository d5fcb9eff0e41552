"""`fedledger edge check`, and what Flower itself says of certificates: each says what to do."""

import http.server
import os
import platform
import re
import signal
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from support.edge import free_port, quoted
from support.node_thread import NodeThread
from support.store_server import StoreServer

from fedledger.arrays import to_safetensors
from fedledger.cli.edge.authority import server_certificate
from fedledger.cli.edge.looking import check_device
from fedledger.cli.edge.making import Plan, make_edge
from fedledger.effects import Effects
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account, load_account, read_password
from fedledger.ledger_plugins.contracts import Bonds, Reports
from fedledger.ledger_plugins.contracts.identities.nodes import bind_node, load_node_key
from fedledger.ledger_plugins.money import give
from fedledger.strategies.mining import propose_task

HOSTS = ("127.0.0.1",)
OWNER = Account.from_key(b"\5" * 32)


@pytest.fixture
def quick(monkeypatch):
    """Passwords cost little here."""
    monkeypatch.setattr("fedledger.ledger_plugins.accounts._ROUNDS", 2)


@contextmanager
def superlink(server, *, ahead=0.0):
    """Serve /health with a folder's certificate, as a SuperLink does; yield its HOST:PORT."""

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            now = datetime.now(UTC) + timedelta(seconds=ahead)
            self.send_header("Date", format_datetime(now, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # clients that refuse a certificate hang up

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server / "tls/server.crt", server / "tls/server.key")
    serving = Quiet(("127.0.0.1", 0), Health)
    serving.socket = context.wrap_socket(
        serving.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def certify(hall, hosts=HOSTS, now=None):
    """Give a hall's server another certificate of its authority."""
    key = load_pem_private_key((hall / "server/tls/server.key").read_bytes(), None)
    signer = tuple((hall / "authority" / name).read_bytes() for name in ("ca.key", "ca.crt"))
    made = server_certificate(key, hosts, signer, now or datetime.now(UTC), 30)
    (hall / "server/tls/server.crt").write_bytes(made)


def looked(hall, place="", task=None, **environment):
    """Return what a check of device 1 finds, by what it is about."""
    folder = hall / "devices/device-1"
    told = {"FEDLEDGER_HOME": str(folder / "home"), "SUPERLINK": place} | environment
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FEDLEDGER_LEDGER", "FEDLEDGER_STORE", "FEDLEDGER_ACCOUNT_PASSWORD"):
            patch.delenv(name, raising=False)
        for name, value in told.items():
            patch.setenv(name, value)
        return {one.about: (one.word, one.said) for one in check_device(folder, task)}


@pytest.fixture
def hall(tmp_path, quick):
    make_edge(tmp_path / "hall", Plan(1, HOSTS, 8000))
    return tmp_path / "hall"


def test_a_device_that_is_set_up_rightly(hall):
    """Everything that there is to look at is good, and the rest says why it was not looked at."""
    with superlink(hall / "server") as place:
        found = looked(hall, place)
    good = ["node config", "password file", "keystore", "node key", "SuperLink", "clock"]
    assert [about for about, (word, _) in found.items() if word == "good"] == good
    rest = {about: said for about, (word, said) in found.items() if about not in good}
    assert set(rest) == {"ledger", "funds", "binding", "registration", "bond", "store"}
    assert all(word != "wrong" for word, _ in found.values())
    assert rest["ledger"] == "this device has none: the server relays its calls"


def test_certificates_that_do_not_do(hall, tmp_path):
    """Expired, not valid yet, of another authority, for another name: each says what to do."""
    make_edge(tmp_path / "other", Plan(1, HOSTS, 8000))
    now = datetime.now(UTC)
    for hosts, since, sentence in (
        (HOSTS, now - timedelta(days=31), "its certificate has expired: its operator needs a new"),
        (HOSTS, now + timedelta(days=1), "is not valid yet: this device's clock is wrong"),
        (("elsewhere.example.org",), now, "is for other names (elsewhere.example.org): reach it"),
        (("localhost", "192.0.2.1"), now, "is for other names (localhost, 192.0.2.1): reach it"),
    ):
        certify(hall, hosts, since)
        with superlink(hall / "server") as place:
            word, said = looked(hall, place)["SuperLink"]
        assert (word, sentence in said) == ("wrong", True), said
    with superlink(tmp_path / "other" / "server") as place:
        word, said = looked(hall, place)["SuperLink"]
    assert word == "wrong"
    assert "get the right ca.crt from the operator" in said


def test_a_superlink_that_is_not_there_and_one_without_tls(hall):
    """A refused connection, a plain server, an address that is none, a missing ca.crt."""
    found = looked(hall, f"127.0.0.1:{free_port()}")
    assert "is the SuperLink running" in found["SuperLink"][1]
    assert found["clock"] == ("not checked", "the SuperLink did not say what time it is")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as it:
        thread = threading.Thread(target=it.serve_forever)
        thread.start()
        word, said = looked(hall, f"127.0.0.1:{it.server_port}")["SuperLink"]
        it.shutdown()
        thread.join()
    assert word == "wrong"
    assert "is it the SuperLink, started with certificates?" in said
    assert "HOST:PORT is needed" in looked(hall, "nowhere")["SuperLink"][1]
    assert looked(hall)["SuperLink"] == (
        "not checked",
        "SUPERLINK is not set: `. ./env.sh` sets it",
    )
    (hall / "devices/device-1/ca.crt").write_text("no certificate")
    assert "no file of certificates" in looked(hall, "127.0.0.1:1")["SuperLink"][1]


def test_a_clock_that_is_wrong(hall):
    """Compared with the SuperLink's, either way."""
    for ahead, sentence in (
        (300, r"(299|300) s behind"),
        (-300, r"(299|300) s ahead of"),
        (-5.5, r"[56] s ahead of"),  # where Flower refuses a node
    ):
        with superlink(hall / "server", ahead=ahead + 0.5) as place:
            word, said = looked(hall, place)["clock"]
        assert word == "wrong"
        assert re.search(sentence, said), said


def test_files_that_others_can_read_or_that_are_damaged(hall):
    """Password file, keystore, node key, node config: the sentence names the file."""
    folder = hall / "devices/device-1"
    for name in ("password", "node.key"):
        (folder / name).chmod(0o644)
    found = looked(hall)
    for about in ("password file", "keystore", "node key"):
        assert found[about][0] == "wrong"
        assert "can be read by every user of this machine: chmod 600" in found[about][1]
    for name in ("password", "node.key"):
        (folder / name).chmod(0o640)  # of a group that was given it on purpose
    found = looked(hall)
    assert (found["node key"][0], found["keystore"][0]) == ("good", "good"), found
    (folder / "password").write_text("another\n")
    assert "wrong password" in looked(hall)["keystore"][1]
    (folder / "node.key").write_text("no key")
    assert "it is no private key" in looked(hall)["node key"][1]
    for text, sentence in (
        ("partition-id=0", 'account="NAME" is missing'),
        ("account=device-1", "is no node config"),
        ('account="device-1" max-fee="much"', "ledger pins and limits"),
    ):
        (folder / "node-config").write_text(text)
        assert sentence in looked(hall)["node config"][1]
    (folder / "node-config").unlink()
    assert "cannot be read" in looked(hall)["node config"][1]


def test_a_ledger_and_a_store_that_a_device_reaches(tmp_path, quick):
    """Chain id, binding, registration and store, wrong first and then right."""
    chain = NodeThread(tmp_path / "node")
    ledger, store = f"local+{chain.url}", f"file://{tmp_path}/store"
    hall = tmp_path / "hall"
    make_edge(hall, Plan(1, HOSTS, 8000, ledger, store, direct=True))
    folder = hall / "devices/device-1"
    there = {"FEDLEDGER_LEDGER": ledger, "FEDLEDGER_STORE": store}
    try:
        found = looked(hall, **there)
        assert found["ledger"][0] == "good"
        assert found["funds"] == ("not checked", "calls cost nothing on this ledger")
        assert "has published no SuperNode's key" in found["binding"][1]
        assert found["store"] == ("good", "it takes a content and gives it back")
        assert found["registration"] == ("not checked", "no --task is given")
        account = load_account("device-1", read_password(folder / "password"), folder / "home")
        with open_ledger(ledger) as opened:
            disk = Effects.real().disk
            bind_node(opened, account, load_node_key(folder / "node.key", disk))
        assert looked(hall, **there)["binding"][0] == "good"
        assert looked(hall, task=7, **there)["registration"][0] == "wrong"
        config = (folder / "node-config").read_text()
        (folder / "node-config").write_text(f"{config.strip()} ledger-chain-id=1")
        word, said = looked(hall, **there)["ledger"]
        assert word == "wrong"
        assert "node-config says ledger-chain-id=1" in said
        (folder / "node-config").write_text(config)
        make_edge(tmp_path / "other", Plan(1, HOSTS, 8000))
        key = (tmp_path / "other/devices/device-1/node.key").read_bytes()
        (folder / "node.key").write_bytes(key)
        word, said = looked(hall, **there)["binding"]
        assert word == "wrong"
        assert "has published another key" in said
    finally:
        chain.stop()
    gone = looked(hall, FEDLEDGER_LEDGER=ledger, FEDLEDGER_STORE="file:///proc/none/store")
    assert gone["ledger"][0] == gone["store"][0] == "wrong"
    assert gone["binding"] == ("not checked", "no ledger was reached")
    missing = looked(hall)
    assert 'submit="direct" needs a ledger' in missing["ledger"][1]
    one = looked(hall, FEDLEDGER_LEDGER="local:///x.db", FEDLEDGER_STORE=store)
    assert "has one writer" in one["ledger"][1]


def test_a_task_that_asks_for_a_pledge(tmp_path, quick):
    """Who has no tokens, no deposit or no pledge is told each step; then all is good."""
    chain = NodeThread(tmp_path / "node", admin=OWNER.address)
    ledger, store = f"local+{chain.url}", f"file://{tmp_path}/store"
    hall = tmp_path / "hall"
    make_edge(hall, Plan(1, HOSTS, 8000, ledger, store))
    folder = hall / "devices/device-1"
    there = {"FEDLEDGER_LEDGER": ledger, "FEDLEDGER_STORE": store}
    account = load_account("device-1", read_password(folder / "password"), folder / "home")

    def bond(task=None):
        return looked(hall, task=task, **there)["bond"]

    try:
        with open_ledger(ledger) as opened, open_store(store) as contents:
            model = to_safetensors({"w": np.zeros(2, np.float32)})
            clients = [account.address, *(Account.create().address for _ in range(2))]
            terms = {"min_pledge": 50, "late_cost": 0, "patience": 0, "report_seconds": 86_400}
            options = {"clients": clients, "rounds": 1, "window": 60, "rules": ["median"]}
            for name, asked in (("free", None), ("pledged", terms)):
                asking = options | {"model_id": name, "terms": asked}
                propose_task(opened, contents, OWNER, model, **asking)
            assert bond() == ("not checked", "no --task is given")
            assert bond(1) == ("not checked", "task 1 asks nobody for a pledge")
            word, said = bond(2)
            assert word == "wrong"
            assert said.endswith(
                "has pledged 0: it has 0 of the 50 tokens that it needs for that: whoever may "
                "mint gives some by `fedledger faucet`, then `fedledger bond deposit 50 …`, then "
                "`fedledger report pledge 50 --task 2 …`"
            )
            give(opened, OWNER, [account.address], 60)
            assert "pledged 0: `fedledger bond deposit 50 …`, then" in bond(2)[1]
            Bonds(opened).deposit(account, 60)
            assert "has pledged 0: `fedledger report pledge 50 --task 2 …`" in bond(2)[1]
            Reports(opened).pledge(account, task=2, amount=55)
            good = "55 tokens are pledged to task 2, which asks for 50"
            assert bond(2) == ("good", good)
            assert looked(hall, task=2, **there)["registration"][0] == "good"
    finally:
        chain.stop()


def test_a_store_on_the_servers_machine_has_the_superlinks_certificate(tmp_path, quick):
    """By `store serve --certificate` and the authority that `edge init` gave each device.

    A device with another authority's certificate is told, and so is one that speaks plain HTTP.
    """
    hall, port = tmp_path / "hall", free_port()
    url = f"store+https://127.0.0.1:{port}"
    make_edge(hall, Plan(1, HOSTS, 8000, "local+http://127.0.0.1:9", url))
    make_edge(tmp_path / "other", Plan(1, HOSTS, 8000))
    folder, tls = hall / "devices/device-1", hall / "server/tls"

    def told(place):
        script = '. ./env.sh; printf %s "$FEDLEDGER_STORE"'
        return subprocess.run(
            ["sh", "-c", script], cwd=place, check=True, capture_output=True, text=True
        ).stdout

    assert told(folder) == f"{url}?ca={folder}/ca.crt"
    assert told(hall / "server") == f"{url}?ca={tls}/ca.crt"
    address = load_account("device-1", read_password(folder / "password"), folder / "home").address
    files = ("--certificate", str(tls / "server.crt"), "--key", str(tls / "server.key"))
    served = tmp_path / "served"
    served.mkdir()
    server = StoreServer(served, "--allow", address, *files).start(f"127.0.0.1:{port}")
    try:
        found = looked(hall, FEDLEDGER_STORE=told(folder))
        assert found["store"] == ("good", "it takes a content and gives it back")
        foreign = tmp_path / "other/devices/device-1/ca.crt"
        for wrong, said in (
            (f"{url}?ca={foreign}", "certificate"),
            (url, "certificate"),
            (url.replace("https", "http"), "store"),
        ):
            word, sentence = looked(hall, FEDLEDGER_STORE=wrong)["store"]
            assert word == "wrong"
            assert said in sentence
    finally:
        server.stop()


# What Flower says --------------------------------------------------------------------------------


def supernode(hall, place, **environment):
    """Start a SuperNode of Flower's that cannot reach its SuperLink; return what it says."""
    log = hall / "supernode.log"
    start = ["sh", hall / "devices/device-1/start.sh", "--superlink", place]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*start, "--port", str(free_port())],
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(hall)}
            | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        assert process.wait(300) == 1
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has started itself
    return " ".join(log.read_text().split())


def test_flower_says_of_certificates_what_the_page_quotes(hall, tmp_path):
    """A SuperNode ends at an expired certificate, and at one of another authority."""
    make_edge(tmp_path / "other", Plan(1, HOSTS, 8000))
    with superlink(tmp_path / "other" / "server") as place:
        told = supernode(hall, place)
    ca = [one for one in quoted() if one.startswith("certificate verify failed: unable")]
    assert ca
    assert ca[0] in told
    certify(hall, now=datetime.now(UTC) - timedelta(days=31))
    with superlink(hall / "server") as place:
        told = supernode(hall, place)
    expired = [one for one in quoted() if one.startswith("certificate verify failed: certificate")]
    assert expired
    assert expired[0] in told


def shifted(days):
    """Return the environment of a process whose whole clock is wrong, OpenSSL's too."""
    [library] = [one for one in metadata.files("libfaketime") if one.name == "libfaketime.so.1"]
    return {
        "LD_PRELOAD": str(library.locate()),
        "FAKETIME": f"{days:+d}d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.soak
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the library is for x86-64 alone")
@pytest.mark.parametrize(
    ("days", "said", "checked"),
    [
        (40, "certificate has expired", "its certificate has expired"),
        (-2, "certificate is not yet valid", "is not valid yet: this device's clock is wrong"),
    ],
    ids=["ahead", "behind"],
)
def test_of_a_clock_that_is_days_wrong_the_certificate_says_it_first(hall, days, said, checked):
    """Flower ends with the sentence that the page quotes; `edge check` says whose clock it is."""
    wrong = shifted(days)
    with superlink(hall / "server") as place:
        told = supernode(hall, place, **wrong)
        folder = hall / "devices/device-1"
        found = subprocess.run(
            [sys.executable, "-c", "from fedledger.cli import main; main()", "edge", "check"],
            cwd=folder,
            env=os.environ | {"FEDLEDGER_HOME": str(folder / "home"), "SUPERLINK": place} | wrong,
            capture_output=True,
            text=True,
            check=False,
        )
    sentence = f"certificate verify failed: {said}"
    assert sentence in quoted()
    assert sentence in told
    assert found.returncode == 1
    assert checked in found.stderr
