"""What the clients of a scenario are: who holds which data, and who is malicious."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError

from ..adversary.attacks import Attack, DataPoisoning, ModelAttack, load_attack
from ..config.cells import Scenario
from ..datasets import Dataset, load_dataset
from ..models import build_model
from ..partition import PARTITIONS, Indices
from .seeding import generator, whole

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Federation", "federation_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Federation:
    """A scenario made concrete. Everything follows from the scenario, in any process.

    Attributes:
        scenario: the scenario.
        dataset: its data set.
        parts: indices into the training part, one array for each client.
        held_back: indices of the training images that are for validation.
        malicious: clients that attack. A larger fraction adds clients to those of a smaller one.
        attack: what they do.
    """

    scenario: Scenario
    dataset: Dataset
    parts: tuple[Indices, ...]
    held_back: Indices
    malicious: frozenset[int]
    attack: Attack

    def client_data(self, client: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return what a client trains on: its share, poisoned where the attack says so.

        Args:
            client: its number, from 0.

        Raises:
            ConfigError: there is no such client, or the attack does not fit the data set.
        """
        if not 0 <= client < len(self.parts):
            raise ConfigError(f"client {client}: there are clients 0 to {len(self.parts) - 1}")
        images = self.dataset.train_x[self.parts[client]]
        labels = self.dataset.train_y[self.parts[client]]
        if client in self.malicious and isinstance(self.attack, DataPoisoning):
            return self.attack.poison(images, labels, classes=self.dataset.classes)
        return images, labels

    @property
    def validation(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The images that nobody trains on and their labels; none where the scenario has none."""
        return self.dataset.train_x[self.held_back], self.dataset.train_y[self.held_back]

    @property
    def poisoned(self) -> frozenset[int]:
        """Malicious clients whose training data the attack really changes.

        Whose share holds none of the images that an attack is about trains as an honest client.
        """
        if not isinstance(self.attack, DataPoisoning):
            return frozenset()
        return frozenset(client for client in self.malicious if self._changes(client))

    def _changes(self, client: int) -> bool:
        images, labels = self.client_data(client)
        part = self.parts[client]
        return not (
            np.array_equal(images, self.dataset.train_x[part])
            and np.array_equal(labels, self.dataset.train_y[part])
        )

    @property
    def colluders(self) -> frozenset[int]:
        """Clients that exchange something before they upload, and pay its latency."""
        colluding = isinstance(self.attack, ModelAttack) and self.attack.exchanges
        return self.malicious if colluding else frozenset()

    def initial_model(self) -> "nn.Module":
        """Return the model that training starts from."""
        return build_model(
            self.scenario.model,
            self.dataset.shape,
            self.dataset.classes,
            seed=whole(self.scenario.seed, "model"),
        )

    def batch_seed(self, server_round: int, client: int) -> int:
        """Return the seed of a client's batches in a round."""
        return whole(self.scenario.seed, "batches", server_round, client)


@lru_cache(maxsize=8)
def federation_of(scenario: str) -> Federation:
    """Return the federation of a scenario in JSON form; the last few are kept for this process.

    Raises:
        ConfigError: the data set cannot be loaded or dealt like this.
    """
    parsed = Scenario.model_validate_json(scenario)
    dataset = _dataset(parsed.dataset)
    dealt, held_back = _split(dataset, parsed)
    partition = PARTITIONS.load(parsed.partition.name)
    parts = partition(
        dataset.train_y[dealt],
        parsed.clients,
        generator(parsed.seed, "partition"),
        **parsed.partition.parameters,
    )
    order = generator(parsed.seed, "malicious").permutation(parsed.clients)
    malicious = frozenset(int(client) for client in order[: parsed.malicious_clients])
    return Federation(
        scenario=parsed,
        dataset=dataset,
        parts=tuple(dealt[part] for part in parts),
        held_back=held_back,
        malicious=malicious,
        attack=load_attack(parsed.attack),
    )


def _split(dataset: Dataset, scenario: Scenario) -> tuple[Indices, Indices]:
    """Return, ascending, which training images are dealt and which are for validation."""
    count = len(dataset.train_y)
    if scenario.validation >= count:
        raise ConfigError(
            f"validation = {scenario.validation}: data set {dataset.name!r} has {count} training "
            "images, and some have to be left to train on"
        )
    order = generator(scenario.seed, "validation").permutation(count)
    held_back, dealt = np.split(order, [scenario.validation])
    return np.sort(dealt), np.sort(held_back)


@lru_cache(maxsize=4)
def _dataset(name: str) -> Dataset:
    return load_dataset(name)
