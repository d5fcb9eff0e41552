"""`fedledger store`: contents in and out, and an audit that travels in one file."""

import json
import random

import pytest
from support.store_server import PASSWORD, WRITER, StoreServer

from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage.cid import cid_of

from .test_cli import CONFIG, fedledger

DATA = random.Random(7).randbytes(700_000)


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of some size, and where a store will be."""
    (tmp_path / "model").write_bytes(DATA)
    return tmp_path


@pytest.fixture
def at(folder):
    """The option that names the store."""
    return ("--store", f"file://{folder}/store", "--format", "json")


def said(*arguments, code=0):
    """Return what a command printed, as JSON."""
    done = fedledger(*arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_file_goes_in_and_comes_out(folder, at):
    """Under its CID, to the byte; pins are set, listed and taken back."""
    cid = cid_of(DATA)
    stored = said("store", "put", folder / "model", *at)["stored"]
    assert stored == [{"cid": cid, "file": str(folder / "model")}]
    assert said("store", "get", cid, folder / "again", *at)["bytes"] == 700_000
    assert (folder / "again").read_bytes() == DATA
    assert said("store", "pin", cid, *at) == {"pinned": [{"cid": cid}], "not there": []}
    assert said("store", "pins", *at)["pinned"] == [{"cid": cid}]
    said("store", "unpin", cid, *at)
    assert said("store", "pins", *at)["pinned"] == []


def test_what_is_too_large_is_said_and_may_be_allowed(folder, at):
    """Above --max-bytes nothing is stored or fetched."""
    for arguments in (("put", folder / "model"), ("get", cid_of(DATA), folder / "again")):
        done = fedledger("store", *arguments, *at, "--max-bytes", "699999")
        assert done.returncode != 0
        assert "above the cap of 699999 bytes" in done.stderr
        said("store", *arguments, *at, "--max-bytes", "700000")


def test_a_content_that_is_damaged_makes_no_file(folder, at):
    """Nothing appears where it was to go, and the text names the content."""
    cid = cid_of(DATA)
    said("store", "put", folder / "model", *at)
    [path] = (folder / "store").rglob(cid)
    path.write_bytes(DATA[:-1] + b"\0")
    done = fedledger("store", "get", cid, folder / "again", *at)
    assert done.returncode != 0
    assert cid in done.stderr
    assert sorted(one.name for one in folder.iterdir()) == ["model", "store"]


def test_contents_travel_in_a_file(folder, at):
    """What is exported can be imported elsewhere; what is not there is named, and the exit is 1."""
    cid, absent = cid_of(DATA), cid_of(b"absent")
    said("store", "put", folder / "model", *at)
    found = said("store", "export", folder / "x.car", cid, absent, *at, code=1)
    assert found == {"exported": [{"cid": cid}], "not there": [{"cid": absent}]}
    there = ("--store", f"file://{folder}/other", "--format", "json")
    assert said("store", "import", folder / "x.car", *there)["imported"] == [{"cid": cid}]
    with open_store(f"file://{folder}/other") as other:
        assert other.get(cid) == DATA


ASKED = [(), ("--task", "1"), ("CID", "--audit", "local:///nowhere.db")]


@pytest.mark.parametrize("asked", ASKED, ids=["nothing", "a task", "both"])
def test_it_has_to_be_said_which_contents(folder, at, asked):
    """CIDs, or a ledger whose audit says it, and not both."""
    done = fedledger("store", "export", folder / "x.car", *asked, *at)
    assert done.returncode == 2
    assert "which contents?" in done.stderr
    assert not (folder / "x.car").exists()


def test_an_audit_travels_in_one_file(tmp_path):
    """All that an audit reads is exported; with it and the ledger alone the audit passes.

    With a content less it says so, and with a wrong one in its place too.
    """
    (tmp_path / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    assert fedledger("run", tmp_path / "tiny.toml", "--out", tmp_path).returncode == 0
    [run] = (tmp_path / "tiny").iterdir()
    ledger, car = f"local://{run}/chain.db", tmp_path / "run.car"
    stored = ("--store", f"file://{run}/store", "--format", "json")
    exported = said("store", "export", car, "--audit", ledger, *stored)["exported"]
    (run / "store").rename(run / "away")
    done = fedledger("audit", "--ledger", ledger, "--car", car)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "audit: passed"

    away = ("--store", f"file://{run}/away", "--format", "json")
    for one in exported[1:4]:
        cids = [other["cid"] for other in exported if other != one]
        said("store", "export", tmp_path / "less.car", *cids, *away)
        assert (
            fedledger("audit", "--ledger", ledger, "--car", tmp_path / "less.car").returncode == 2
        )

    data = bytearray(car.read_bytes())
    data[-1] ^= 1
    car.write_bytes(data)
    assert fedledger("audit", "--ledger", ledger, "--car", car).returncode == 1


def test_what_no_audit_needs_is_let_go_of(tmp_path):
    """`pin --audit … --only` keeps what audits read and no other pin; if one fails, all stay."""
    (tmp_path / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    assert fedledger("run", tmp_path / "tiny.toml", "--out", tmp_path).returncode == 0
    [run] = (tmp_path / "tiny").iterdir()
    store = ("--store", f"file://{run}/store", "--format", "json")
    audit = ("--audit", f"local://{run}/chain.db")
    (tmp_path / "old").write_bytes(DATA)
    said("store", "put", tmp_path / "old", *store)
    said("store", "pin", cid_of(DATA), *store)

    done = fedledger("store", "pin", *audit, "--audit", "local:///nowhere.db", "--only", *store)
    assert done.returncode == 2
    assert said("store", "pins", *store)["pinned"] == [{"cid": cid_of(DATA)}]
    done = fedledger("store", "pin", cid_of(DATA), "--only", *store)
    assert "--only goes with --audit" in done.stderr

    pinned = said("store", "pin", *audit, *store)["pinned"]
    both = {one["cid"] for one in said("store", "pins", *store)["pinned"]}
    assert both == {one["cid"] for one in pinned} | {cid_of(DATA)}
    found = (run / "store").rglob(pinned[-1]["cid"])
    [damaged] = [path for path in found if path.parent.name != "pins"]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole + b" ")
    done = fedledger("store", "pin", *audit, "--only", *store)
    assert done.returncode == 2
    assert "no pin is let go of" in done.stderr
    damaged.write_bytes(whole)
    said("store", "pin", *audit, "--only", *store)
    left = {one["cid"] for one in said("store", "pins", *store)["pinned"]}
    assert left == {one["cid"] for one in pinned}


def test_a_store_is_named_once(tmp_path):
    """--car and --store together are refused."""
    done = fedledger(
        "audit", "--ledger", "local:///x.db", "--store", "file:///y", "--car", tmp_path
    )
    assert done.returncode == 2
    assert "give one of them" in done.stderr


def test_a_served_store_takes_what_an_account_signs(folder):
    """The account is named by the environment, or by an option; who only reads needs none."""
    WRITER.save(folder / "writer.json", PASSWORD, light=True)
    (folder / "password").touch(0o600)
    (folder / "password").write_text(PASSWORD)
    named = {"FEDLEDGER_ACCOUNT": str(folder / "writer.json")}
    named["FEDLEDGER_ACCOUNT_PASSWORD_FILE"] = str(folder / "password")
    signs = ("--account", folder / "writer.json", "--password-file", folder / "password")
    with StoreServer(folder, "--allow", WRITER.address) as server:
        at = ("--store", server.url, "--format", "json")
        done = fedledger("store", "put", folder / "model", *at, **named)
        [stored] = json.loads(done.stdout)["stored"]
        assert said("store", "pin", stored["cid"], *signs, *at)["pinned"] == [
            {"cid": stored["cid"]}
        ]
        assert said("store", "get", stored["cid"], folder / "again", *at)["bytes"] == 700_000
        refused = fedledger("store", "unpin", stored["cid"], *at)
        assert refused.returncode != 0
        assert "takes changes of an account alone" in refused.stderr
        assert said("store", "pins", *at)["pinned"] == [{"cid": stored["cid"]}]
