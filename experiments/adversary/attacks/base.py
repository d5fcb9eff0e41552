"""The forms an attack can have: where in a round the malicious clients interfere.

`DataPoisoning` changes what a malicious client trains on; the client then behaves as any other.
`ModelAttack` crafts what the malicious clients upload from what they see of a round; an adversary
between the strategy and the clients carries it out (`fedledger.experiments.adversary.grid`).

Crafted models are weights, not differences to the global model. The papers' equations are in
weights, and for the trimmed-mean attack that matters: its intervals depend on a weight's own sign.
What is a difference in a paper is w - w_Re here. Each quantity is computed in float64 and rounded
to float32 once, as the weights of any client are.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError

__all__ = [
    "Attack",
    "ColludingAttack",
    "DataPoisoning",
    "Knowledge",
    "Matrix",
    "ModelAttack",
    "NoAttack",
    "Scope",
]

Matrix = NDArray[np.float32]
"""Models as rows: float32 of shape (number of clients, d)."""

Scope = Literal["full", "partial"]
"""Whether the attacker sees every client's model of the round, or only those of its own clients."""


class Attack(ABC):  # noqa: B024 - what an attack has to do depends on its form
    """Base of every attack."""


@dataclass(frozen=True, slots=True)
class NoAttack(Attack):
    """Nobody is malicious."""


class DataPoisoning(Attack):
    """An attack on the training data of each malicious client."""

    @abstractmethod
    def poison(
        self, images: NDArray[np.float32], labels: NDArray[np.int64], *, classes: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return what the malicious client trains on; the arguments stay as they are.

        Args:
            images: (k, channels, height, width) the client's images.
            labels: (k,) their labels.
            classes: number of classes of the data set.

        Raises:
            ConfigError: the attack's parameters do not fit the data set.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What the attacker knows when it crafts a round's models; everything is finite float32.

    Attributes:
        model: (d,) w_Re, the global model that the round began with.
        own: (c, d) the models of the compromised clients before the attack.
        honest: (m-c, d) the models of the other clients, or None under partial knowledge.
        clients: m, the number of clients in the round.

    Raises:
        ConfigError: shapes or types that do not fit each other.
    """

    model: NDArray[np.float32]
    own: Matrix
    honest: Matrix | None
    clients: int

    def __post_init__(self) -> None:
        groups = {"model": self.model[np.newaxis], "own": self.own}
        if self.honest is not None:
            groups["honest"] = self.honest
        for name, rows in groups.items():
            if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != self.model.size:
                raise ConfigError(
                    f"knowledge, {name}: float32 models of {self.model.size} parameters are "
                    f"needed, found {rows.dtype} of shape {rows.shape}"
                )
            if not len(rows):
                raise ConfigError(f"knowledge, {name}: there is none")
        if len(self.own) > self.clients:
            raise ConfigError(f"knowledge: {len(self.own)} of {self.clients} clients are malicious")
        if self.honest is not None and len(self.honest) != self.clients - len(self.own):
            raise ConfigError(
                f"knowledge: {len(self.own)} malicious and {len(self.honest)} honest models "
                f"of {self.clients} clients"
            )

    @property
    def malicious(self) -> int:
        """Return c, the number of compromised clients."""
        return len(self.own)


class ModelAttack(Attack):
    """An attack on the models that the malicious clients upload."""

    @property
    def needs_honest(self) -> bool:
        """Whether `craft` reads the honest clients' models of the round."""
        return False

    @property
    def exchanges(self) -> bool:
        """Whether the malicious clients exchange anything before they upload."""
        return True

    @abstractmethod
    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:
        """Return what each malicious client uploads, as weights.

        Args:
            knowledge: what the attacker knows.
            rng: every random number of the attack comes from it.

        Returns:
            (c, d) float32 weights in the order of `knowledge.own`; may be a read-only view.

        Raises:
            ConfigError: the attack is not defined for these numbers of clients.
        """


@dataclass(frozen=True)
class ColludingAttack(ModelAttack):
    """A model attack that takes the models of benign clients as its measure.

    Attributes:
        knowledge: "full": the models of the honest clients of this round. "partial": the malicious
            clients' own models before the attack, in their place.

    Raises:
        ConfigError: neither of the two.
    """

    knowledge: Scope = "full"

    def __post_init__(self) -> None:
        if self.knowledge not in ("full", "partial"):
            raise ConfigError(
                f"an attacker's knowledge is 'full' or 'partial', not {self.knowledge!r}"
            )
        self._check()

    def _check(self) -> None:
        """Check the attack's own parameters; raises ConfigError."""

    @property
    def needs_honest(self) -> bool:
        """Whether `craft` reads the honest clients' models of the round."""
        return self.knowledge == "full"

    def benign(self, knowledge: Knowledge) -> Matrix:
        """Return the models that stand for the benign ones, (k, d).

        Raises:
            ConfigError: the attack has full knowledge but the honest models are not given.
        """
        if self.knowledge == "partial":
            return knowledge.own
        if knowledge.honest is None:
            raise ConfigError("an attack with full knowledge needs the honest clients' models")
        return knowledge.honest
