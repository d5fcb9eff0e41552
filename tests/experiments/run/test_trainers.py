import json
from itertools import combinations

import numpy as np
import pytest
import torch

from fedledger.arrays import Layout, read_record, to_record
from fedledger.clients.training import evaluate, get_arrays, set_arrays, train
from fedledger.errors import ConfigError
from fedledger.experiments import run_experiment
from fedledger.experiments.run.client import reproducible
from fedledger.experiments.run.federation import federation_of
from fedledger.ledger_plugins import open_store
from fedledger.strategies.rounds.tasks.task import model_of

from ..small import small

HELD_BACK = 200
DEALT = [7804, 6510, 8667, 9856, 9511, 8888, 11133]
"""Sums of each part's first 50 indices, from before a config could hold anything back."""
CHANGES = (
    "attacks=['none']",
    "malicious=[]",
    f"validation={HELD_BACK}",
    "training.steps=7",
    "trainers.epochs=2",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two approaches whose config asks for trainers."""
    folder = tmp_path_factory.mktemp("trainers")
    return run_experiment(small(folder, *CHANGES), out=folder, progress=False)


def federation(config):
    return federation_of(config.matrix[0].scenario.model_dump_json())


def accuracies(found, model):
    images, labels = found.validation
    validation = evaluate(model, images, labels)[1]
    return validation, evaluate(model, found.dataset.test_x, found.dataset.test_y)[1]


def trained(found, images, labels, arrays=None, **options):
    """Return the accuracies of a model after training, written down here once more."""
    model = found.initial_model()
    if arrays is not None:
        set_arrays(model, arrays)
    settings = found.scenario.training
    options = {"epochs": settings.epochs, "batch_size": settings.batch_size} | options
    generator = torch.Generator().manual_seed(0)
    train(model, images, labels, lr=settings.learning_rate, generator=generator, **options)
    return accuracies(found, model)


def test_nobody_trains_on_what_is_held_back(tmp_path):
    """Parts and validation images are apart and together all; the seed alone draws them."""
    config = small(tmp_path, f"validation={HELD_BACK}", "partitions=[{name='fang', q=0.5}]")
    found = federation(config)
    groups = [*found.parts, found.held_back]
    assert len(found.held_back) == len(found.validation[1]) == HELD_BACK
    assert all(not np.intersect1d(*two).size for two in combinations(groups, 2))
    assert len(np.concatenate(groups)) == len(found.dataset.train_y)
    kept = found.dataset.train_x[found.held_back]
    assert np.array_equal(found.validation[0], kept)
    other = federation(small(tmp_path, f"validation={HELD_BACK}"))
    assert np.array_equal(other.held_back, found.held_back)
    seeded = federation(small(tmp_path, f"validation={HELD_BACK}", "seeds=[2]"))
    assert not np.array_equal(seeded.held_back, found.held_back)


def test_without_validation_all_images_are_dealt_as_ever(tmp_path):
    """The parts of a config that holds nothing back are those of the partitioner, to the index."""
    found = federation(small(tmp_path))
    assert not len(found.held_back)
    assert sum(map(len, found.parts)) == len(found.dataset.train_y)
    assert [int(part[:50].sum()) for part in found.parts] == DEALT


@pytest.mark.parametrize("images", [1437, 10**6])
def test_something_has_to_be_left_to_train_on(tmp_path, images):
    """All training images for validation, or more than there are, are refused in a sentence."""
    with pytest.raises(ConfigError, match=f"validation = {images}.*has 1437 training images"):
        federation(small(tmp_path, f"validation={images}"))


def test_too_few_left_for_the_clients_are_refused(tmp_path):
    """What is left is dealt by the partitioner, which refuses fewer samples than clients."""
    with pytest.raises(ConfigError, match="6 samples cannot be dealt to 7 clients"):
        federation(small(tmp_path, "validation=1431"))


def test_the_global_model_is_measured_on_both(finished):
    """The final model's accuracy on images that nobody trained on stands beside the test's."""
    assert finished.passed
    for cell in finished.cells:
        found, result = federation(finished.config), finished.results[cell.id]
        model = found.initial_model()
        set_arrays(model, last_of(finished, cell))
        validation, test = accuracies(found, model)
        assert result.validation == validation
        assert result.accuracy == pytest.approx(test, abs=1e-6)  # the ledger's are millionths


def last_of(result, cell):
    found = federation(result.config)
    layout = Layout.from_arrays(read_record(get_arrays(found.initial_model())))
    with open_store(f"file://{result.directory}/store") as store:
        return to_record(model_of(store, result.results[cell.id].model, layout))


def test_a_trainer_is_measured_after_its_own_epochs_on_the_last_model(finished):
    """Each trains the last global model on its own part and no other, as long as was asked."""
    found = federation(finished.config)
    for cell in finished.cells:
        arrays, each = last_of(finished, cell), finished.results[cell.id].trainers.each
        assert len(each) == 7
        for client, ours in enumerate(each):
            model = found.initial_model()
            set_arrays(model, arrays)
            images, labels = found.client_data(client)
            generator = torch.Generator().manual_seed(found.batch_seed(3, client))
            with reproducible():
                train(model, images, labels, epochs=2, batch_size=50, lr=0.1, generator=generator)
            assert accuracies(found, model) == (ours.validation, ours.test)
        assert len({one.test for one in each}) > 1


def test_alone_and_on_all_data_models_train_as_long_as_the_federation(finished):
    """Both are near what the same number of steps on the same data reach with other batches."""
    found = federation(finished.config)
    first, second = (finished.results[cell.id].trainers for cell in finished.cells)
    assert (first.alone, first.full) == (second.alone, second.full)  # no approach is in them
    for client, ours in enumerate(first.alone):
        test = trained(found, *found.client_data(client), steps=14)[1]
        assert ours.test == pytest.approx(test, abs=0.15)
    parts = np.concatenate(found.parts)
    everything = found.dataset.train_x[parts], found.dataset.train_y[parts]
    assert first.full.test == pytest.approx(trained(found, *everything, steps=14)[1], abs=0.15)


def test_every_form_of_the_results_has_the_trainers(finished):
    """results.json, results.csv, trainers.csv and both tables; JSON has the numbers themselves."""
    folder = finished.directory
    written = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for cell, plain, row in zip(finished.cells, written["cells"], written["rows"], strict=True):
        known = finished.results[cell.id]
        assert plain["trainers"] == known.trainers.model_dump(mode="json")
        assert row["validation"] == known.validation
    lines = (folder / "trainers.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * (7 + 1 + 7 + 1)
    assert "## Trainers" in (folder / "table.md").read_text(encoding="utf-8")
    assert "single set" in (folder / "table.tex").read_text(encoding="utf-8")


def test_a_resumed_run_measures_the_same(finished):
    """What a cell's file said is found again when the file is gone: nothing of it is random."""
    for cell in finished.cells:
        (finished.directory / "cells" / f"{cell.id}.json").unlink()
    again = run_experiment(
        finished.config, resume=finished.directory, out=None, progress=False
    ).results
    for cell, known in finished.results.items():
        assert again[cell].trainers == known.trainers
        assert again[cell].validation == known.validation


def test_a_config_without_trainers_has_nothing_of_them(tmp_path):
    """No key, no file and no line: other experiments' results are what they were."""
    changes = ("attacks=['none']", "malicious=[]", "rounds=1")
    result = run_experiment(small(tmp_path, *changes), out=tmp_path, progress=False)
    written = json.loads((result.directory / "results.json").read_text(encoding="utf-8"))
    assert "trainers" not in written["cells"][0]
    assert "validation" not in written["rows"][0]
    assert not (result.directory / "trainers.csv").exists()
    assert "rainer" not in (result.directory / "table.md").read_text(encoding="utf-8")
