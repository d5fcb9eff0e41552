"""scikit-learn's handwritten digits: 1,797 real 8x8 grey images, part of the package itself.

They are the test set of the UCI "Optical Recognition of Handwritten Digits" data (Alpaydin and
Kaynak, 1998). 1,437 are for training and 360 for the test, drawn once with equal shares of each
digit; the draw is part of the data set, not of an experiment's seed.
"""

from pathlib import Path

import numpy as np

from fedledger.registry import check_installed

from .base import Dataset

__all__ = ["load"]

_SPLIT = 0


def load(cache: Path) -> Dataset:  # noqa: ARG001 - nothing to fetch, nothing to keep
    """Return the digits, pixels scaled from 0..16 to 0..1.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    check_installed("data set 'digits'", "experiments", "sklearn")
    from sklearn.datasets import load_digits  # noqa: PLC0415 - one second, only when asked for
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - the same

    raw = load_digits()
    images = (raw.images[:, np.newaxis] / 16).astype(np.float32)
    labels = raw.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=0.2, random_state=_SPLIT, stratify=labels
    )
    return Dataset("digits", train_x, train_y, test_x, test_y, classes=10, shape=(1, 8, 8))
