"""The benchmark of the rules: it measures what it says, in both formats."""

import json
from functools import partial

import numpy as np
import pytest

from fedledger.experiments.benchmarks.measure import measure
from fedledger.experiments.benchmarks.memory import read_once
from fedledger.experiments.benchmarks.peers import flower_rules
from fedledger.experiments.benchmarks.rules import main
from fedledger.strategies.aggregation import get_rule


@pytest.mark.parametrize("name", ["krum", "mean", "median", "multi_krum", "trimmed_mean"])
def test_flower_is_asked_for_the_same_result_as_we_are(name):
    """What is timed against us computes the same thing (Flower's Bulyan selects otherwise)."""
    rng = np.random.default_rng(0)
    updates = [rng.standard_normal(400).astype(np.float32) for _ in range(30)]
    theirs = flower_rules()[name](updates, 9)
    np.testing.assert_allclose(get_rule(name)(updates, byzantine=9), theirs, atol=1e-5)


def test_json_holds_times_ratios_memory_and_the_floor(capsys):
    """Programs get every number of the table."""
    status = main(["--n", "11", "--d", "2000", "--seconds", "0.001", "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert status == 0
    assert document["floor_ms"] > 0
    assert [row["rule"] for row in document["rows"]] == [
        "krum",
        "multi_krum",
        "bulyan",
        "trimmed_mean",
        "median",
        "mean",
    ]
    for row in document["rows"]:
        ours, flower = row["measured"]["ours"], row["measured"]["flower"]
        assert row["ratio"]["flower"] == pytest.approx(flower["ms"] / ours["ms"])


def test_the_table_names_every_rule(capsys):
    """People get one line a rule."""
    main(["--n", "11", "--d", "2000", "--seconds", "0.001", "--rules", "krum", "median"])
    printed = capsys.readouterr().out
    assert "krum" in printed
    assert "median" in printed
    assert "floor" in printed


def extra_memory(call):
    found = measure({"call": call}, seconds=0)["call"].extra_mb
    if found is None:
        pytest.skip("this system does not tell the peak of resident memory")
    return found


def test_extra_memory_is_what_a_call_takes():
    """A call that fills 80 MB shows at least that, one that takes nothing shows little."""
    assert extra_memory(lambda: np.ones(10_000_000)) > 75
    assert extra_memory(lambda: None) < 20


def test_rules_take_no_copy_of_the_updates():
    """Beyond the result, a rule needs a small part of the 64 MB it reads."""
    updates = np.ones((16, 1_000_000), dtype=np.float32)
    for name in ("krum", "multi_krum", "median", "trimmed_mean", "mean", "bulyan"):
        assert extra_memory(partial(get_rule(name), updates, byzantine=3)) < 24, name


def test_the_floor_reads_every_value():
    """The sum that reading leaves behind is the sum of all values."""
    arrays = [np.ones(200_000, dtype=np.float32), np.full(200_000, 2, dtype=np.float32)]
    assert read_once(arrays) == pytest.approx(600_000, rel=1e-3)
