"""ThresholdKeys' twin: keys that dealers published, and for which task trainers accepted them.

Storage: ("keys", dealer, digest): threshold, number of trainers, block; ("number", dealer, digest,
trainer): from 1; ("accepted", task, trainer): dealer, digest, round; ("task", dealer, digest,
trainer): for which the trainer accepted the keys.
"""

# ruff: noqa: N802 - the names are the ABI's

from hashlib import sha256

from ...addresses import ZERO_ADDRESS
from ..twin import Twin

__all__ = ["MAX_KEYS", "MAX_TRAINERS", "ThresholdKeys"]

MAX_TRAINERS = 64
"""Most trainers that keys are dealt to (clause L9)."""

MAX_KEYS = 1 << 16
"""Most bytes that keys have: those of 64 trainers with a modulus of 7,680 bits."""


class ThresholdKeys(Twin):
    """Threshold keys, and the trainers that accept them."""

    contract = "ThresholdKeys"

    def publishKeys(self, trainers: tuple[str, ...], threshold: int, keys: bytes) -> None:
        """Publish keys; the sender is their dealer."""
        number = len(trainers)
        if not 2 <= number <= MAX_TRAINERS:
            self.revert("TrainersOutOfRange", given=number)
        for place, trainer in enumerate(trainers):
            if trainer == ZERO_ADDRESS or trainer in trainers[:place]:
                self.revert("InvalidTrainer", trainer=trainer)
        if threshold > number or 2 * threshold <= number:
            self.revert("InvalidThreshold", threshold=threshold, trainers=number)
        if not 0 < len(keys) <= MAX_KEYS:
            self.revert("InvalidKeysLength", given=len(keys))
        digest = sha256(keys).digest()
        if ("keys", self.sender, digest) in self.state:
            self.revert("KeysAlreadyPublished", dealer=self.sender, digest=digest)
        self.state["keys", self.sender, digest] = (threshold, number, self.environment.block)
        for place, trainer in enumerate(trainers, 1):
            self.state["number", self.sender, digest, trainer] = place
        self.emit(
            "KeysPublished",
            dealer=self.sender,
            digest=digest,
            trainers=trainers,
            threshold=threshold,
            keys=keys,
        )

    def acceptKeys(self, task: int, number: int, dealer: str, digest: bytes) -> None:
        """Say that the sender has its share of these keys and uses it for a task."""
        if ("keys", dealer, digest) not in self.state:
            self.revert("UnknownKeys", dealer=dealer, digest=digest)
        if not self.trainerNumber(dealer, digest, self.sender):
            self.revert("NotTrainer", account=self.sender)
        before = self.state.get(("accepted", task, self.sender))
        served = self.state.get(("task", dealer, digest, self.sender))
        if before and before[:2] != (dealer, digest):
            self.revert("OtherKeysAccepted", dealer=before[0], digest=before[1])
        if served not in (None, task):
            self.revert("KeysServeAnotherTask", task=served)
        if before and number <= before[2]:
            self.revert("AlreadyAccepted", round=before[2])
        self.state["accepted", task, self.sender] = (dealer, digest, number)
        self.state["task", dealer, digest, self.sender] = task
        self.emit(
            "KeysAccepted",
            task=task,
            round=number,
            trainer=self.sender,
            dealer=dealer,
            digest=digest,
        )

    def MAX_TRAINERS(self) -> int:
        """Return how many trainers keys are dealt to at most."""
        return MAX_TRAINERS

    def MAX_KEYS(self) -> int:
        """Return how many bytes keys have at most."""
        return MAX_KEYS

    def keysOf(self, dealer: str, digest: bytes) -> tuple[int, int, int]:
        """Return threshold, number of trainers and the block in which keys were published."""
        threshold, number, block = self.state.get(("keys", dealer, digest), (0, 0, 0))
        return int(threshold), int(number), int(block)

    def trainerNumber(self, dealer: str, digest: bytes, account: str) -> int:
        """Return the number of a trainer, from 1."""
        return int(self.state.get(("number", dealer, digest, account), 0))

    def acceptance(self, task: int, trainer: str) -> tuple[str, bytes, int]:
        """Return which keys a trainer accepted for a task, and in which round last."""
        none = (ZERO_ADDRESS, bytes(32), 0)
        dealer, digest, number = self.state.get(("accepted", task, trainer), none)
        return str(dealer), bytes(digest), int(number)
