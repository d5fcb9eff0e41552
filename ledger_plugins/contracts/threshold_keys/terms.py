"""The terms of encrypted rounds: what trainers, aggregator and auditors have to agree on.

They stand in the task's specification, as the settings of the protocol `threshold-paillier`.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedledger.errors import ConfigError
from fedledger.formats import first_wrong

__all__ = ["PROTOCOL", "Seconds", "ThresholdTerms", "most_vanished", "quorum_of"]

PROTOCOL = "threshold-paillier"

Seconds = Annotated[float, Field(gt=0, le=1e9)]


class ThresholdTerms(BaseModel):
    """The terms.

    Attributes:
        dealer: account that published the keys.
        keys: SHA-256 of the threshold keys, in hexadecimal.
        dealing: CID of the keys and of every trainer's sealed share.
        key_bits: size of the modulus.
        trainers: n, how many there are: all of the task's clients, in their order.
        threshold: t, how many open a sum together: more than n/2.
        floor: how many masked updates a sum has at least: at least 3 and t+1.
        bits: bits of a rounded value, 8 to 24.
        clip: largest magnitude of a value of an update; what is beyond becomes it.
        weights: "samples": a trainer weighs as many samples as it says, in whole parts of
            `total_weight`; "equal": all the same.
        total_weight: bound of the sum of all weights.
        samples_key: metric that holds the number of training samples.
        accept_window: seconds for accepting the keys, once a run.
        train_window: seconds for training and masking.
        list_window: seconds for signing the list.
        share_window: seconds for decryption shares, and once more for opened parts.
        quiet: seconds without an answer that close a phase early, once it has enough.
        lifts: ciphertexts of a sum that the aggregator lifts by itself, at 8 ms each or so; of a
            longer one each trainer lifts a part, in a phase of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dealer: str
    keys: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    dealing: str
    key_bits: Literal[2048, 3072]
    trainers: Annotated[int, Field(ge=3, le=64)]
    threshold: Annotated[int, Field(ge=2)]
    floor: Annotated[int, Field(ge=3)]
    bits: Annotated[int, Field(ge=8, le=24)]
    clip: Annotated[float, Field(gt=0, lt=math.inf)]
    weights: Literal["samples", "equal"]
    total_weight: Annotated[int, Field(ge=1, le=2**32)]
    samples_key: str = "num-examples"
    accept_window: Seconds
    train_window: Seconds
    list_window: Seconds
    share_window: Seconds
    quiet: Seconds
    lifts: Annotated[int, Field(ge=0)] = 128

    @model_validator(mode="after")
    def _fit_together(self) -> "ThresholdTerms":
        n, t = self.trainers, self.threshold
        if not n < 2 * t <= 2 * n:
            raise ValueError(f"threshold {t} of {n} trainers: more than half, at most all")
        if not max(3, t + 1) <= self.floor <= n:
            raise ValueError(
                f"floor {self.floor}: at least {max(3, t + 1)} updates (3, and one above the "
                f"threshold {t}), and not more than {n} trainers"
            )
        if self.total_weight < n:
            raise ValueError(f"total_weight {self.total_weight}: each of {n} trainers weighs 1")
        if self.weights == "equal" and self.total_weight != n:
            raise ValueError(f"total_weight is {n} where all weigh the same")
        return self

    @classmethod
    def read(cls, settings: Any) -> "ThresholdTerms":
        """Return the terms in a specification's settings, JSON values.

        Raises:
            ConfigError: names the first that is wrong.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            field, first = first_wrong(error)
            raise ConfigError(f"terms of {PROTOCOL}, {field!r}: {first['msg']}") from error

    @property
    def quorum(self) -> int:
        """How many trainers sign a list before anybody opens it: more than (n+t-1)/2."""
        return quorum_of(self.trainers, self.threshold)

    def weigh(self, samples: list[int]) -> list[int]:
        """Return the whole weights of masked updates.

        As many parts as samples where they fit (after dividing by what all have in common), so
        that the average is exact; else in proportion, rounded down, and at least 1. Who says more
        samples weighs more: nobody can check the number.

        Args:
            samples: a positive number for each.
        """
        if self.weights == "equal":
            return [1] * len(samples)
        common = math.gcd(*samples)
        whole = [one // common for one in samples]
        if sum(whole) <= self.total_weight:
            return whole
        room, total = self.total_weight - len(samples), sum(whole)
        return [max(1, one * room // total) for one in whole]


def quorum_of(trainers: int, threshold: int) -> int:
    """Return the least number above (n+t-1)/2.

    Two lists that so many have signed have t signers in common that signed both. While fewer than t
    trainers are malicious, one of those is honest, and an honest trainer signs one list a round.
    """
    return (trainers + threshold - 1) // 2 + 1


def most_vanished(trainers: int, threshold: int) -> int:
    """Return how many trainers may vanish before the list is signed."""
    return trainers - quorum_of(trainers, threshold)
