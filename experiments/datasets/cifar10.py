"""CIFAR-10: 60,000 real 32x32 colour photographs of ten kinds of things, by torchvision.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the author's split,
50,000 for training and 10,000 for the test. It needs torchvision and an open network.

Its files are Python pickles, which torchvision reads after comparing their MD5. What is cached here
holds arrays only.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Dataset
from .cache import Pixels
from .download import Progress
from .source import Source
from .torchvision_bridge import download_with_torchvision

__all__ = ["SOURCE", "load"]

_ARCHIVES = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
}
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load(cache: Path) -> Dataset:
    """Return the photographs; the classes are in `SOURCE.classes`."""
    return SOURCE.load(cache)


def _make(folder: Path, progress: Progress) -> Pixels:
    return download_with_torchvision("cifar10", folder, _ARCHIVES, _read, progress)


def _read(datasets: Any, folder: Path) -> Pixels:
    return Pixels(*_part(datasets, folder, train=True), *_part(datasets, folder, train=False))


def _part(
    datasets: Any, folder: Path, *, train: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    part = datasets.CIFAR10(folder, train=train, download=True)
    images = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))  # height, width, channel there
    return images, np.array(part.targets, dtype=np.uint8)


SOURCE = Source(
    name="cifar10",
    version=1,
    classes=_CLASSES,
    shape=(3, 32, 32),
    train=50_000,
    test=10_000,
    origin="torchvision.datasets.CIFAR10",
    licence="none stated",
    make=_make,
)
