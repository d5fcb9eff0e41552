"""MNIST: 70,000 real 28x28 grey images of handwritten digits, by torchvision's downloader.

LeCun, Cortes and Burges, 1998; the authors' split, 60,000 for training and 10,000 for the test. It
needs torchvision and an open network; where only package registries can be reached, `mnist_digits`
has 10,000 of the same images.
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
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


def load(cache: Path) -> Dataset:
    """Return the digits; class l is the digit l."""
    return SOURCE.load(cache)


def _make(folder: Path, progress: Progress) -> Pixels:
    return download_with_torchvision("mnist", folder, _ARCHIVES, _read, progress)


def _read(datasets: Any, folder: Path) -> Pixels:
    return Pixels(*_part(datasets, folder, train=True), *_part(datasets, folder, train=False))


def _part(
    datasets: Any, folder: Path, *, train: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    part = datasets.MNIST(folder, train=train, download=True)
    return part.data.numpy()[:, np.newaxis], part.targets.numpy().astype(np.uint8)


SOURCE = Source(
    name="mnist",
    version=1,
    classes=tuple("0123456789"),
    shape=(1, 28, 28),
    train=60_000,
    test=10_000,
    origin="torchvision.datasets.MNIST",
    licence="none stated",
    make=_make,
)
