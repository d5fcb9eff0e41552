"""Partitioners with flwr-datasets' protocol, in front of our data."""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.partition.flower import flower, partition_with

LABELS = np.arange(97, dtype=np.int64) % 5


class Fake:
    """A partitioner of flwr-datasets' shape: deals by label, then evenly."""

    def __init__(self, num_partitions, partition_by, seed=42, *, skip=0, twice=False):
        self._count, self._by, self._seed = num_partitions, partition_by, seed
        self._skip, self._twice = skip, twice
        self._dataset = None

    @property
    def dataset(self):
        return self._dataset

    @dataset.setter
    def dataset(self, value):
        if self._dataset is not None:
            raise ValueError("assigned twice")
        self._dataset = value

    @property
    def num_partitions(self):
        return self._count

    def load_partition(self, partition_id):
        labels = np.array(self.dataset[self._by])
        shuffled = np.random.default_rng(self._seed).permutation(self.dataset.num_rows)
        rows = shuffled[np.argsort(labels[shuffled], kind="stable")][self._skip :]
        part = np.array_split(rows, self._count)[partition_id]
        return self.dataset.select([*part, *part] if self._twice else part)


@pytest.fixture
def package(monkeypatch):
    """Stand in for flwr-datasets, with one partitioner."""
    module = ModuleType("flwr_datasets.partitioner")
    vars(module)["FakePartitioner"] = Fake
    monkeypatch.setitem(sys.modules, "flwr_datasets", ModuleType("flwr_datasets"))
    monkeypatch.setitem(sys.modules, "flwr_datasets.partitioner", module)


def test_every_sample_goes_where_the_partitioner_puts_it():
    """The parts are indices into our labels, ascending, and say what the partitioner decided."""
    parts = partition_with(Fake(4, "kind"), LABELS, column="kind")
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(97))
    assert [part.dtype for part in parts] == [np.int64] * 4
    assert all((np.diff(part) > 0).all() for part in parts)
    assert set(LABELS[parts[0]]) == {0, 1}
    assert set(LABELS[parts[3]]) == {3, 4}


def test_samples_may_stay_undealt():
    """Some partitioners drop what does not fill a shard."""
    assert sum(map(len, partition_with(Fake(4, "label", skip=7), LABELS))) == 90


@pytest.mark.parametrize(
    ("partitioner", "said"),
    [
        (Fake(4, "label", twice=True), "deals a sample twice"),
        (Fake(4, "color"), "Fake: 'color'"),
        (Fake(98, "label"), "leaves client 97 without"),
        (SimpleNamespace(num_partitions=1), "load_partition"),
    ],
    ids=["twice", "column", "empty", "protocol"],
)
def test_what_no_run_could_use_is_refused(partitioner, said):
    """A part that is empty or shared, and a partitioner that fails, are errors of ours."""
    with pytest.raises(ConfigError, match=said):
        partition_with(partitioner, LABELS)


def test_a_used_partitioner_is_refused():
    """It already holds another data set."""
    used = Fake(4, "label")
    partition_with(used, LABELS)
    with pytest.raises(ConfigError, match="assigned twice"):
        partition_with(used, LABELS)


def test_by_name_it_is_a_partition_like_ours(package):
    """Clients, label column and a seed come from the experiment; the same draw, the same parts."""

    def deal(seed, **arguments):
        return flower(
            LABELS,
            4,
            np.random.default_rng(seed),
            partitioner="FakePartitioner",
            arguments=json.dumps(arguments),
        )

    one, again, other = deal(1), deal(1), deal(2)
    assert np.array_equal(np.sort(np.concatenate(one)), np.arange(97))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert set(LABELS[one[0]]) == {0, 1}
    assert sum(map(len, deal(1, skip=7))) == 90
    with pytest.raises(ConfigError, match="makes 3 parts for 4 clients"):
        deal(1, num_partitions=3)
    with pytest.raises(ConfigError, match="unexpected keyword argument 'alpah'"):
        deal(1, alpah=1)


def test_wrong_names_and_arguments_are_named(package, monkeypatch):
    """A slip in the config is answered with what would be right."""
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownNameError, match="did you mean 'FakePartitioner'"):
        flower(LABELS, 4, rng, partitioner="FakePartitoner")
    for wrong, said in (("{", "not JSON"), ("[1]", "JSON object")):
        with pytest.raises(ConfigError, match=said):
            flower(LABELS, 4, rng, partitioner="FakePartitioner", arguments=wrong)
    monkeypatch.setitem(sys.modules, "flwr_datasets.partitioner", None)
    with pytest.raises(ConfigError, match="pip install flwr-datasets"):
        flower(LABELS, 4, rng, partitioner="IidPartitioner")
    with pytest.raises(ConfigError, match="pip install no_such_module"):
        flower(LABELS, 4, rng, partitioner="no_such_module:X")


def test_another_packages_partitioner_is_named_with_its_module(package):
    """MODULE:CLASS finds a partitioner anywhere."""
    name = "flwr_datasets.partitioner:FakePartitioner"
    parts = flower(LABELS, 4, np.random.default_rng(0), partitioner=name)
    assert len(parts) == 4
