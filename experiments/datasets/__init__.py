"""Data sets behind one interface: `load_dataset("digits")`.

A data set is one file with a function `load(cache)` and one line in `DATASETS`. One that must be
fetched has a `SOURCE` as well, and a line in `SOURCES`; `fedledger data fetch NAME` fetches it.
"""

from pathlib import Path

from fedledger.errors import ConfigError
from fedledger.registry import Registry

from .base import Dataset
from .cache import cache_folder
from .download import Progress
from .source import Source
from .status import DatasetStatus, status_of

__all__ = [
    "DATASETS",
    "SOURCES",
    "Dataset",
    "DatasetStatus",
    "Source",
    "cache_folder",
    "dataset_statuses",
    "fetch_dataset",
    "load_dataset",
    "require_dataset",
]

_FETCHED = ("traffic_lights", "mnist_digits", "fashion_mnist", "mnist", "cifar10", "gtsrb")

DATASETS = Registry(
    "data set",
    {name: f"{__name__}.{name}:load" for name in ("digits", *_FETCHED)},
    group="fedledger.datasets",
)
"""Name to a function `load(cache: Path) -> Dataset`."""

SOURCES = Registry(
    "fetched data set",
    {name: f"{__name__}.{name}:SOURCE" for name in _FETCHED},
    group="fedledger.dataset_sources",
    wanted=lambda found: isinstance(found, Source),
)
"""Name to the `Source` of a data set that must be fetched; the others come with a package."""


def load_dataset(name: str, cache: Path | None = None) -> Dataset:
    """Return a data set, split into training and test images.

    Args:
        name: a registered name.
        cache: folder of fetched data (default: `cache_folder()`).

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: the data or a package it needs is missing; says how to get it.
        DataError: the cached copy is damaged; says how to get another.
    """
    dataset: Dataset = DATASETS.load(name)(cache or cache_folder())
    return dataset


def require_dataset(name: str, cache: Path | None = None) -> None:
    """Check that a data set was fetched, without reading it; for configs, before anything runs.

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: the data is missing; gives the command that fetches it.
    """
    DATASETS.load(name)
    source = _source(name)
    if source is not None:
        source.require(cache or cache_folder())


def fetch_dataset(
    name: str, cache: Path | None = None, progress: Progress = lambda _: None
) -> DatasetStatus:
    """Fetch a data set into a cache, unless it is there or comes with a package.

    Args:
        name: a registered name.
        cache: folder of fetched data (default: `cache_folder()`).
        progress: is told each step in words.

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: it needs a package that is not installed.
        DataError: it cannot be fetched; what was cached before is left as it was.
    """
    DATASETS.load(name)
    source, folder = _source(name), cache or cache_folder()
    if source is not None:
        source.fetch(folder, progress)
    return status_of(name, source, folder)


def dataset_statuses(cache: Path | None = None) -> list[DatasetStatus]:
    """Return every data set's state in a cache, by name; verifies the cached files."""
    folder = cache or cache_folder()
    found = []
    for name in DATASETS.names():
        try:
            source = _source(name)
        except ConfigError:  # of a package that is broken; whoever uses it is told
            found.append(DatasetStatus(name, "not available"))
        else:
            found.append(status_of(name, source, folder))
    return found


def _source(name: str) -> Source | None:
    source: Source | None = SOURCES.load(name) if name in SOURCES.names() else None
    return source
