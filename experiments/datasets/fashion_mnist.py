"""Fashion-MNIST: 70,000 real 28x28 grey photographs of ten kinds of clothes.

They are Zalando's (Xiao, Rasul and Vollgraf, 2017; MIT), in MNIST's IDX format, as Debian packages
them: `dataset-fashion-mnist`. If that package is installed, its files are read where they are; else
`apt-get download` and `dpkg-deb` unpack it into the cache, for which nobody needs to be root. What
is pinned are the four files' uncompressed bytes, so that any version of the package will do.

The split is the authors': 60,000 for training, 10,000 for the test.
"""

import gzip
import hashlib
import shutil
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import DataError

from .base import Dataset
from .cache import Pixels
from .download import Progress, apt_download, obtain, run_client
from .idx import parse_idx
from .source import Source

__all__ = ["SOURCE", "load"]

_PACKAGE = "dataset-fashion-mnist"
_FOLDER = Path("usr/share/datasets/fashion-mnist")
_ROOT = Path("/")
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def load(cache: Path) -> Dataset:
    """Return the photographs; the classes are in `SOURCE.classes`."""
    return SOURCE.load(cache)


def _make(folder: Path, progress: Progress) -> Pixels:
    files = _ROOT / _FOLDER
    if files.is_dir():
        progress(f"fashion_mnist: reading the installed package in {files}")
        return _read(files)
    progress(f"fashion_mnist: downloading {_PACKAGE} with apt-get (31 MB)")
    package = obtain(folder, f"{_PACKAGE}_*.deb", None, apt_download(_PACKAGE))
    progress("fashion_mnist: unpacking")
    unpacked = folder / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)  # a killed fetch may have left half of it
    try:
        run_client(["dpkg-deb", "-x", str(package), str(unpacked)], folder, hint="damaged file?")
        return _read(unpacked / _FOLDER)
    except DataError:
        package.unlink()  # the next fetch downloads it anew
        raise


def _read(files: Path) -> Pixels:
    images = [_idx(files / f"{part}-images-idx3-ubyte", 3)[:, None] for part in ("train", "t10k")]
    labels = [_idx(files / f"{part}-labels-idx1-ubyte", 1) for part in ("train", "t10k")]
    return Pixels(images[0], labels[0], images[1], labels[1])


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    packed = path.with_name(f"{path.name}.gz")
    try:
        content = gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed.name} cannot be read: {error}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != _SHA256[path.name]:
        raise DataError(
            f"checksum mismatch: {path.name} has SHA-256 {actual}, expected {_SHA256[path.name]}; "
            "nothing was kept"
        )
    return parse_idx(content, dimensions)


SOURCE = Source(
    name="fashion_mnist",
    version=1,
    classes=_CLASSES,
    shape=(1, 28, 28),
    train=60_000,
    test=10_000,
    origin="Debian, dataset-fashion-mnist",
    licence="MIT",
    make=_make,
)
