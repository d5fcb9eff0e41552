"""GTSRB: 39,270 real colour photographs of 43 German traffic signs, by torchvision.

Stallkamp, Schlipsing, Salmen and Igel, "Man vs. computer", 2012. The split is that of torchvision:
26,640 for training and 12,630 for the test. It needs torchvision and an open network.

The photographs are of many sizes (15 to 250 pixels a side). Each is resized to 32x32 RGB by
Pillow's bilinear filter, as the traffic lights are. torchvision's MD5 is all that is known to pin
the archives with.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Dataset
from .cache import Pixels
from .download import Progress
from .source import Source, spread
from .torchvision_bridge import download_with_torchvision

__all__ = ["SOURCE", "load"]

_ARCHIVES = {
    "GTSRB-Training_fixed.zip": None,
    "GTSRB_Final_Test_Images.zip": None,
    "GTSRB_Final_Test_GT.zip": None,
}
_CLASSES = 43
_SIDE = 32


def load(cache: Path) -> Dataset:
    """Return the photographs; classes are numbered as the benchmark numbers them."""
    return SOURCE.load(cache)


def _make(folder: Path, progress: Progress) -> Pixels:
    return download_with_torchvision("gtsrb", folder, _ARCHIVES, _read, progress)


def _read(datasets: Any, folder: Path) -> Pixels:
    return Pixels(*_part(datasets, folder, "train"), *_part(datasets, folder, "test"))


def _part(datasets: Any, folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    from PIL import Image  # noqa: PLC0415 - only where photographs are converted

    def small(photograph: Image.Image) -> NDArray[np.uint8]:
        resized = photograph.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        return np.asarray(resized).transpose(2, 0, 1)

    part = datasets.GTSRB(folder, split=split, transform=small, download=True)
    pairs = [part[index] for index in range(len(part))]
    labels = np.array([label for _, label in pairs], dtype=np.uint8)
    order = spread(labels)
    return np.stack([image for image, _ in pairs])[order], labels[order]


SOURCE = Source(
    name="gtsrb",
    version=1,
    classes=tuple(str(number) for number in range(_CLASSES)),
    shape=(3, _SIDE, _SIDE),
    train=26_640,
    test=12_630,
    origin="torchvision.datasets.GTSRB",
    licence="none stated",
    make=_make,
)
