"""Sign flipping: malicious clients go the other way."""

from dataclasses import dataclass

import numpy as np

from fedledger.errors import ConfigError

from .base import Knowledge, Matrix, ModelAttack

__all__ = ["SignFlip"]


@dataclass(frozen=True, slots=True)
class SignFlip(ModelAttack):
    """Upload the opposite of what was learnt.

    Each malicious client i uploads, with its own model w_i,

        w'_i = w_Re - scale · (w_i - w_Re).

    It needs no knowledge of others and no exchange. It is the update whose sign is flipped, not the
    weights. Sources: Li et al., RSA, AAAI 2019 ("sign flipping", on gradients and scaled);
    Karimireddy et al., Learning from history, ICML 2021 ("bit flipping", scale 1).

    Attributes:
        scale: how far to go, in lengths of the client's own update.

    Raises:
        ConfigError: scale is not a positive finite number.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf:
            raise ConfigError(f"attack 'sign_flip': scale must be positive, not {self.scale}")

    @property
    def exchanges(self) -> bool:
        """Whether the malicious clients exchange anything: each is alone here."""
        return False

    def craft(self, knowledge: Knowledge, rng: np.random.Generator) -> Matrix:  # noqa: ARG002 - nothing is drawn
        """Return the malicious clients' models, mirrored at the global model."""
        crafted = np.empty_like(knowledge.own)
        model = knowledge.model.astype(np.float64)
        for row, own in zip(crafted, knowledge.own, strict=True):
            row[...] = model - self.scale * (own - model)
        return crafted
