"""What travels in an encrypted round: numbers as arrays of bytes, in layouts that are fixed before.

Each number is a row of as many bytes as its modulus has, the most significant first. So contents
are of one length for everybody, and go where models go: into messages, or by the store.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedledger.arrays import Arrays, Layout
from fedledger.formats import canonical_json

from ....crypto.paillier import Packing
from ....crypto.threshold import PlaintextProof, ShareProof, ThresholdKeys
from ....crypto.transcript import Transcript, round_transcript
from ...signing import Domain
from .terms import PROTOCOL, ThresholdTerms

__all__ = [
    "CIPHERTEXTS",
    "MESSAGES",
    "PROOF",
    "ROOTS",
    "SHARES",
    "bytes_of",
    "digits",
    "mask_layout",
    "numbers_of",
    "packing_of",
    "part_layout",
    "part_of",
    "row",
    "share_layout",
    "transcript_of",
]

CIPHERTEXTS, PROOF, SHARES = "ciphertexts", "proof", "shares"
ROOTS, MESSAGES = "roots", "messages"

Digits = NDArray[np.uint8]


def packing_of(terms: ThresholdTerms) -> Packing:
    """Return how values lie in a round's plaintexts.

    Raises:
        ConfigError: the terms leave no room for a value.
    """
    return Packing(terms.key_bits, terms.bits, terms.clip, terms.trainers, terms.total_weight)


def transcript_of(
    domain: Domain, account: str, terms: ThresholdTerms, keys: ThresholdKeys
) -> Transcript:
    """Return the transcript of an account's proof in a round: bound to place, keys and terms."""
    said = terms.model_dump(mode="json") | {"keys": keys.digest.hex()}
    return round_transcript(
        f"fedledger {PROTOCOL} 1",
        chain=domain.chain_id,
        contract=domain.contract,
        task=domain.task,
        round=domain.round,
        account=account,
        key=canonical_json(said),
    )


def mask_layout(keys: ThresholdKeys, count: int) -> Layout:
    """Return the layout of a masked update: `count` ciphertexts, and the proof of all."""
    proof = len(PlaintextProof(0, 0, 0).encode(keys.public))
    return _layout((CIPHERTEXTS, (count, keys.public.width)), (PROOF, (proof,)))


def share_layout(keys: ThresholdKeys, count: int) -> Layout:
    """Return the layout of a trainer's decryption shares of `count` ciphertexts."""
    proof = len(ShareProof(0, 0).encode(keys))
    return _layout((SHARES, (count, keys.width)), (PROOF, (proof,)))


def part_layout(keys: ThresholdKeys, most: int) -> Layout:
    """Return the layout of a part's messages: rows of the longest part, zeros where it is shorter.

    Args:
        keys: the threshold key.
        most: ciphertexts of the longest part.
    """
    return _layout((MESSAGES, (most, keys.width)))


def part_of(number: int, parts: int, count: int) -> slice:
    """Return which ciphertexts belong to a part.

    Args:
        number: the part, from 0.
        parts: how many there are.
        count: number of ciphertexts. Parts differ by one at most; the first are the longer ones.
    """
    size, rest = divmod(count, parts)
    start = number * size + min(number, rest)
    return slice(start, start + size + (number < rest))


def digits(numbers: Sequence[int], width: int) -> Digits:
    """Return numbers as rows of `width` bytes, shape (k, width)."""
    data = b"".join(one.to_bytes(width, "big") for one in numbers)
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def numbers_of(array: NDArray[Any]) -> list[int]:
    """Return the numbers of rows of bytes."""
    width = array.shape[1]
    data = array.tobytes()
    return [int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)]


def row(data: bytes) -> Digits:
    """Return bytes as an array, shape (k,)."""
    return np.frombuffer(data, np.uint8)


def bytes_of(arrays: Arrays, name: str) -> bytes:
    """Return an array's bytes."""
    return arrays[name].tobytes()


def _layout(*arrays: tuple[str, tuple[int, ...]]) -> Layout:
    return Layout(
        tuple(name for name, _ in arrays),
        tuple(shape for _, shape in arrays),
        ("uint8",) * len(arrays),
    )
