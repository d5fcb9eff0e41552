"""The benchmarks of sweeps, ledgers, transport and ciphertexts: what they say, in both formats."""

import json

from fedledger.experiments.benchmarks import ledger, paillier, sweep, transport
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
        assert found[30_000, "inline"][way] - found[1000, "inline"][way] == 2 * 4 * 29_000
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
