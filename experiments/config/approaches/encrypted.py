"""Approaches by encrypted rounds: nobody sees an update, a threshold of trainers opens the sum."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from fedledger.errors import ConfigError

from .... import strategies as room
from ....ledger_plugins.contracts.threshold_keys.terms import PROTOCOL
from ....strategies import LedgerStrategy
from .base import Approach, Surroundings

__all__ = ["EncryptedApproach"]

_ALL = 1e6
"""Seconds: a simulation's trainers share its cores, and all of them are waited for."""


class EncryptedApproach(Approach):
    """FLChain's training: updates masked by packed Paillier, and their sum opened by t trainers.

    Every client trains in every round. A dealer of its own process deals the keys before the first.

    Attributes:
        threshold: t, how many trainers open a sum together; 0: the smallest majority.
        floor: masked updates of a sum at least; 0: 3 or t+1, whichever is more.
        bits: bits of a rounded value.
        clip: largest magnitude of a value of an update.
        weights: by what updates weigh.
        key_bits: size of the modulus.
    """

    threshold: Annotated[int, Field(ge=0)] = 0
    floor: Annotated[int, Field(ge=0)] = 0
    bits: Annotated[int, Field(ge=8, le=24)] = 16
    clip: Annotated[float, Field(gt=0)] = 1.0
    weights: Literal["samples", "equal"] = "samples"
    key_bits: Literal[2048, 3072] = 2048

    @classmethod
    def strategies(cls) -> Collection[str]:
        """Return the one strategy."""
        return (PROTOCOL,)

    @property
    def hides(self) -> frozenset[str]:
        """What nobody sees."""
        return frozenset({"updates"})

    def check_clients(self, clients: int, byzantine: int) -> None:  # noqa: ARG002 - nobody can look
        """Refuse a federation that is too small for the threshold."""
        threshold = self._threshold(clients)
        least = max(3, threshold + 1)
        floor = self.floor or least
        if not (clients < 2 * threshold and least <= floor <= clients):
            raise ConfigError(
                f"{self.name}: threshold {threshold} and floor {floor} of {clients} clients: the "
                f"threshold has to be a majority, and the floor at least {least} and at most all"
            )

    def footnotes(self, clients: int, byzantine: int) -> list[str]:  # noqa: ARG002 - see above
        """Say that poisoned updates are not looked for, where there are malicious clients."""
        return ["nobody sees an update, so nothing keeps a poisoned one out"] if byzantine else []

    def build(self, around: Surroundings) -> LedgerStrategy:
        """Return the strategy, with keys dealt for this cell."""
        count = len(around.clients)
        return room.ThresholdPaillier(  # which needs an extra
            **around.evidence,
            keys=around.deal(count, self._threshold(count), self.key_bits),
            floor=self.floor or None,
            bits=self.bits,
            clip=self.clip,
            weights=self.weights,
            windows=(_ALL,) * 4,
            quiet=_ALL,
        )

    def _threshold(self, clients: int) -> int:
        return self.threshold or clients // 2 + 1
