"""Transcripts of proofs without interaction: what a challenge depends on (Fiat and Shamir, 1986).

A proof takes the transcript of its caller. The caller made it for one use, usually by
`round_transcript`: which chain, contract, task, round, account and key the proof is for. The proof
then begins its own section under a label of `Label`, absorbs everything public that it speaks of
(parameters, statement, commitments) and draws challenges. Who verifies makes the same transcript
anew: anything that differs gives other challenges, and the proof does not hold.

A transcript moves on with every call. One object serves one proof, or several that are made and
verified in one order, each bound to those before it; what proved cannot verify.

The bytes go into one SHAKE-256 (FIPS 202), each part after its kind and length, so no two series of
calls give the same bytes. A challenge is 128 bits of its output; the draw itself goes in as well.
"""

from enum import StrEnum, unique
from hashlib import shake_256
from typing import Final, Self

__all__ = ["CHALLENGE_BITS", "Label", "Transcript", "round_transcript"]

CHALLENGE_BITS: Final = 128
"""Size of a challenge: a false proof passes with a chance of 2^-128 at each try."""

_MAGIC: Final = b"fedledger transcript 1"
_ABSORB, _DRAW = b"\x01", b"\x02"


@unique
class Label(StrEnum):
    """What a section of a transcript proves, with the version of its form. Every proof is here."""

    PLAINTEXTS = "plaintext knowledge 1"
    SHARES = "decryption shares 1"
    OPENING = "opening 1"
    TRIAL = "trial ciphertext 1"


class Transcript:
    """A transcript.

    Args:
        protocol: who uses it, with a version: "fedledger threshold-paillier 1".
    """

    __slots__ = ("_state",)

    def __init__(self, protocol: str) -> None:
        self._state = shake_256(_MAGIC)
        self.absorb("protocol", protocol)

    def begin(self, label: Label) -> None:
        """Begin the section of a proof."""
        self.absorb("begin", label.value)

    def absorb(self, name: str, *parts: bytes | int | str) -> None:
        """Absorb values that the challenges to come depend on.

        Args:
            name: what they are.
            parts: bytes, text, or integers that are not negative, each framed by kind and length.
        """
        self._state.update(_ABSORB + _framed(name.encode()) + _size(len(parts)))
        for part in parts:
            self._state.update(_part(part))

    def challenge(self, name: str) -> int:
        """Return an integer below 2^128."""
        return self.challenges(name, 1)[0]

    def challenges(self, name: str, count: int) -> list[int]:
        """Return so many integers below 2^128."""
        size = CHALLENGE_BITS // 8
        drawn = self.draw(name, size * count)
        return [int.from_bytes(drawn[at : at + size], "big") for at in range(0, len(drawn), size)]

    def draw(self, name: str, count: int) -> bytes:
        """Return so many bytes, which everything absorbed decides."""
        self._state.update(_DRAW + _framed(name.encode()) + _size(count))
        return self._state.copy().digest(count)

    def copy(self) -> Self:
        """Return another one that goes on from here by itself."""
        other = object.__new__(type(self))
        other._state = self._state.copy()
        return other


def round_transcript(
    protocol: str, *, chain: int, contract: str, task: int, round: int, account: str, key: bytes
) -> Transcript:
    """Return the transcript of what one account proves in one round of a task.

    Args:
        protocol: the protocol's name and version.
        chain: the ledger's chain id.
        contract: address of the task's contract, with or without capitals.
        task: number of the task.
        round: number of the round; 0 is the set-up.
        account: whose proof it is: its address, with or without capitals.
        key: digest of the keys in use, with the parameters agreed on.
    """
    transcript = Transcript(protocol)
    transcript.absorb("place", chain, contract.lower(), task, round)
    transcript.absorb("account", account.lower())
    transcript.absorb("key", key)
    return transcript


def _part(part: bytes | int | str) -> bytes:
    if isinstance(part, str):
        return b"s" + _framed(part.encode())
    if isinstance(part, int):
        return b"i" + _framed(part.to_bytes((part.bit_length() + 7) // 8, "big"))
    return b"b" + _framed(part)


def _framed(data: bytes) -> bytes:
    return _size(len(data)) + data


def _size(count: int) -> bytes:
    return count.to_bytes(8, "big")
