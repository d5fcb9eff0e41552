import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import ConfigError
from fedledger.experiments.partition import PARTITIONS, dirichlet, fang, iid, label_sharded

DEALS = [
    (iid, {}),
    (dirichlet, {"alpha": 0.05}),
    (dirichlet, {"alpha": 1e-6}),
    (dirichlet, {"alpha": 5.0}),
    (label_sharded, {"shards": 2}),
    (fang, {"q": 0.5}),
    (fang, {"q": 1.0}),
    (fang, {"q": 0.0}),
]


@pytest.mark.parametrize(("deal", "parameters"), DEALS)
@given(
    clients=st.integers(1, 12),
    extra=st.integers(0, 60),
    classes=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
@examples(40)
def test_every_client_gets_samples_and_no_sample_goes_twice(  # noqa: PLR0917 - hypothesis
    deal, parameters, clients, extra, classes, seed
):
    """All clients have data, all samples are dealt exactly once, the same seed deals the same."""
    labels = np.random.default_rng(seed).integers(0, classes, size=2 * clients + extra)
    parts = deal(labels, clients, np.random.default_rng(seed), **parameters)
    assert len(parts) == clients
    assert all(len(part) and part.dtype == np.int64 for part in parts)
    assert all((np.diff(part) > 0).all() for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    again = deal(labels, clients, np.random.default_rng(seed), **parameters)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_iid_sizes_differ_by_one_at_most():
    """1,437 samples among 20 clients: 71 or 72 each."""
    parts = iid(np.zeros(1437, dtype=np.int64), 20, np.random.default_rng(0))
    assert {len(part) for part in parts} == {71, 72}


def shares(labels, parts):
    """Return each client's distribution of labels."""
    return np.array([np.bincount(labels[part], minlength=10) / len(part) for part in parts])


def test_alpha_controls_how_uneven_the_classes_are():
    """Small alpha concentrates a client on few classes, large alpha approaches equal shares."""
    labels = np.repeat(np.arange(10), 500)
    uneven = shares(labels, dirichlet(labels, 10, np.random.default_rng(1), alpha=0.1))
    even = shares(labels, dirichlet(labels, 10, np.random.default_rng(1), alpha=1000.0))
    assert uneven.max(axis=1).mean() > 0.4
    assert even.max() < 0.15


def test_two_shards_give_at_most_four_classes():
    """A shard spans two classes at most where classes are larger than shards."""
    labels = np.repeat(np.arange(10), 100)
    parts = label_sharded(labels, 20, np.random.default_rng(1), shards=2)
    assert max(len(np.unique(labels[part])) for part in parts) <= 4
    assert {len(part) for part in parts} == {50}


def test_fang_sends_a_class_to_its_group_with_probability_q():
    """With as many clients as classes, a client has a share q of one class and little of others."""
    labels = np.repeat(np.arange(10), 2000)
    parts = fang(labels, 10, np.random.default_rng(1), q=0.5)
    of_class = np.array([np.bincount(labels[part], minlength=10) for part in parts]) / 2000
    own = of_class.max(axis=0)
    assert len(set(of_class.argmax(axis=0))) == 10
    assert np.allclose(own, 0.5, atol=0.05)
    assert np.allclose(np.sort(of_class, axis=0)[:-1], 0.5 / 9, atol=0.03)


def test_fang_with_q_of_one_in_l_is_even():
    """With q = 1/L the group makes no difference."""
    labels = np.repeat(np.arange(10), 2000)
    parts = fang(labels, 10, np.random.default_rng(1), q=0.1)
    assert np.allclose(shares(labels, parts), 0.1, atol=0.03)


@pytest.mark.parametrize(
    ("deal", "parameters"),
    [
        (iid, {}),
        (dirichlet, {"alpha": 1.0}),
        (label_sharded, {"shards": 2}),
        (fang, {"q": 0.5}),
    ],
)
def test_more_clients_than_samples_is_refused(deal, parameters):
    """Nobody can be given nothing, and nobody can be given to no one."""
    with pytest.raises(ConfigError):
        deal(np.zeros(3, dtype=np.int64), 4, np.random.default_rng(0), **parameters)
    with pytest.raises(ConfigError):
        deal(np.zeros(3, dtype=np.int64), 0, np.random.default_rng(0), **parameters)


@pytest.mark.parametrize(
    ("deal", "parameters"),
    [
        (dirichlet, {"alpha": 0.0}),
        (dirichlet, {"alpha": float("nan")}),
        (label_sharded, {"shards": 0}),
        (label_sharded, {"shards": 9}),
        (fang, {"q": 1.1}),
        (fang, {"q": float("nan")}),
    ],
)
def test_wrong_parameters_are_refused(deal, parameters):
    """A parameter outside its range is an error that names it."""
    with pytest.raises(ConfigError, match=next(iter(parameters))):
        deal(np.zeros(16, dtype=np.int64), 2, np.random.default_rng(0), **parameters)


def test_partitions_are_registered():
    """Configs name each of them."""
    assert {"dirichlet", "fang", "iid", "label_sharded"} <= set(PARTITIONS.names())
    assert PARTITIONS.load("fang") is fang
