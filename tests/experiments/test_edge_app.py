"""The app of docs/edge.md: its data and its models; the page's test runs it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.apps.edge.edge import server_app, task


def test_the_digits_are_the_ones_of_scikit_learn():
    """A device needs no scikit-learn for them."""
    images, labels = task._digits()
    told = load_digits()
    assert np.array_equal(images * 16, told.data)
    assert np.array_equal(labels, told.target)


def test_no_two_devices_and_no_device_and_the_server_have_one_image():
    """1,437 images are dealt to ten devices, 360 stay with the server."""
    parts = [task.load(number, 10) for number in range(10)]
    assert sum(len(labels) for _, labels in parts) == 1437
    assert len(task.load_test()[1]) == 360
    everything = np.concatenate([*(labels for _, labels in parts), task.load_test()[1]])
    assert sorted(everything) == sorted(load_digits().target)
    with pytest.raises(ConfigError, match="has to be 0 to 9"):
        task.load(10, 10)


@pytest.mark.parametrize(("name", "rate"), [("softmax", 0.2), ("mlp", 0.1)])
def test_a_model_learns_and_training_again_gives_the_same_bits(name, rate):
    """With numpy alone, or with torch: the arrays keep names, shapes and dtypes."""
    begun = task.new_model(name)
    before = {key: one.copy() for key, one in begun.items()}
    images, labels = task.load(0, 4)
    how = {"epochs": 20, "batch_size": 16, "lr": rate, "seed": 5}
    model = task.train(begun, images, labels, **how)
    again = task.train(begun, images, labels, **how)
    assert task.measured(model, *task.load_test())[1] > 0.75
    for key, one in begun.items():
        assert np.array_equal(one, before[key]), "the global model stays as it is"
        assert np.array_equal(model[key], again[key])
        assert model[key].shape == one.shape
        assert model[key].dtype == one.dtype == np.dtype(np.float32)


def test_a_run_config_that_makes_no_sense_is_refused():
    """Before a task is proposed, in a sentence."""
    with pytest.raises(ConfigError, match="the addresses of the devices' accounts"):
        server_app.strategy_of({"clients": " ", "window": 1.0}, None, None, None)
    with pytest.raises(ConfigError, match="one of softmax, mlp"):
        task.new_model("cnn")
    with pytest.raises(UnknownNameError, match="did you mean 'fedavg'"):
        server_app.check_strategy("fedavgg")
