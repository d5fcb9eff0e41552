"""The configs of FLChain's tables V and VI: the paper's sizes, numbers and number of steps."""

import pytest

from fedledger.experiments import load_config
from fedledger.experiments.config import checks
from fedledger.experiments.datasets import DATASETS
from fedledger.experiments.datasets.fashion_mnist import SOURCE

TABLES = [
    ("flchain-table5", 4, 13_750, (97.03, 97.02), (95.79, 96.18)),
    ("flchain-table6", 10, 5_500, (97.04, 96.92), (95.20, 95.61)),
]


@pytest.fixture(autouse=True)
def everything_fetched(monkeypatch):
    monkeypatch.setattr(checks, "require_dataset", DATASETS.load)


@pytest.mark.parametrize(("name", "trainers", "part", "means", "alone"), TABLES)
def test_sizes_and_numbers_are_the_papers(name, trainers, part, means, alone):
    """55,000 images in equal parts, 5,000 for validation, 10,000 for the test; both rows of it."""
    config = load_config(name)
    assert (config.clients, config.datasets) == (trainers, ("fashion_mnist",))
    assert (config.validation, SOURCE.train, SOURCE.test) == (5_000, 60_000, 10_000)
    assert (SOURCE.train - config.validation) / trainers == part
    assert [choice.name for choice in config.partitions] == ["iid"]
    paper = config.trainers.paper
    assert len(paper.each) == trainers
    columns = zip(*paper.each, strict=True)
    assert [sum(column) / trainers for column in columns] == pytest.approx(means, abs=0.01)
    assert (paper.alone, paper.full) == (alone, (97.67, 97.95))
    assert paper.seconds == 401_396.719


@pytest.mark.parametrize("name", ["flchain-table5", "flchain-table6"])
def test_each_long_scale_trains_1500_steps(name):
    """By default in 10 rounds of 150; in the scale "paper" of one step each, at the paper's 0.5."""
    default, paper = load_config(name), load_config(name, scale="paper")
    assert (default.rounds, default.training.steps) == (10, 150)
    assert (paper.rounds, paper.training.steps) == (1_500, 1)
    assert default.training_on("fashion_mnist").learning_rate == 0.1
    assert paper.training_on("fashion_mnist").learning_rate == 0.5
    for config in (default, paper):
        assert config.training.learning_rate == 0.5
        assert (config.training.batch_size, config.trainers.epochs) == (64, 1)
    assert load_config(name, scale="one-step").training.steps == 1


@pytest.mark.parametrize("name", ["flchain-table5", "flchain-table6"])
def test_another_data_set_can_take_its_place(name):
    """MNIST, where a network is open, and the ten thousand digits that a registry has."""
    for dataset, held_back in (("mnist", 5000), ("mnist_digits", 667)):
        changes = [f"datasets=['{dataset}']", f"validation={held_back}"]
        config = load_config(name, overrides=changes)
        assert config.training_on(dataset).learning_rate == 0.5
