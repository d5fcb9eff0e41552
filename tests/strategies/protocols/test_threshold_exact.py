"""The model of an encrypted round is the plain weighted average; weights are whole, and fit."""

import math

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st
from support.encrypted import EncryptedFederation
from support.examples import examples
from support.federation import arrays_of

from fedledger.arrays import to_record
from fedledger.clients import signing_mod
from fedledger.ledger_plugins.contracts.threshold_keys.contents import packing_of
from fedledger.ledger_plugins.contracts.threshold_keys.terms import ThresholdTerms
from fedledger.strategies import audit_ledger

CLIP = (2**15 - 1) / 2**15
"""So that values of 16 bits are multiples of 2^-15, and none is rounded."""

QUANTA = [np.random.default_rng(one).integers(-(2**15) + 1, 2**15, 200) for one in range(5)]
"""What each trainer's update is, in multiples of 2^-15."""


@pytest.fixture
def encrypted(tmp_path):
    federation = EncryptedFederation(tmp_path)
    yield federation
    federation.close()


def app_with(samples):
    """Return an app whose clients answer their fixed updates, of so many samples."""
    app = ClientApp(mods=[signing_mod])

    @app.train()
    def train(message, context):
        partition = int(context.node_config["partition-id"])
        arrays = {"layer": (QUANTA[partition] * 2.0**-15).astype(np.float32)}
        metrics = MetricRecord({"num-examples": samples[partition]})
        records = {"arrays": to_record(arrays), "metrics": metrics}
        return Message(RecordDict(records), reply_to=message)

    return app


@pytest.mark.parametrize(
    ("samples", "weights", "options"),
    [
        ([600] * 5, [1] * 5, {}),
        ([10, 11, 12, 13, 14], [10, 11, 12, 13, 14], {}),
        pytest.param([10, 11, 12, 13, 14], [1] * 5, {"weights": "equal"}, marks=pytest.mark.soak),
    ],
    ids=["equal-samples", "unequal-samples", "equal-weights"],
)
def test_the_model_is_the_plain_weighted_average(encrypted, samples, weights, options):
    """To the last bit, where updates are multiples of the quantum and the weights fit."""
    strategy = encrypted.encrypted(clip=CLIP, **options)
    model = {"layer": np.zeros(200, np.float32)}
    result = encrypted.run(strategy, app_with(samples), rounds=1, model=model)
    exact = sum(one * weight for one, weight in zip(QUANTA, weights, strict=True))
    plain = (exact / (2.0**15 * sum(weights))).astype(np.float32)
    assert np.array_equal(arrays_of(result.arrays)["layer"], plain)
    assert audit_ledger(encrypted.ledger, encrypted.store).passed


def terms(**changes):
    said = {
        "dealer": "0x",
        "keys": "0" * 64,
        "dealing": "b",
        "key_bits": 2048,
        "trainers": 64,
        "threshold": 33,
        "floor": 34,
        "bits": 16,
        "clip": 1.0,
        "weights": "samples",
        "total_weight": 256,
        "accept_window": 1.0,
        "train_window": 1.0,
        "list_window": 1.0,
        "share_window": 1.0,
        "quiet": 1.0,
    }
    return ThresholdTerms.read(said | changes)


samples_of = st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=64)


@examples(200)
@given(samples_of, st.integers(64, 2**16))
def test_weights_are_whole_and_never_run_over(samples, total):
    """Each is at least 1, all together at most `total_weight`; so no slot runs over."""
    one = terms(total_weight=total)
    weights = one.weigh(samples)
    assert len(weights) == len(samples)
    assert min(weights) >= 1
    assert sum(weights) <= total
    packing_of(one).check_weights(weights)


@examples(200)
@given(samples_of)
def test_more_samples_never_weigh_less(samples):
    """Equal samples weigh the same, and the order of trainers does not matter."""
    one = terms()
    weights = one.weigh(samples)
    pairs = sorted(zip(samples, weights, strict=True))
    assert [weight for _, weight in pairs] == sorted(weight for _, weight in pairs)
    assert len({(sample, weight) for sample, weight in pairs}) == len(set(samples))
    assert one.weigh(samples[::-1]) == weights[::-1]


@examples(200)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=64), st.integers(1, 2**40))
def test_weights_are_exact_where_they_fit(parts, common):
    """Samples in a ratio of small whole numbers weigh exactly in that ratio."""
    weights = terms().weigh([one * common for one in parts])
    shared = math.gcd(*parts)
    assert weights == [one // shared for one in parts]


def test_weights_in_proportion_where_they_do_not_fit():
    """Rounded down and at least 1: by far the most samples cannot push the others out."""
    assert terms().weigh([2**62, 1, 1]) == [252, 1, 1]
    assert terms(trainers=5, threshold=3, floor=4).weigh([1000, 1001, 999]) == [84, 84, 84]
    assert terms(weights="equal", total_weight=64).weigh([7, 9, 1]) == [1, 1, 1]
