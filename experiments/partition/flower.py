"""Partitioners of the package `flwr-datasets`, for our data sets.

Such a partitioner is an object with a `dataset` to set once, `num_partitions` and
`load_partition(i)`. Here it is given a table of labels and row numbers, no images; the row numbers
in what it returns are the partition. flwr-datasets itself is not needed by anything else, and not
by partitioners of other packages that follow the same protocol.
"""

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.formats import parse_json

__all__ = ["FlowerPartitioner", "flower", "partition_with"]

_ROW = "fedledger-row"
_PACKAGE = "flwr_datasets.partitioner"
_SEEDS = 2**31


class FlowerPartitioner(Protocol):
    """What a partitioner must offer; `dataset` is set once and need not be readable."""

    dataset: Any

    @property
    def num_partitions(self) -> int:
        """Number of partitions."""

    def load_partition(self, partition_id: int) -> Any:
        """Return the rows of one partition, from which a column can be had by its name."""


class _Table:
    """Columns with just the reading part of the interface of `datasets.Dataset`."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self._columns = dict(columns)

    @property
    def column_names(self) -> list[str]:
        return list(self._columns)

    @property
    def num_rows(self) -> int:
        return len(self._columns[_ROW])

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, column: str) -> list[Any]:
        return list(self._columns[column])

    def unique(self, column: str) -> list[Any]:
        return list(dict.fromkeys(self._columns[column]))

    def select(self, rows: Sequence[int]) -> "_Table":
        return _Table({name: [c[row] for row in rows] for name, c in self._columns.items()})


def partition_with(
    partitioner: FlowerPartitioner, labels: NDArray[np.int64], *, column: str = "label"
) -> list[NDArray[np.int64]]:
    """Return how a partitioner deals samples: one ascending (k,) array of indices a client.

    Args:
        partitioner: a fresh one; its `dataset` is set here. It gets a `datasets.Dataset` where that
            package is installed, else a small table with the same columns.
        labels: (n,) labels.
        column: what the partitioner calls the labels.

    Raises:
        ConfigError: the partitioner refuses the data, deals a sample twice or one that does not
            exist, or leaves a client without. Samples that nobody gets are allowed.
    """
    name = type(partitioner).__name__
    try:
        partitioner.dataset = _table({_ROW: range(len(labels)), column: labels.tolist()})
        count = partitioner.num_partitions
        parts = [
            np.sort(np.asarray(partitioner.load_partition(client)[_ROW], dtype=np.int64))
            for client in range(count)
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"partitioner {name}: {error}") from error
    for client, part in enumerate(parts):
        if not len(part):
            raise ConfigError(f"partitioner {name} leaves client {client} without samples")
    dealt = np.concatenate(parts)
    if dealt.min() < 0 or dealt.max() >= len(labels) or len(np.unique(dealt)) < len(dealt):
        raise ConfigError(f"partitioner {name} deals a sample twice, or one that does not exist")
    return parts


def flower(
    labels: NDArray[np.int64],
    clients: int,
    rng: np.random.Generator,
    *,
    partitioner: str,
    arguments: str = "{}",
) -> list[NDArray[np.int64]]:
    """Deal with a partitioner of flwr-datasets, or of another package (PACKAGE.MODULE:CLASS).

    Example: `{ name = "flower", partitioner = "DirichletPartitioner", arguments = '{"alpha": 1}' }`

    What the partitioner takes among `num_partitions`, `partition_by` and `seed` is given to it
    unless `arguments` says otherwise: the number of clients, "label" and a seed drawn from `rng`.
    Some take no seed, such as IidPartitioner, which deals contiguous stretches; therefore samples
    come to every partitioner in an order drawn from `rng`.

    Args:
        labels: (n,) labels.
        clients: number of clients.
        rng: random generator.
        partitioner: name of the class.
        arguments: further keyword arguments of the class, as a JSON object.

    Raises:
        UnknownNameError: flwr-datasets has no such partitioner.
        ConfigError: the package is not installed, or the arguments do not fit.
    """
    found = _class(partitioner)
    given = _arguments(arguments)
    accepted = inspect.signature(found).parameters
    defaults = {"num_partitions": clients, "partition_by": "label"}
    order = rng.permutation(len(labels))
    defaults["seed"] = int(rng.integers(_SEEDS))
    try:
        made = found(**{k: v for k, v in defaults.items() if k in accepted} | given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"partitioner {partitioner}: {error}") from error
    parts = partition_with(made, labels[order])
    if len(parts) != clients:
        raise ConfigError(
            f"partitioner {partitioner} makes {len(parts)} parts for {clients} clients"
        )
    return [np.sort(order[part]) for part in parts]


def _class(partitioner: str) -> Any:
    module, separator, name = partitioner.rpartition(":")
    try:
        home = import_module(module if separator else _PACKAGE)
    except ModuleNotFoundError as error:
        wanted = "flwr-datasets" if not separator else str(error.name)
        raise ConfigError(f"partitioner {partitioner!r} needs: pip install {wanted}") from error
    if not hasattr(home, name):
        known = [other for other in dir(home) if other.endswith("Partitioner")]
        raise UnknownNameError("partitioner", name, known)
    return getattr(home, name)


def _arguments(text: str) -> dict[str, Any]:
    try:
        given = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"partition 'flower': arguments are not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError("partition 'flower': arguments must be a JSON object")
    return given


def _table(columns: Mapping[str, Sequence[Any]]) -> Any:
    try:
        datasets = import_module("datasets")  # comes with flwr-datasets, or not at all
    except ModuleNotFoundError:
        return _Table(columns)
    return datasets.Dataset.from_dict({name: list(column) for name, column in columns.items()})
