"""The updates as the kernels see them: checked float32 rows, read where they lie."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedledger.errors import ConfigError, InvalidUpdate

__all__ = ["Rows", "Updates", "Vector", "checked_byzantine", "read_rows"]

Vector = npt.NDArray[np.float32]
Updates = Sequence[Vector] | Vector
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n rows of d float32 values, each contiguous; a row is copied only if it was not.

    Attributes:
        arrays: the rows.
        positions: where each row stands in what the caller gave.
    """

    arrays: tuple[Vector, ...]
    positions: tuple[int, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.arrays)

    @property
    def d(self) -> int:
        """Number of coordinates."""
        return int(self.arrays[0].size)

    def take(self, indices: Iterable[int]) -> "Rows":
        """Return the rows at `indices`, in that order."""
        chosen = tuple(indices)
        return Rows(
            tuple(self.arrays[index] for index in chosen),
            tuple(self.positions[index] for index in chosen),
        )

    def addresses(self) -> npt.NDArray[np.int64]:
        """Return the rows' addresses, valid as long as this object lives."""
        return np.array([row.ctypes.data for row in self.arrays], dtype=np.int64)

    def tail(self, width: int) -> "Rows":
        """Return copies of the last d mod `width` coordinates, padded with zeros to `width`."""
        rest = self.d % width
        padded = np.zeros((self.n, width), dtype=np.float32)
        for target, row in zip(padded, self.arrays, strict=True):
            target[:rest] = row[self.d - rest :]
        return Rows(tuple(padded), self.positions)

    def refuse_not_finite(self) -> None:
        """Raise InvalidUpdate for the first row with a NaN or an infinity, if there is one."""
        for position, row in zip(self.positions, self.arrays, strict=True):
            for start in range(0, self.d, _PIECE):
                finite = np.isfinite(row[start : start + _PIECE])
                if not finite.all():
                    at = start + int(np.argmin(finite))
                    raise InvalidUpdate(position, f"coordinate {at} is {row[at]}, not finite")


def read_rows(updates: Updates) -> Rows:
    """Check shapes and types; values are checked by the kernels, which read them anyway.

    Args:
        updates: n vectors of d float32 values, or one array (n, d).

    Raises:
        InvalidUpdate: there are none, or one is not a float32 vector of the first one's length.
    """
    if isinstance(updates, np.ndarray) and updates.ndim != 2:
        raise InvalidUpdate(None, f"expected an array (n, d), got one of shape {updates.shape}")
    rows: list[Vector] = []
    for position, update in enumerate(updates):
        if not isinstance(update, np.ndarray):
            kind = type(update).__name__
            raise InvalidUpdate(position, f"expected a float32 vector, got {kind}")
        if update.dtype != np.float32:
            raise InvalidUpdate(position, f"expected dtype float32, got {update.dtype}")
        if update.ndim != 1:
            raise InvalidUpdate(position, f"expected one dimension, got shape {update.shape}")
        if update.size == 0:
            raise InvalidUpdate(position, "has no coordinates")
        if rows and update.size != rows[0].size:
            raise InvalidUpdate(
                position, f"has {update.size} coordinates, update 0 has {rows[0].size}"
            )
        rows.append(np.require(update, requirements=("C", "A")))
    if not rows:
        raise InvalidUpdate(None, "there are none")
    return Rows(tuple(rows), tuple(range(len(rows))))


def checked_byzantine(byzantine: object) -> int:
    """Return the number of byzantine clients to tolerate as an int.

    Raises:
        ConfigError: not an integer, or negative.
    """
    if isinstance(byzantine, bool) or not isinstance(byzantine, int | np.integer):
        raise ConfigError(f"byzantine must be an integer, got {byzantine!r}")
    if byzantine < 0:
        raise ConfigError(f"byzantine must not be negative, got {byzantine}")
    return int(byzantine)
