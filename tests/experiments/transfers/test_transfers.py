"""Transfers are measured end to end, with real servers, links and clients."""

import csv
import json
import os
import signal
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from fedledger import registry
from fedledger.cli.app import app
from fedledger.errors import ConfigError, RunError, StoreUnavailable, UnknownNameError
from fedledger.experiments import load_any, load_config, run_transfers
from fedledger.experiments.config.transfers import Links
from fedledger.experiments.transfers import outputs, parties
from fedledger.experiments.transfers.machine import described
from fedledger.experiments.transfers.processes.helper import Helper
from fedledger.experiments.transfers.results import Transfer, TransferResult
from fedledger.experiments.transfers.ways import WAYS, seconds_needed, ways_of

SMOKE = {"scale": "smoke", "overrides": ["clients=[2]", "sizes=[0.3]"]}
EMBEDDED = list(WAYS)


def test_the_smoke_scale_measures_every_way(tmp_path):
    """One command leaves numbers, a table and both figures; no transfer is faster than its links.

    How slow one is says nothing: other tests run beside this one.
    """
    command = ["run", "bift-transfer", "--scale", "smoke", "--set", "clients=[2]"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path), "--format", "json"])
    assert said.exit_code == 0, said.output
    document = json.loads(said.stdout)
    rows = document["rows"]
    assert [row["way"] for row in rows] == EMBEDDED * 2
    assert not any(row["failure"] for row in rows)
    for row in rows:
        most = {"nothing": 1e6, "own": 40, "shared": 40 if row["links"] == "clients" else 20}
        assert 0 < row["slowest_mbit_s"] <= row["mbit_s"], row
        assert row["slowest_mbit_s"] <= most[WAYS[row["way"]].limit] * 1.1, row
        assert min(row["wall_s"], row["connected_s"]) > 0
        assert row["cpu_clients_s"] > 0
    assert {"processor", "python", "asyncssh", "cores"} <= document["machine"].keys()
    folder = Path(document["directory"])
    files = {"config.toml", "run.log", "results.json", "results.csv", "table.md"}
    files |= {f"figure-{n}.{kind}" for n in (13, 14) for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == files, "what was transferred is gone"
    with (folder / "results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert "| links | MB | clients | SFTP get |" in table
    assert "Links: clients: each client's link 40 Mbit/s; server:" in table


@pytest.fixture
def undrawn(monkeypatch):
    """Nothing is drawn, which takes longer than the small transfers."""
    monkeypatch.setattr(outputs, "pictures", lambda _: {})


@pytest.mark.usefixtures("undrawn")
def test_what_takes_too_long_by_the_links_is_left_out(tmp_path):
    """It is not tried, and the table says so; what no link limits is measured all the same."""
    config = load_any("bift-transfer", **SMOKE)
    config = config.model_copy(update={"longest": 0.05, "links": config.links[1:]})
    result = run_transfers(config, out=tmp_path, progress=False)
    assert result.passed
    measured = {one.way for one in result.transfers if one.seconds}
    assert measured == {"store-add"}
    *others, added = next(outputs.table_rows(result, "14"))[3:]
    assert others == ["-", "-", "-"]
    assert float(added.rstrip("*")) > 0
    assert any("left out" in note for note in outputs.notes(result))
    config = config.model_copy(update={"largest": 0.5, "longest": 60.0})
    result = run_transfers(config, out=tmp_path, progress=False)
    assert {one.left_out for one in result.transfers} == {"all together move 0.6 MB"}


def test_the_time_that_links_need_is_what_they_carry():
    """40 Mbit/s are 5 MB/s; a server's link is shared, a peer's own is not."""
    own, shared = Links(name="a", client=40), Links(name="b", client=40, server=80)
    get, peers, add = WAYS["sftp-get"], WAYS["peers-get"], WAYS["store-add"]
    assert seconds_needed(get, own, 10, 30) == 2
    assert seconds_needed(get, shared, 10, 30) == 30
    assert seconds_needed(get, shared, 10, 1) == 2
    assert seconds_needed(peers, shared, 10, 30) == 2
    assert seconds_needed(add, shared, 10, 30) == 0


def made_up(**changes):
    """Return a result with one transfer for each way of the smoke scale."""
    config = load_any("bift-transfer", **SMOKE)
    one = Transfer("clients", 0.3, 2, "sftp-get", (0.06, 0.12), 0.1, 0.12, {"wires": 0.01}, 0.2)
    changed = tuple(replace(one, way=way, **changes) for way in EMBEDDED)
    return TransferResult(Path("out"), config, described(), changed)


def test_a_speed_is_the_mean_of_the_clients():
    """0.3 MB in 0.06 and 0.12 s are 40 and 20 Mbit/s."""
    [one, *_] = made_up().transfers
    assert (one.speed, one.slowest) == (pytest.approx(30), pytest.approx(20))


@pytest.mark.parametrize(
    ("change", "marked"),
    [
        ({}, False),
        ({"busy": 0.95}, True),
        ({"busy": None}, False),
        ({"cpu": {"servers": 0.119}}, True),
    ],
    ids=["idle", "machine busy", "system does not tell", "a process busy"],
)
def test_numbers_that_processors_may_have_limited_are_marked(change, marked):
    """In table and notes, so that nobody takes them for the links'."""
    result = made_up(**change)
    assert all(one.limited_here is marked for one in result.transfers)
    value = next(outputs.table_rows(result, "13"))[3]
    assert value == ("30.0*" if marked else "30.0")
    assert any(note.startswith("*") for note in outputs.notes(result)) is marked


@pytest.mark.usefixtures("undrawn")
def test_a_transfer_that_fails_is_said_and_the_others_go_on(tmp_path, monkeypatch):
    """Its cell says "failed", the command ends with status 1, and the rest has numbers."""
    known = parties.Parties.transfer

    def transfer(self, task):
        if task.way.name == "sftp-get":
            raise RunError("the dog ate it")
        return known(self, task)

    monkeypatch.setattr(parties.Parties, "transfer", transfer)
    command = ["run", "bift-transfer", "--set", "clients=[1]", "--set", "sizes=[0.01]"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])
    assert said.exit_code == 1
    assert "failed" in said.stdout
    assert "sftp-get of 1 clients FAILED: the dog ate it" in said.stdout
    [results] = tmp_path.glob("*/*/results.json")
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    assert [row["way"] for row in rows if row["failure"]] == ["sftp-get"] * 2
    assert all(row["mbit_s"] for row in rows if not row["failure"])


@pytest.fixture
def real(tmp_path):
    """Real processes, and a task for them."""
    config = load_any("bift-transfer", **SMOKE)

    def task(way):
        return parties.Task(WAYS[way], config.links[0], 100_000, 2, (1, 2), 60.0)

    with parties.Parties(tmp_path) as all_:
        yield all_, task


def test_bytes_that_changed_on_the_way_are_found(real, monkeypatch):
    """What SFTP gives and takes is hashed, as a store does it itself: here somebody changes it."""
    all_, task = real
    ask = all_._ask

    def changed(role, what, **arguments):
        if what == "go":
            for path in all_._files.iterdir():
                path.write_bytes(b"x" * path.stat().st_size)
        answer = ask(role, what, **arguments)
        if what == "go":
            for path in all_._files.glob("put-*"):
                path.write_bytes(b"x" * path.stat().st_size)
        return answer

    monkeypatch.setattr(all_, "_ask", changed)
    with pytest.raises(RunError, match="SFTP client 0 got other bytes than were served"):
        all_.transfer(task("sftp-get"))
    with pytest.raises(RunError, match="the SFTP server has other bytes than client 0 put"):
        all_.transfer(task("sftp-put"))
    assert len(all_.transfer(task("store-get")).seconds) == 2, "and others go on"


def test_a_process_that_dies_is_said(real):
    """A measurement without its servers ends with a sentence, not with a wait."""
    all_, task = real
    victim = all_._helpers["servers"]._process
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    with pytest.raises(RunError, match="servers has died"):
        all_.transfer(task("store-get"))


def test_a_process_that_does_not_answer_is_ended(tmp_path):
    """It is waited for no longer than it may take, and its late answer is never read."""
    with Helper("wires", tmp_path / "log") as helper:
        helper.ask("cpu")
        os.kill(helper._process.pid, signal.SIGSTOP)
        with pytest.raises(RunError, match="no answer in 0 s"):
            helper.ask("cpu", seconds=0.1)
        with pytest.raises(RunError, match="died"):
            helper.ask("cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "links.clients.client=0",
            r"--set .links.clients.client=0., key 'links.0.client': .*than 0",
        ),
        ("links.server.server=-4", r"key 'links.1.server': .*than 0"),
        ("links.clients.client=nan", "key 'links.0.client'"),
        ("clients=[]", "key 'clients'"),
        ("clients=[0]", "key 'clients.0'"),
        ("clients=[1, 1]", "clients: one of them is there twice"),
        ("sizes=[0]", "key 'sizes.0'"),
        ("sizes=[5000]", "key 'sizes.0'"),
        ("longest=0", "key 'longest'"),
        ("peer=ipfs+http://127.0.0.1:2", "it and store have to be IPFS daemons"),
        ("store=file:///tmp/x", "reached by HTTP"),
        ("store=ipfs+https://127.0.0.1:2", "HTTPS would see"),
        ("name='../x'", "key 'name'"),
    ],
)
def test_a_wrong_value_is_refused_when_the_config_is_loaded(change, said):
    """Each names where it was said and the key."""
    with pytest.raises(ConfigError, match=said):
        load_any("bift-transfer", overrides=[change])


def test_what_belongs_to_the_other_kind_is_refused(tmp_path):
    """No engine, no rounds, no ledger, no resuming; and `load_config` gives experiments alone."""
    with pytest.raises(UnknownNameError, match="rounds"):
        load_any("bift-transfer", overrides=["rounds=3"])
    with pytest.raises(ConfigError, match="--engine inprocess: transfers have no engine"):
        load_any("bift-transfer", engine="inprocess")
    with pytest.raises(ConfigError, match="describes transfers, no experiment"):
        load_config("bift-transfer")
    with pytest.raises(ConfigError, match="key 'kind': 'transfers' or nothing, got 'transfer'"):
        load_any("bift-transfer", overrides=["kind=transfer"])
    with pytest.raises(UnknownNameError, match="scale"):
        load_any("bift-transfer", scale="papr")
    said = CliRunner().invoke(app, ["run", "bift-transfer", "--resume", str(tmp_path)])
    assert isinstance(said.exception, ConfigError)
    assert "measured in one go" in str(said.exception)


def test_a_daemon_that_is_not_there_is_said_before_anything_is_made(tmp_path):
    """The URL is named, and no folder is left."""
    config = load_any("bift-transfer", overrides=["store=ipfs+http://127.0.0.1:1"])
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        run_transfers(config, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_store_that_takes_nothing_is_said(tmp_path):
    """A gateway of somebody else cannot be given what is to be measured."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        Thread(target=server.serve_forever, args=(0.02,)).start()
        url = f"ipfs+gateway+http://127.0.0.1:{server.server_address[1]}"
        try:
            with pytest.raises(ConfigError, match="takes nothing: a store to write into"):
                run_transfers(
                    load_any("bift-transfer", overrides=[f"store={url}"]), out=tmp_path / "out"
                )
        finally:
            server.shutdown()
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    """What to install is said in one sentence."""
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "asyncssh" else name)
    with pytest.raises(ConfigError, match=r"'asyncssh': pip install 'fedledger\[transfer\]'"):
        run_transfers(load_any("bift-transfer"), out=tmp_path, progress=False)


def test_secrets_of_a_store_are_in_no_file():
    """A password in a URL is shown nowhere."""
    url = "ipfs+http://user:hunter22@127.0.0.1:5001"
    config = load_any("bift-transfer", overrides=[f"store={url}"])
    assert "hunter22" not in repr(config)
    assert "hunter22" not in json.dumps(config.to_toml())


def test_the_papers_settings_are_the_scale_paper():
    """1 to 30 clients, 40 Mbit/s, files of 1, 10 and 100 MB (section VI-C)."""
    config = load_any("bift-transfer", scale="paper")
    assert (min(config.clients), max(config.clients)) == (1, 30)
    assert config.sizes == (1, 10, 100)
    assert [(one.client, one.server) for one in config.links] == [(40, None), (40, 40)]
    assert [way.name for way in ways_of(config)] == EMBEDDED
