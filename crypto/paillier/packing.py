"""Numbers in plaintexts: fixed point, stochastic rounding, many values in each.

A value v is clipped to ±clip and rounded to a multiple q of clip / offset, up or down at random so
that its expectation is v; offset = 2^(bits-1) - 1. A plaintext holds `slots` numbers of `slot`
bits, the first in the lowest: q + offset, which is 0 to 2·offset. Sums of plaintexts, each times a
whole weight, sum the slots; a slot has room for `total_weight` times the largest number, so nothing
runs over into the next. docs/formats.md has it in full.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fedledger.errors import ConfigError, CryptoError, InvalidUpdate

__all__ = ["MOST_WEIGHT", "Draw", "Packing"]

Draw = Callable[[int], bytes]
"""Gives so many random bytes. `Entropy.draw` for updates that nobody shall be able to repeat; the
method `bytes` of a seeded `numpy.random.Generator` for runs that give the same result again."""

MOST_WEIGHT: Final = 2**32
"""Bound of `total_weight`: sums of slots then fit 64 bits."""

_CHUNK: Final = 1 << 16  # values at once: their bits take a byte each


@dataclass(frozen=True, slots=True)
class Packing:
    """How values lie in plaintexts: everybody in a round has the same.

    Attributes:
        key_bits: bits of the modulus.
        bits: bits of a rounded value, 8 to 24.
        clip: largest magnitude; what is beyond becomes it.
        clients: how many clients' values may be summed.
        total_weight: how much their weights may be together; `clients` for a plain average.

    Raises:
        ConfigError: a number is out of its range, or not even one slot fits into a plaintext.
    """

    key_bits: int
    bits: int
    clip: float
    clients: int
    total_weight: int

    def __post_init__(self) -> None:
        numbers = {
            name: getattr(self, name) for name in ("key_bits", "bits", "clients", "total_weight")
        }
        for name, number in numbers.items():
            if type(number) is not int:
                raise ConfigError(f"packing: {name} is a whole number, not {number!r}")
        if not 8 <= self.bits <= 24:
            raise ConfigError(f"packing: values have 8 to 24 bits, not {self.bits}")
        if type(self.clip) not in {int, float} or not 0 < self.clip < math.inf:
            raise ConfigError(f"packing: clip is a finite number above 0, not {self.clip!r}")
        if not 1 <= self.clients <= self.total_weight <= MOST_WEIGHT:
            raise ConfigError(
                f"packing: 1 ≤ clients ≤ total_weight ≤ {MOST_WEIGHT} does not hold for "
                f"{self.clients} clients of the total weight {self.total_weight}"
            )
        if not np.isfinite(self.scale) or not self.scale:
            raise ConfigError(f"packing: clip {self.clip!r} is no number to scale values by")
        if self.slots < 1:
            raise ConfigError(
                f"packing: a slot of {self.slot} bits ({self.bits} for a value, and a total weight "
                f"of {self.total_weight}) does not fit into a modulus of {self.key_bits}"
            )

    @property
    def offset(self) -> int:
        """The largest rounded value; it is added to each, so that slots are not negative."""
        return (1 << (self.bits - 1)) - 1

    @property
    def scale(self) -> float:
        """What a value is multiplied by before it is rounded: offset / clip in f64."""
        return self.offset / self.clip

    @property
    def slot(self) -> int:
        """Bits of a slot: those of total_weight · 2·offset."""
        return (self.total_weight * 2 * self.offset).bit_length()

    @property
    def slots(self) -> int:
        """Slots of a plaintext, which has a bit less than the modulus."""
        return (self.key_bits - 1) // self.slot

    def ciphertexts(self, count: int) -> int:
        """Return how many ciphertexts hold `count` values."""
        return -(-count // self.slots)

    def check_weights(self, weights: Sequence[int]) -> int:
        """Check, before anybody encrypts, that a sum with these weights fits; return their total.

        Args:
            weights: one for each client, whole numbers from 1.

        Raises:
            ConfigError: too many clients, too much weight, or a weight that is none.
        """
        if not weights or not all(type(one) is int and one >= 1 for one in weights):
            raise ConfigError("packing: each client has a whole weight of at least 1")
        total = sum(weights)
        if len(weights) > self.clients or total > self.total_weight:
            raise ConfigError(
                f"packing: the sum of {len(weights)} clients with a total weight of {total} could "
                f"run over: slots of {self.slot} bits are for at most {self.clients} clients and "
                f"a total weight of {self.total_weight}"
            )
        return total

    def quantise(self, values: npt.NDArray[np.float32], draw: Draw) -> npt.NDArray[np.int32]:
        """Return values clipped and rounded: shape (d,), -offset to offset.

        Args:
            values: f32, shape (d,), d ≥ 1.
            draw: gives four bytes for each value, in their order.

        Raises:
            InvalidUpdate: not such an array, or a value is not finite.
        """
        if values.dtype != np.float32 or values.ndim != 1 or not values.size:
            raise InvalidUpdate(None, "one row of float32 values, at least one, is quantised")
        rounded = np.empty(values.size, np.int32)
        for start in range(0, values.size, _CHUNK):
            given = values[start : start + _CHUNK].astype(np.float64)
            if not np.isfinite(given).all():
                first = int(np.flatnonzero(~np.isfinite(given))[0])
                raise InvalidUpdate(None, f"value {start + first} is {given[first]}, not finite")
            np.clip(given, -self.clip, self.clip, out=given)  # so that nothing overflows
            given *= self.scale
            np.clip(given, -self.offset, self.offset, out=given)  # where it was rounded up
            whole = np.floor(given)
            drawn = np.frombuffer(draw(4 * given.size), "<u4")
            rounded[start : start + _CHUNK] = whole + (drawn < (given - whole) * 2.0**32)
        return rounded

    def pack(self, rounded: npt.NDArray[np.int32]) -> list[int]:
        """Return plaintexts that hold rounded values; slots at the end that hold none are 0.

        Args:
            rounded: shape (d,), from `quantise`.

        Raises:
            CryptoError: a value is beyond ±offset.
        """
        if rounded.dtype != np.int32 or rounded.ndim != 1 or not rounded.size:
            raise CryptoError("plaintext", "one row of rounded values (int32) is packed")
        if max(int(rounded.max()), -int(rounded.min())) > self.offset:
            raise CryptoError("plaintext", f"a rounded value is beyond the clip, ±{self.offset}")
        width, found = -(-self.slots * self.slot // 8), list[int]()
        for part in self._parts(rounded.size):
            slots = np.zeros(self.ciphertexts(part.stop - part.start) * self.slots, "<u8")
            slots[: part.stop - part.start] = rounded[part].astype(np.int64) + self.offset
            numbers = slots.view(np.uint8).reshape(-1, 8)
            bits = np.unpackbits(numbers, axis=1, count=self.slot, bitorder="little")
            rows = np.packbits(bits.reshape(-1, self.slots * self.slot), axis=1, bitorder="little")
            data = rows.tobytes()
            found += [
                int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)
            ]
        return found

    def unpack(self, plaintexts: Sequence[int], count: int, weight: int) -> npt.NDArray[np.int64]:
        """Return the exact sums of weighted rounded values that opened plaintexts hold.

        What a cheater put into a slot is found only where a sum shows it: nothing bounds a single
        hidden value.

        Args:
            plaintexts: as many as `count` values take.
            count: number of values, d.
            weight: total of the weights that were summed; the number of clients in a plain sum.

        Returns:
            Shape (d,), each from -weight·offset to weight·offset.

        Raises:
            CryptoError: another number of plaintexts, one that is too large, or a slot that no sum
                of this weight reaches.
            ConfigError: the weight is above `total_weight`.
        """
        if type(weight) is not int or not 1 <= weight <= self.total_weight:
            raise ConfigError(f"packing: no sum has the weight {weight}: 1 to {self.total_weight}")
        if count < 1 or len(plaintexts) != self.ciphertexts(count):
            raise CryptoError(
                "plaintexts", f"{len(plaintexts)} of them do not hold exactly {count} values"
            )
        used = self.slots * self.slot
        width, most = -(-used // 8), 2 * self.offset * weight
        sums = np.empty(count, np.int64)
        for part in self._parts(count):
            first = part.start // self.slots
            chosen = plaintexts[first : first + self.ciphertexts(part.stop - part.start)]
            for number, one in enumerate(chosen, first):
                if one < 0 or one >> used:
                    raise CryptoError(f"plaintext {number}", "there is something above its slots")
            data = b"".join(int(one).to_bytes(width, "little") for one in chosen)
            rows = np.frombuffer(data, np.uint8).reshape(-1, width)
            bits = np.unpackbits(rows, axis=1, count=used, bitorder="little")
            packed = np.packbits(bits.reshape(-1, self.slot), axis=1, bitorder="little")
            slots = np.zeros((len(packed), 8), np.uint8)
            slots[:, : packed.shape[1]] = packed
            found = slots.view("<u8").reshape(-1)
            size = part.stop - part.start
            if (found[:size] > most).any() or found[size:].any():
                raise CryptoError(
                    "plaintext", f"a slot holds what no sum of the weight {weight} reaches"
                )
            sums[part] = found[:size].astype(np.int64) - self.offset * weight
        return sums

    def mean(self, sums: npt.NDArray[np.int64], weight: int) -> npt.NDArray[np.float32]:
        """Return the weighted average in the values' unit: sum / (scale · weight), as f32."""
        return (sums / (self.scale * weight)).astype(np.float32)

    def _parts(self, count: int) -> list[slice]:
        """Return slices of the values that fill whole plaintexts, of about `_CHUNK` each."""
        size = max(1, _CHUNK // self.slots) * self.slots
        return [slice(at, min(at + size, count)) for at in range(0, count, size)]
