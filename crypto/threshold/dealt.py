"""What a dealer hands out: the keys, and an envelope for each trainer. Bytes: docs/formats.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fedledger.errors import CryptoError

if TYPE_CHECKING:
    from .keys import ThresholdKeys

__all__ = ["MOST_BYTES", "Dealing"]

MOST_BYTES: Final = 1 << 16
"""Most bytes of a dealing: 64 trainers of a 3072-bit key take less."""

_MAGIC: Final = b"fedledger dealing 1"


@dataclass(frozen=True, slots=True)
class Dealing:
    """The keys and all envelopes: public, since each envelope opens for its trainer alone.

    Made of anything; `check` tells whether it can be one.

    Attributes:
        keys: `ThresholdKeys.encode()`.
        envelopes: what `seal_share` gave, in the trainers' order; all of one length.
    """

    keys: bytes
    envelopes: tuple[bytes, ...]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the keys' bytes, 32 bytes: `ThresholdKeys.digest`."""
        return sha256(self.keys).digest()

    def encode(self) -> bytes:
        """Return the dealing's bytes, the only ones.

        Raises:
            CryptoError: it has no envelopes, envelopes of several lengths, or too many bytes.
        """
        sizes = {len(one) for one in self.envelopes}
        if len(sizes) != 1:
            raise CryptoError("dealing", "it has envelopes, and all of one length")
        counts = (len(self.keys), 4), (len(self.envelopes), 2), (sizes.pop(), 2)
        found = b"".join((_MAGIC, *_framed(counts), self.keys, *self.envelopes))
        if len(found) > MOST_BYTES:
            raise CryptoError("dealing", f"{len(found)} bytes, and it has at most {MOST_BYTES}")
        return found

    @classmethod
    def decode(cls, data: bytes) -> "Dealing":
        """Return the dealing that bytes hold; its keys and envelopes are as `check` finds them.

        Raises:
            CryptoError: they are no dealing of version 1, or of another length than they say.
        """
        head = len(_MAGIC) + 8
        if len(data) > MOST_BYTES:
            raise CryptoError("dealing", f"{len(data)} bytes, and it has at most {MOST_BYTES}")
        if data[: len(_MAGIC)] != _MAGIC or len(data) < head:
            raise CryptoError("dealing", "these bytes are no dealing of version 1")
        at = len(_MAGIC)
        keys = int.from_bytes(data[at : at + 4], "big")
        count = int.from_bytes(data[at + 4 : at + 6], "big")
        size = int.from_bytes(data[at + 6 : head], "big")
        if not count or not size or len(data) != head + keys + count * size:
            raise CryptoError(
                "dealing",
                f"{len(data)} bytes, where keys of {keys} bytes and {count} envelopes of {size} "
                f"have {head + keys + count * size}",
            )
        start = head + keys
        envelopes = tuple(data[one : one + size] for one in range(start, len(data), size))
        return cls(data[head:start], envelopes)

    def check(self, *, toy: bool = False) -> "ThresholdKeys":
        """Return the keys, checked, and that each of their trainers has an envelope.

        Args:
            toy: also take keys for tests, which hide nothing.

        Raises:
            CryptoError: these are no keys, or there are other envelopes than for their trainers.
            ConfigError: the extra `paillier` is not installed.
        """
        from . import ENVELOPE_EXTRA, ThresholdKeys  # noqa: PLC0415 - an extra

        keys = ThresholdKeys.decode(self.keys, toy=toy)
        if len(self.envelopes) != keys.trainers:
            raise CryptoError(
                "dealing", f"{len(self.envelopes)} envelopes for {keys.trainers} trainers"
            )
        for at, one in enumerate(self.envelopes, 1):
            if len(one) != keys.width + ENVELOPE_EXTRA:
                raise CryptoError(
                    f"envelope {at}",
                    f"{len(one)} bytes, and it has {keys.width + ENVELOPE_EXTRA}",
                )
        return keys

    def __repr__(self) -> str:
        return f"Dealing(of {len(self.envelopes)} trainers, keys {self.digest.hex()})"


def _framed(counts: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return counts, each in so many bytes.

    Raises:
        CryptoError: one has more.
    """
    try:
        return [count.to_bytes(size, "big") for count, size in counts]
    except OverflowError as error:
        raise CryptoError("dealing", "it has more than its bytes can say") from error
