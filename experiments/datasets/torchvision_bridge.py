"""torchvision's data sets, and the one place that knows how to import torchvision.

PyPI's torchvision is compiled for the CUDA build of torch. Beside a CPU build its compiled part
does not load, and the import then fails with "operator torchvision::nms does not exist", because
torchvision describes two operators in Python that only the compiled part declares. Declaring their
schemas first is enough: data sets, transforms and models work, and the two operators (non-maximum
suppression, for object detection) stay without an implementation.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fedledger.errors import ConfigError, DataError

from .cache import Pixels
from .download import Progress, sha256_of

__all__ = ["download_with_torchvision", "import_torchvision"]

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[Any] = []
"""Declarations last as long as these objects do."""


def import_torchvision() -> Any:
    """Return the module `torchvision`, also beside a CPU build of torch; takes seconds.

    Raises:
        ConfigError: torchvision or torch is not installed.
    """
    with warnings.catch_warnings():
        # Where the compiled part is missing, reading images with it is too; Pillow reads them here.
        warnings.filterwarnings("ignore", message="Failed to load image Python extension")
        try:
            return import_module("torchvision")
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"this data set needs {error.name!r}: pip install 'fedledger[vision]'"
            ) from error
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise
            _declare_operators()
            return import_module("torchvision")


def _declare_operators() -> None:
    library = import_module("torch.library").Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS.values():
        library.define(schema)
    _libraries.append(library)


def download_with_torchvision(
    name: str,
    folder: Path,
    archives: Mapping[str, str | None],
    read: Callable[[Any, Path], Pixels],
    progress: Progress,
) -> Pixels:
    """Return what torchvision's own downloader brings.

    torchvision compares each archive's MD5 before it unpacks anything. That keeps others from
    slipping in another file, but not those who made the file; where its SHA-256 is known, it is
    compared too.

    Args:
        name: of the data set.
        folder: where torchvision puts archives and what it unpacks.
        archives: file name of each archive to its SHA-256 as hex digits, or None if nobody
            published one.
        read: `(torchvision.datasets, folder) -> Pixels`; downloads and reads.
        progress: is told each step.

    Raises:
        ConfigError: torchvision or torch is not installed.
        DataError: the download failed, or a checksum differs.
    """
    datasets = import_torchvision().datasets
    _keep_only(folder, archives)
    progress(f"{name}: downloading with torchvision")
    try:
        pixels = read(datasets, folder)
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"torchvision could not bring it (is there a network?): {said}") from error
    for archive, expected in archives.items():
        found = next(folder.rglob(archive), None)
        actual = sha256_of(found) if found is not None else "none: it is not there"
        if found is None or actual != (expected or actual):
            if found is not None:
                found.unlink()
            raise DataError(
                f"checksum mismatch: {archive} has SHA-256 {actual}, expected {expected}; "
                "nothing was kept"
            )
    return pixels


def _keep_only(folder: Path, archives: Mapping[str, str | None]) -> None:
    """Remove all but the archives: torchvision would take half-unpacked files for whole ones."""
    for where, folders, files in os.walk(folder, topdown=False):
        for file in files:
            if file not in archives:
                (Path(where) / file).unlink()
        for inside in folders:
            path = Path(where) / inside
            if not any(path.iterdir()):
                path.rmdir()
