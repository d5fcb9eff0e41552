"""Approaches by Flower's own strategies, anchored: those of `flwr.serverapp.strategy`, by name."""

import inspect
from collections.abc import Collection, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Self

from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy
from pydantic import model_validator

from fedledger.errors import ConfigError

from ....strategies import Anchored
from ....strategies.aggregation import rules
from ....strategies.protocols.anchored import refuse_growing
from ..choices import Scalar, check_arguments
from .base import Approach, Surroundings, first_sentence

__all__ = ["FlowerApproach", "flower_strategies", "refuse_flower"]

_PLAIN = (bool, int, float, str)
_FORGETFUL = (
    "FedAvg",
    "FedProx",
    "FedMedian",
    "FedTrimmedAvg",
    "QFedAvg",
    "Krum",
    "MultiKrum",
    "Bulyan",
)
"""Strategies for which one round is as any other; the rest have a momentum or the like."""

_OURS = (
    "fraction_train",
    "fraction_evaluate",
    "min_train_nodes",
    "min_evaluate_nodes",
    "min_available_nodes",
    "arrayrecord_key",
    "configrecord_key",
)
"""Arguments that the experiment gives, or that would break what it relies on."""


class FlowerApproach(Approach):
    """One of Flower's strategies, unmodified.

    Every client trains in every round, and none evaluates. The name is that of Flower's class in
    lower case; where that is a rule of this library, after "flower-".

    Attributes:
        arguments: arguments of the class's constructor, by name.
    """

    arguments: Mapping[str, Scalar] = {}

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        what = f"strategy {self.strategy!r}"
        for key in self.arguments:
            if key in _OURS:
                raise ConfigError(f"{what}: {key!r} is set by the experiment itself")
        accepted = {
            key: parameter
            for key, parameter in _parameters(self._class).items()
            if key not in _OURS and parameter.annotation in _PLAIN
        }
        check_arguments("argument", what, accepted, self.arguments)
        try:
            self._class(**self.arguments)
        except (TypeError, ValueError) as error:  # it may refuse a value of the right type
            raise ConfigError(f"{what}: {error}") from error
        return self

    @classmethod
    def strategies(cls) -> Collection[str]:
        """Return the names of Flower's strategies."""
        return flower_strategies()

    @classmethod
    def about(cls, strategy: str) -> str:
        """Return Flower's sentence about it."""
        return f"Flower's {first_sentence(flower_strategies()[strategy])}"

    @property
    def remembers(self) -> bool:
        """Whether it keeps something from round to round that a resumed run does not have."""
        return self._class.__name__ not in _FORGETFUL

    def build(self, around: Surroundings) -> Anchored:
        """Return the strategy, anchored."""
        strategy = self._made_for(len(around.clients))
        return Anchored(strategy, **around.evidence, arguments=self.arguments)

    @property
    def _class(self) -> type[Strategy]:
        return flower_strategies()[self.strategy]

    def _made_for(self, clients: int) -> Strategy:
        """Return the strategy for a number of clients."""
        given: dict[str, Any] = {
            "fraction_evaluate": 0.0,
            "min_train_nodes": clients,
            "min_available_nodes": clients,
            "train_loss_key": "loss",  # what the clients call it
        }
        known = _parameters(self._class)
        ours = {key: value for key, value in given.items() if key in known}
        return self._class(**(ours | dict(self.arguments)))


@cache
def flower_strategies() -> Mapping[str, type[Strategy]]:
    """Return Flower's strategies by the name that a config gives them.

    Left out is what a config cannot make: wrappers around another strategy, and those for trees.
    """
    taken = {name.replace("_", "") for name in rules.names()}
    found = {}
    for name in dir(flower):
        cls = getattr(flower, name)
        if inspect.isclass(cls) and issubclass(cls, Strategy) and _can_be_made(cls):
            plain = name.lower()
            found[f"flower-{plain}" if plain in taken else plain] = cls
    return MappingProxyType(found)


def _can_be_made(cls: type[Strategy]) -> bool:
    needed = [p for p in _parameters(cls).values() if p.default is p.empty]
    return (
        not inspect.isabstract(cls)
        and _keeps_shape(cls)
        and all(parameter.annotation in _PLAIN for parameter in needed)
    )


def _keeps_shape(cls: type[Strategy]) -> bool:
    try:
        refuse_growing(cls)
    except ConfigError:
        return False
    return True


def refuse_flower(name: str) -> None:
    """Say why a strategy of Flower's is none that a config can name, where it is one.

    Raises:
        ConfigError: says why.
    """
    for key in dir(flower):
        cls = getattr(flower, key)
        if key.lower() != name.lower().removeprefix("flower-") or not inspect.isclass(cls):
            continue
        if issubclass(cls, Strategy) and cls is not Strategy and not _can_be_made(cls):
            refuse_growing(cls)
            raise ConfigError(
                f"strategy {key} needs arguments that no config holds, such as a strategy to wrap: "
                f"use Anchored({key}(…)) in an app of your own"
            )


def _parameters(cls: type[Strategy]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters
