"""The benchmarks: they measure what they say, and say it in both formats."""

import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from fedledger.errors import RunError
from fedledger.experiments.benchmarks import encrypted, ledger, overhead, paillier, sweep, transport
from fedledger.experiments.benchmarks.overhead.hall import Started
from fedledger.experiments.benchmarks.overhead.results import LEGS, read_overhead, tables
from fedledger.experiments.benchmarks.overhead.settings import Places, Settings
from fedledger.experiments.benchmarks.overhead.ways import WAYS
from fedledger.experiments.config.settings import Training


def test_a_plain_loop_and_a_sweep_end_with_the_same_model():
    """Both train on the same batches, so only the sums of an average may round differently."""
    training = Training(epochs=2, batch_size=20, learning_rate=0.1)
    found = sweep.measure_sweep(dataset="digits", clients=4, rounds=2, training=training)
    assert found.images == 2 * 2 * 1437
    assert found.largest_gap < 1e-6
    assert found.share("inprocess") == found.plain_s / found.ours_s["inprocess"]
    assert 0 < found.evidence_s["inprocess"] < found.ours_s["inprocess"]


def test_the_sweeps_numbers_are_there_for_people_and_programs(capsys):
    """The table has a line each; JSON has every number."""
    small = ["--dataset", "digits", "--clients", "2", "--rounds", "1", "--width", "2"]
    assert sweep.main([*small, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["share"]["inprocess"] > 0
    assert sweep.main(small) == 0
    shown = capsys.readouterr().out
    assert "plain PyTorch loop" in shown
    assert "ledger, store" in shown


def test_a_ledger_is_timed_call_by_call_together_and_from_its_file(monkeypatch):
    """Rates are of acknowledged calls; a chain is opened and verified."""
    monkeypatch.setattr("fedledger.ledger_plugins.local.ledger.SNAPSHOT_AFTER", 500)
    found = ledger.measure_ledgers(transactions=500, seconds=0.01)
    assert found.single["embedded"] > 0
    assert found.together["embedded"] > 0
    assert min(found.block_s, found.open_s, found.verify_s) > 0
    assert found.open_s < found.verify_s
    assert "one at a time" in ledger.as_table(found).columns[1].header


def test_by_the_store_a_messages_size_does_not_follow_the_models(capsys):
    """Inline a round moves the model down and up; by the store a few kilobytes of any model."""
    sizes = ["--parameters", "1000", "30000", "--format", "json"]
    assert transport.main(sizes) == 0
    found = {
        (one["parameters"], one["transport"]): one for one in json.loads(capsys.readouterr().out)
    }
    for way in ("down", "up"):
        grown = found[30_000, "inline"][way] - found[1000, "inline"][way]
        # Of a signature that begins with zeros the signed call has fewer bytes (RLP).
        assert abs(grown - 2 * 4 * 29_000) <= {"down": 0, "up": 4}[way]
        assert abs(found[30_000, "store"][way] - found[1000, "store"][way]) < 20
        assert found[1000, "store"][way] < 2 * 8000
    assert found[1000, "inline"]["aggregate"] == found[1000, "store"]["aggregate"]
    assert transport.main(["--parameters", "100"]) == 0
    assert "store" in capsys.readouterr().out


def test_ciphertexts_are_opened_and_counted_beside_phe(capsys):
    """The sum that was timed is the right one; packing makes values cheap and small."""
    small = ["--values", "2000", "--scalars", "2", "--clients", "3", "--total-weight", "7"]
    assert paillier.main([*small, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ciphertexts"] == -(-2000 // (2047 // 19))
    assert found["bytes_per_value"] == found["ciphertexts"] * 512 / 2000
    assert found["verify_ratio_batched"] > 1
    for ratio, peer, stages in (
        ("encrypt_ratio_phe", found["phe_cpu_s"], found["cpu_s"]),
        ("encrypt_ratio_phe_wall", found["phe_wall_s"], found["wall_s"]),
    ):
        spent = sum(stages[name] for name in ("table of the key", "round and pack", "encrypt"))
        assert found[ratio] == peer * 2000 / spent > 0
    assert paillier.main([*small, "--bits", "8"]) == 0
    shown = capsys.readouterr().out
    assert "read, check and sum" in shown
    assert "bytes a value" in shown


def test_an_encrypted_round_is_taken_apart(capsys):
    """Each phase of the second round has its time and bytes; the audit was of both."""
    small = ["--values", "1500", "--trainers", "3", "--threshold", "2"]
    assert encrypted.main([*small, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["bytes"]) == ["masked", "list", "shares"]
    ciphertexts = -(-1500 // (2047 // 18))
    assert found["bytes"]["masked"] > 3 * ciphertexts * 512
    assert found["bytes"]["list"] == 0
    assert all(found["trainer_s"][phase] > 0 for phase in found["bytes"])
    together = found["server_s"] + sum(found["slowest_s"].values())
    assert found["round_wall_s"] == together
    assert found["trainer_s_total"] == sum(found["trainer_s"].values())


NOWHERE = Places(ledger="local:///nowhere", store="file:///nowhere", clients=())


def noted(folder, **settings):
    """Write what server and devices note of two ways with two devices; times are made up."""
    given = {"devices": 2, "seconds": 5.0, "parameters": 8, "rounds": 1, "turns": 1}
    places = {"superlink": folder, "process": 1, "local": NOWHERE, "direct": NOWHERE}
    ways = ("fedavg", "pofl-lot")
    lines, devices, at = [], ([], []), 0.0
    for way in ways:
        for number in (0, 1):
            began = at
            for batch in range(WAYS[way].phases):
                trains = 0.0 if batch else 5.0
                pushed, pulled = at + 0.25, at + 5.0 + trains
                for device, lines_of_device in enumerate(devices):
                    name = f"{way}-{number}-{batch}-{device}"
                    # The second one is later at everything, but its reply is there when both are.
                    late = 0.5 * device
                    called = pushed + 1.5 + late
                    lines_of_device.append(
                        {"message": name, "began": pushed + 1 + late, "called": called, "cpu": 1.0}
                        | {"left": called + trains + 0.125}
                    )
                    seen = {"message": name, "batch": 2 * number + batch, "pushed": pushed}
                    lines.append({"way": way, **seen, "pulled": pulled - 0.25 + late / 2})
                at = pulled
            at += 0.5
            lines.append({"way": way, "turn": 0, "round": number, "began": began, "ended": at})
            lines[-1] |= {"cpu": 0.75, "superlink": 0.5, "polls": 4}
        lines.append({"way": way, "turn": 0, "opening": 1.0, "closing": 2.0})
    for name, said in (("server", lines), ("device-1", devices[0]), ("device-2", devices[1])):
        text = "".join(json.dumps(line) + "\n" for line in said)
        (folder / f"{name}.jsonl").write_text(text)
    return Settings(**{**given, **settings}, **places, ways=ways, notes=folder)


def test_a_deployed_rounds_time_is_split_along_its_slowest_device(tmp_path):
    """All legs together are the round; a second phase adds its own, and trains nothing."""
    settings = noted(tmp_path)
    found = read_overhead(settings)
    assert [(one.way, one.number) for one in found.rounds] == [
        (way, number) for way in settings.ways for number in (0, 1)
    ]
    for one in found.rounds:
        assert sum(one.legs.values()) == pytest.approx(one.seconds)
        phases = WAYS[one.way].phases
        legs = (1.5 * phases, 0.5 * phases, 5.0, 0.125 * phases)
        assert [one.legs[leg] for leg in LEGS[:4]] == pytest.approx(legs)
        assert one.legs["server"] == pytest.approx(0.25 * phases + 0.5)
        assert (one.messages, one.polls, one.cpu_device) == (phases, 2, phases)
    assert found.beyond("pofl-lot") == pytest.approx(5.0)
    assert found.once == {"fedavg": [3.0], "pofl-lot": [3.0]}
    console = Console(width=250)
    with console.capture() as shown:
        for table in tables(found, settings):
            console.print(table)
    assert "+5.0 s" in shown.get()
    assert "+47.6%" in shown.get()
    document = json.loads(json.dumps(found.to_json(settings, {"cores": 2})))
    assert document["ways"]["pofl-lot"]["beyond"] == pytest.approx(5.0)
    assert len(document["rounds"]) == 4


def test_what_a_deployed_benchmark_started_has_ended_when_it_ends(tmp_path):
    """A process that started another one, or that does not become ready, leaves nothing."""
    log = tmp_path / "device.log"
    started = Started("sleep 600 & echo ready $!; wait", tmp_path, log)
    try:
        started.wait_for("ready ")
        below = int(started.said.split()[1])
    finally:
        started.stop()
    assert not running(started.process.pid)
    assert not running(below)
    ended = Started("echo the disk is full >&2; exit 3", tmp_path, tmp_path / "node.log")
    with pytest.raises(RunError, match=r"^node did not start: the disk is full$"):
        ended.wait_for("ready")
    ended.stop()


def running(process):
    """Tell whether a process runs; one that nobody has waited for yet has ended too."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("wrong", ["--devices=2", "--parameters=3", "--rounds=0", "--seconds=-1"])
def test_a_deployed_benchmark_that_cannot_be_is_refused_before_anything_starts(
    wrong, tmp_path, capsys
):
    """With the option and its least value; a folder that is there is left alone."""
    with pytest.raises(SystemExit, match="2"):
        overhead.main([wrong])
    assert f"{wrong.partition('=')[0]}: at least" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        overhead.main(["--folder", str(tmp_path)])
    assert "is there already" in capsys.readouterr().err


@pytest.mark.soak
def test_every_way_trains_on_the_same_supernodes_and_is_audited(tmp_path, capsys):
    """A SuperLink, SuperNodes, a node and a served store, for each way a round that counts all."""
    folder = tmp_path / "kept"
    short = ["--seconds", "0", "--rounds", "1", "--turns", "1", "--parameters", "1000"]
    assert overhead.main([*short, "--folder", str(folder), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["ways"]) == set(WAYS)
    for one in document["rounds"]:
        assert one["messages"] == WAYS[one["way"]].phases
        assert sum(one["legs"].values()) == pytest.approx(one["seconds"])
        assert min(one["legs"].values()) > -0.05
