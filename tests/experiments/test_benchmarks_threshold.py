"""The benchmark of threshold decryption measures what it says, in both formats."""

import json

from fedledger.experiments.benchmarks import threshold

SMALL = ["--ciphertexts", "40", "--trainers", "3", "--threshold", "2", "--key-bits", "512"]


def test_every_stage_is_there_for_people_and_programs(capsys):
    """The table has a line for each stage; JSON has the ratio, all times and sizes."""
    assert threshold.main([*SMALL, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    stages = document["cpu_ms"]
    assert min(stages.values()) > 0
    assert document["verify_ratio_batched"] == (
        stages["verify shares, one by one"] / stages["verify shares, batched"]
    )
    assert document["bytes"]["decryption share"] == 64
    assert threshold.main(SMALL) == 0
    shown = capsys.readouterr().out
    assert all(stage in shown for stage in stages)
    assert "times as fast as one by one" in " ".join(shown.split())


def test_the_ratio_is_a_call(capsys):
    """Other benchmarks ask for the ratio alone; a batch is faster than one by one."""
    assert threshold.verify_ratio_batched(ciphertexts=64, key_bits=512) > 1
    assert not capsys.readouterr().out
