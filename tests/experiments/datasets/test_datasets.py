import numpy as np
import pytest
from sklearn.datasets import load_digits

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.datasets import DATASETS, Dataset, cache_folder, load_dataset


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_digits_are_the_real_images(digits):
    """All 1,797 images of scikit-learn are there once, scaled to 0..1, with their own labels."""
    raw = load_digits()
    assert (len(digits.train_x), len(digits.test_x)) == (1437, 360)
    both = np.concatenate([digits.train_x, digits.test_x])
    labels = np.concatenate([digits.train_y, digits.test_y])
    ours = sorted((image.tobytes(), label) for image, label in zip(both, labels, strict=True))
    theirs = sorted(
        ((image / 16).astype(np.float32).tobytes(), label)
        for image, label in zip(raw.images, raw.target, strict=True)
    )
    assert ours == theirs


def test_the_split_is_fixed_and_fair(digits):
    """Every load splits the same way, with about equal shares of each digit."""
    again = load_dataset("digits")
    assert np.array_equal(digits.test_x, again.test_x)
    assert np.array_equal(digits.test_y, again.test_y)
    counts = np.bincount(digits.test_y)
    assert counts.min() >= 34
    assert counts.max() <= 38


def test_a_data_set_cannot_be_changed(digits):
    """Arrays are shared by all clients of a process: writing into them raises."""
    for array in (digits.train_x, digits.train_y, digits.test_x, digits.test_y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def arrays(**changes):
    values = {
        "train_x": np.zeros((4, 1, 2, 2), dtype=np.float32),
        "train_y": np.arange(4) % 2,
        "test_x": np.zeros((2, 1, 2, 2), dtype=np.float32),
        "test_y": np.zeros(2, dtype=np.int64),
    }
    return values | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_x": np.zeros((4, 1, 2, 2))}, "float32"),
        ({"train_y": np.zeros(4, dtype=np.int32)}, "int64"),
        ({"train_y": np.zeros(3, dtype=np.int64)}, "images for"),
        ({"test_y": np.full(2, 2)}, "labels must lie"),
        ({"test_y": np.full(2, -1)}, "labels must lie"),
        ({"test_x": np.full((2, 1, 2, 2), 16, dtype=np.float32)}, "pixels must lie"),
        ({"test_x": np.full((2, 1, 2, 2), np.nan, dtype=np.float32)}, "pixels must lie"),
        ({"train_x": np.zeros((4, 2, 2), dtype=np.float32)}, "images for"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, said):
    """A loader that gets dtype, shape or range wrong fails at once, not in training."""
    with pytest.raises(ConfigError, match=said):
        Dataset("made up", **arrays(**changes), classes=2, shape=(1, 2, 2))


def test_an_unknown_data_set_is_named_with_the_nearest():
    """A misspelt data set is an error that names the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        load_dataset("digit")
    assert "digits" in DATASETS.names()


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    """$FEDLEDGER_CACHE says where fetched data is kept."""
    monkeypatch.setenv("FEDLEDGER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FEDLEDGER_CACHE")
    assert cache_folder().name == "fedledger"
