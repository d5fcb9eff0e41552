"""Small threshold keys whose factors the test knows, and ciphertexts under them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from fedledger.crypto.paillier.cores import Cores
from fedledger.crypto.threshold import KeyShare, ThresholdKeys, partial_decryptions
from fedledger.crypto.threshold.dealing import _factors, _split
from fedledger.crypto.transcript import Transcript, round_transcript
from fedledger.effects import Effects
from fedledger.experiments.sim.values import SeededEntropy

__all__ = ["CORES", "Scene", "entropy", "place", "scene"]

CORES = Cores(Effects.real().work, 2)
PLACE = {"chain": 31337, "contract": "0xAb", "task": 7, "round": 3, "account": "0xC1"}


@dataclass(frozen=True)
class Scene:
    """A key, all its secrets, and some ciphertexts with what is in them."""

    p: int
    q: int
    keys: ThresholdKeys
    shares: tuple[KeyShare, ...]
    messages: list[int]
    blindings: list[int]
    ciphertexts: list[int]

    @property
    def n(self) -> int:
        return self.keys.public.n

    def decrypted(self, *trainers: int) -> dict[int, list[int]]:
        """Return these trainers' decryption shares."""
        return {
            at: partial_decryptions(self.shares[at - 1], self.ciphertexts, CORES) for at in trainers
        }

    def encrypted(self, message: int, blinding: int) -> int:
        """Return a ciphertext, by the formula."""
        n, h = self.n, self.keys.public.h
        return (1 + message * n) * pow(h, blinding, n * n) % (n * n)


def entropy(name: str) -> SeededEntropy:
    """Return a stream that is the same in every run."""
    return SeededEntropy(13, name)


def place(keys: ThresholdKeys, **changed: Any) -> Transcript:
    """Return the transcript of one account in one round, or of another place."""
    values = {**PLACE, "key": keys.digest, **changed}
    protocol = values.pop("protocol", "fedledger test 1")
    return round_transcript(protocol, **values)


@cache
def scene(bits: int = 512, trainers: int = 5, threshold: int = 3, count: int = 12) -> Scene:
    """Return a scene, the same one in every run."""
    draws = entropy(f"{bits} {trainers} {threshold}")
    p, q = _factors(bits // 2, draws)
    keys, secrets = _split(p, q, trainers, threshold, draws)
    shares = tuple(KeyShare(at, one, keys) for at, one in enumerate(secrets, 1))
    messages = [0, 1, p * q - 1, *(draws.below(p * q) for _ in range(count - 3))]
    blindings = [draws.below(1 << keys.public.blinding_bits) for _ in range(count)]
    made = Scene(p, q, keys, shares, messages, blindings, [])
    pairs = zip(messages, blindings, strict=True)
    made.ciphertexts.extend(made.encrypted(message, blinding) for message, blinding in pairs)
    return made
