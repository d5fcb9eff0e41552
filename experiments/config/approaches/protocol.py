"""Approaches by protocols of third parties, found by their entry points."""

from collections.abc import Collection, Mapping
from typing import Any, Self

from flwr.serverapp.strategy import FedAvg
from pydantic import ValidationError, model_validator

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.formats import first_wrong

from ....strategies import LedgerStrategy
from ....strategies.protocols import PROTOCOLS
from ..choices import Scalar
from .base import Approach, Surroundings, first_sentence

__all__ = ["ProtocolApproach"]

_OWN = ("anchored", "pofl", "threshold-paillier")  # which have kinds of their own


class ProtocolApproach(Approach):
    """A protocol that another package adds.

    Every client is asked in every round, and none evaluates.

    Attributes:
        settings: the protocol's settings, by name.
    """

    settings: Mapping[str, Scalar] = {}

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        what, settings = f"strategy {self.strategy!r}", PROTOCOLS.load(self.strategy).Settings
        for key in self.settings:
            if key not in settings.model_fields:
                raise UnknownNameError(f"setting of {what}", key, settings.model_fields)
        try:
            settings.model_validate(dict(self.settings))
        except ValidationError as error:
            key, first = first_wrong(error)
            raise ConfigError(f"{what}, settings.{key}: {first['msg']}") from error
        return self

    @classmethod
    def strategies(cls) -> Collection[str]:
        """Return the names of the protocols that other packages add."""
        return [name for name in PROTOCOLS.names() if name not in _OWN]

    @classmethod
    def about(cls, strategy: str) -> str:
        """Return the protocol's own sentence about it."""
        return first_sentence(PROTOCOLS.load(strategy))

    def build(self, around: Surroundings) -> LedgerStrategy:
        """Return the protocol under Flower."""
        protocol: Any = PROTOCOLS.load(self.strategy)
        count = len(around.clients)
        return LedgerStrategy(
            protocol(protocol.Settings.model_validate(dict(self.settings))),
            FedAvg(fraction_evaluate=0.0, min_train_nodes=count, min_available_nodes=count),
            **around.evidence,
            clock=around.clock,
        )
