from itertools import chain

import numpy as np
import pytest
import torch

from fedledger.arrays import Layout
from fedledger.clients.training import evaluate, get_arrays, set_arrays, train
from fedledger.errors import ConfigError, ModelError, UnknownNameError
from fedledger.experiments.config.choices import Choice
from fedledger.experiments.models import MODELS, build_model

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 48)]


def weights(model):
    return {key: array.numpy() for key, array in get_arrays(model).items()}


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["softmax", "mlp", "cnn"])
def test_a_model_gives_a_score_for_each_class(name, shape):
    """Every model takes grey images and photographs of any of the sizes the data sets have."""
    model = build_model(Choice(name=name), shape, 7, seed=1)
    assert model(torch.zeros(5, *shape)).shape == (5, 7)
    Layout.from_arrays(weights(model))


def test_initial_weights_follow_from_the_seed_alone():
    """The same seed gives the same weights; the process's own random state counts for nothing."""
    torch.manual_seed(1)
    first = weights(build_model(Choice(name="cnn"), (1, 8, 8), 10, seed=3))
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = weights(build_model(Choice(name="cnn"), (1, 8, 8), 10, seed=3))
    assert torch.equal(state, torch.random.get_rng_state())
    assert same(first, second)
    assert not same(first, weights(build_model(Choice(name="cnn"), (1, 8, 8), 10, seed=4)))


def test_names_and_parameters_are_checked():
    """An unknown model, parameter or value is refused, with the nearest name."""
    with pytest.raises(UnknownNameError, match="did you mean 'cnn'"):
        build_model(Choice(name="cn"), (1, 8, 8), 10, seed=1)
    with pytest.raises(UnknownNameError, match="did you mean 'hidden'"):
        build_model(Choice(name="mlp", parameters={"hiden": 3}), (1, 8, 8), 10, seed=1)
    with pytest.raises(ConfigError, match="hidden"):
        build_model(Choice(name="mlp", parameters={"hidden": 0}), (1, 8, 8), 10, seed=1)
    with pytest.raises(ConfigError, match="4x4"):
        build_model(Choice(name="cnn"), (1, 3, 8), 10, seed=1)
    assert {"cnn", "mlp", "softmax"} <= set(MODELS.names())


def batch(n=40):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, size=n)
    images = rng.random((n, 1, 8, 8), dtype=np.float32) / 4
    images[np.arange(n), 0, labels, labels] = 1
    return images, labels


def test_training_again_gives_the_same_bits():
    """The same generator state gives the same weights; another one gives others."""
    images, labels = batch()
    runs = []
    for seed in (5, 5, 6):
        model = build_model(Choice(name="cnn"), (1, 8, 8), 3, seed=1)
        generator = torch.Generator().manual_seed(seed)
        train(model, images, labels, epochs=2, batch_size=8, lr=0.1, generator=generator)
        runs.append(weights(model))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize(("steps", "epochs"), [(10, 2), (5, 1)])
def test_the_steps_of_whole_epochs_are_those_epochs(steps, epochs):
    """40 samples in batches of 8: 5 steps are an epoch, to the bit, whatever `epochs` says."""
    images, labels = batch()
    runs = []
    for options in ({"epochs": epochs}, {"epochs": 7, "steps": steps}):
        model = build_model(Choice(name="mlp"), (1, 8, 8), 3, seed=1)
        generator = torch.Generator().manual_seed(5)
        said = train(model, images, labels, batch_size=8, lr=0.1, generator=generator, **options)
        runs.append((said, weights(model)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])


def test_steps_see_every_sample_before_one_comes_again():
    """7 steps of 8 among 40 samples are a pass, and then 16 samples of another order."""

    class Noting(torch.nn.Linear):
        def forward(self, inputs):
            seen.append([int(one) for one in inputs[:, 0]])
            return super().forward(inputs)

    seen = []
    images = np.arange(40, dtype=np.float32)[:, None]
    generator = torch.Generator().manual_seed(1)
    options = {"epochs": 1, "steps": 7, "batch_size": 8, "lr": 1e-6}
    labels = np.zeros(40, np.int64)
    loss, _ = train(Noting(1, 2), images, labels, generator=generator, **options)
    assert [len(one) for one in seen] == [8] * 7
    assert sorted(chain(*seen[:5])) == list(range(40))
    assert len(set(chain(*seen[5:]))) == 16
    assert seen[5:] != seen[:2]
    assert np.isfinite(loss)


def test_training_learns_and_evaluation_says_so():
    """Loss falls and accuracy rises to what a separable problem allows."""
    images, labels = batch()
    model = build_model(Choice(name="mlp"), (1, 8, 8), 3, seed=1)
    loss, accuracy = evaluate(model, images, labels)
    last, seen = train(
        model, images, labels, epochs=60, batch_size=8, lr=0.2, generator=torch.Generator()
    )
    after, right = evaluate(model, images, labels)
    assert after < loss / 3
    assert last < loss
    assert accuracy < seen <= 1
    assert right > max(accuracy, 0.95)


def test_arrays_round_trip_and_are_checked():
    """Weights survive a message, and arrays of another model are refused."""
    model = build_model(Choice(name="mlp"), (1, 8, 8), 3, seed=1)
    other = build_model(Choice(name="mlp"), (1, 8, 8), 3, seed=2)
    set_arrays(other, get_arrays(model))
    assert same(weights(model), weights(other))
    with pytest.raises(ModelError):
        set_arrays(other, get_arrays(build_model(Choice(name="softmax"), (1, 8, 8), 3, seed=1)))


def test_a_part_that_the_loss_does_not_reach_stays_as_it_is():
    """A model may have weights that its scores do not depend on, as one with a second head has."""

    class TwoHeads(torch.nn.Linear):
        def __init__(self):
            super().__init__(4, 2)
            self.other = torch.nn.Linear(4, 3)

    model = TwoHeads()
    before = weights(model)
    images, labels = np.ones((6, 4), np.float32), np.zeros(6, np.int64)
    generator = torch.Generator().manual_seed(1)
    train(model, images, labels, epochs=1, batch_size=3, lr=0.1, generator=generator)
    after = weights(model)
    assert not np.array_equal(before["weight"], after["weight"])
    assert np.array_equal(before["other.weight"], after["other.weight"])
