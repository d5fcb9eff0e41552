"""Label flipping: malicious clients train honestly on lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedledger.errors import ConfigError

from .base import DataPoisoning

__all__ = ["LabelFlip"]


@dataclass(frozen=True, slots=True)
class LabelFlip(DataPoisoning):
    """Change labels, in one of two ways.

    - Symmetric, without parameters: l becomes L-1-l, with L classes (Fang et al., 2020,
      section 4.1).
    - Targeted, with both: every label `source` becomes `target` and the others stay (Bift,
      section VI-B: every green light becomes "Red Circle").

    Attributes:
        source: class to mislabel, or None.
        target: what it is called then, or None.

    Raises:
        ConfigError: one of the two without the other, both the same, or negative.
    """

    source: int | None = None
    target: int | None = None

    def __post_init__(self) -> None:
        if (self.source is None) != (self.target is None):
            raise ConfigError("attack 'label_flip': give both source and target, or neither")
        if self.source is not None and self.target is not None:
            if self.source == self.target:
                raise ConfigError(f"attack 'label_flip': source and target are both {self.source}")
            if min(self.source, self.target) < 0:
                raise ConfigError("attack 'label_flip': source and target are classes from 0")

    def poison(
        self, images: NDArray[np.float32], labels: NDArray[np.int64], *, classes: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the same images with flipped labels."""
        if self.source is None or self.target is None:
            return images, classes - 1 - labels
        if max(self.source, self.target) >= classes:
            raise ConfigError(
                f"attack 'label_flip': source {self.source} and target {self.target} must be "
                f"below {classes}, the number of classes"
            )
        return images, np.where(labels == self.source, np.int64(self.target), labels)
