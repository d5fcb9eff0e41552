import numpy as np
import pytest

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.adversary.attacks import ATTACKS, DataPoisoning, load_attack
from fedledger.experiments.config.choices import Choice

IMAGES = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)


def flip(labels, classes, **parameters):
    attack = load_attack(Choice(name="label_flip", parameters=parameters))
    assert isinstance(attack, DataPoisoning)
    images, flipped = attack.poison(IMAGES, np.array(labels), classes=classes)
    assert np.array_equal(images, IMAGES)
    assert flipped.dtype == np.int64
    return flipped.tolist()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_symmetric_flip_is_its_papers_equation(classes):
    """Label l becomes L-1-l (Fang et al., 2020), for every l; flipping twice changes nothing."""
    labels = list(range(classes))
    assert flip(labels, classes) == [classes - 1 - label for label in labels]
    assert flip(flip(labels, classes), classes) == labels


def test_the_targeted_flip_changes_one_class_alone():
    """Every green light becomes red, and nothing else changes (Bift, section VI-B)."""
    assert flip([0, 1, 2, 1, 0], 3, source=1, target=0) == [0, 0, 2, 0, 0]


def test_the_clients_own_labels_stay():
    """Poisoning gives new labels; the data set is shared and untouched."""
    labels = np.array([0, 1, 2])
    for parameters in ({}, {"source": 1, "target": 0}):
        attack = load_attack(Choice(name="label_flip", parameters=parameters))
        assert isinstance(attack, DataPoisoning)
        attack.poison(IMAGES, labels, classes=3)
        assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "parameters",
    [{"source": 1}, {"target": 1}, {"source": 1, "target": 1}, {"source": -1, "target": 0}],
)
def test_half_a_flip_is_refused(parameters):
    """Source and target come together, differ, and are classes."""
    with pytest.raises(ConfigError, match="label_flip"):
        load_attack(Choice(name="label_flip", parameters=parameters))


def test_a_class_the_data_does_not_have_is_refused():
    """Flipping class 3 of three classes is an error, not a silent no-op."""
    with pytest.raises(ConfigError, match="number of classes"):
        flip([0, 1, 2], 3, source=3, target=0)


def test_names_and_parameters_are_checked():
    """An unknown attack or parameter is refused, with the nearest name."""
    with pytest.raises(UnknownNameError, match="did you mean 'label_flip'"):
        load_attack(Choice(name="labelflip"))
    with pytest.raises(UnknownNameError, match="did you mean 'target'"):
        load_attack(Choice(name="label_flip", parameters={"source": 1, "targt": 0}))
    with pytest.raises(ConfigError, match="source"):
        load_attack(Choice(name="label_flip", parameters={"source": "green", "target": 0}))
    assert {"label_flip", "none"} <= set(ATTACKS.names())
