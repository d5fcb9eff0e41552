"""The partitioners that come with the library; `flower` brings those of flwr-datasets."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError

__all__ = ["Indices", "Labels", "dirichlet", "fang", "iid", "label_sharded"]

Labels = NDArray[np.int64]
Indices = NDArray[np.int64]


def iid(labels: Labels, clients: int, rng: np.random.Generator) -> list[Indices]:
    """Deal shuffled samples evenly; sizes differ by one at most.

    Raises:
        ConfigError: more clients than samples.
    """
    _check(labels, clients)
    return _tidy(np.array_split(rng.permutation(len(labels)), clients))


def dirichlet(
    labels: Labels, clients: int, rng: np.random.Generator, *, alpha: float
) -> list[Indices]:
    """Deal each class in shares over the clients, drawn from a Dirichlet distribution.

    This is the form of Yurochkin et al. (2019), which flwr-datasets has too: clients get
    different numbers of samples. Hsu et al. (2019) draw each client's mix of classes instead and
    give every client equally many.

    Args:
        labels: (n,) labels.
        clients: number of clients.
        rng: random generator.
        alpha: concentration; small is uneven, large approaches `iid`.

    Raises:
        ConfigError: alpha is not positive, or more clients than samples.
    """
    _check(labels, clients)
    if not 0 < alpha < float("inf"):
        raise ConfigError(f"partition 'dirichlet': alpha must be positive, not {alpha}")
    parts: list[list[Indices]] = [[] for _ in range(clients)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        shares = rng.dirichlet(np.full(clients, alpha))
        if not np.isfinite(shares).all():  # alpha so small that every gamma draw underflows to 0
            shares = np.eye(clients)[rng.integers(clients)]
        cuts = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.append(piece)
    return _tidy(_fill([np.concatenate(part) for part in parts]))


def label_sharded(
    labels: Labels, clients: int, rng: np.random.Generator, *, shards: int = 2
) -> list[Indices]:
    """Sort by label, cut into equal shards, deal `shards` of them to each client.

    The "pathological" split of McMahan et al. (2017, section 3): with two shards most clients see
    two classes.

    Raises:
        ConfigError: no shards, or fewer samples than shards in all.
    """
    _check(labels, clients)
    if shards < 1 or shards * clients > len(labels):
        raise ConfigError(
            f"partition 'label_sharded': {shards} shards for each of {clients} clients "
            f"cannot be cut from {len(labels)} samples"
        )
    shuffled = rng.permutation(len(labels))
    ordered = shuffled[np.argsort(labels[shuffled], kind="stable")]
    pieces = np.array_split(ordered, shards * clients)
    dealt = rng.permutation(len(pieces)).reshape(clients, shards)
    return _tidy([np.concatenate([pieces[piece] for piece in row]) for row in dealt])


def fang(labels: Labels, clients: int, rng: np.random.Generator, *, q: float) -> list[Indices]:
    """Deal by groups of clients (Fang et al., 2020, section 4.1).

    Clients are split at random into as many groups as there are classes. A sample of class l goes
    to group l with probability q, to each other group with equal probability, and inside its group
    to any client. With q = 1/classes this is iid. With fewer clients than classes there are only as
    many groups as clients, and class l belongs to group l modulo their number.

    Raises:
        ConfigError: q is outside 0..1, or more clients than samples.
    """
    _check(labels, clients)
    if not 0 <= q <= 1:
        raise ConfigError(f"partition 'fang': q must lie from 0 to 1, not {q}")
    count = min(int(labels.max()) + 1, clients)
    groups = np.array_split(rng.permutation(clients), count)
    own = labels % count
    group = own
    if count > 1:
        other = (own + rng.integers(1, count, size=len(labels))) % count
        group = np.where(rng.random(len(labels)) < q, own, other)
    owner = np.empty(len(labels), dtype=np.int64)
    for index, members in enumerate(groups):
        inside = np.flatnonzero(group == index)
        owner[inside] = rng.choice(members, size=len(inside))
    return _tidy(_fill([np.flatnonzero(owner == client) for client in range(clients)]))


def _check(labels: Labels, clients: int) -> None:
    if clients < 1:
        raise ConfigError(f"at least one client is needed, not {clients}")
    if len(labels) < clients:
        raise ConfigError(f"{len(labels)} samples cannot be dealt to {clients} clients")


def _fill(parts: list[Indices]) -> list[Indices]:
    """Give clients that went without one sample each of whoever has most."""
    for client, part in enumerate(parts):
        if not len(part):
            largest = int(np.argmax([len(other) for other in parts]))
            parts[client], parts[largest] = parts[largest][-1:], parts[largest][:-1]
    return parts


def _tidy(parts: Sequence[Indices]) -> list[Indices]:
    return [np.sort(part).astype(np.int64, copy=False) for part in parts]
