"""Keys of Paillier for tests, which hide nothing, and the examples of docs/formats.md."""

from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np

from fedledger.crypto.paillier import (
    Comb,
    Cores,
    Encrypted,
    Packing,
    PublicKey,
    SecretKey,
    add,
    encrypt,
    to_bytes,
)
from fedledger.effects import Entropy
from fedledger.effects.real import ThreadWork
from fedledger.experiments.sim.values import SeededEntropy

__all__ = ["ONE", "TWO", "encrypted", "entropy", "examples_of_paillier", "toy"]

ONE, TWO = (Cores(ThreadWork(), count) for count in (1, 2))

_PRIMES = {
    2048: (
        int(
            "ebf3955fb9a38bdb9d044d2a481df37aca8fa4024aa545fa238098125a8591a5cf551bff4f120e7b104e"
            "ab59b2b9f79d3a25e0b0ae4ef493691d07b5863f7d0d19136d53a0306b3650cfd8648a7d1b69676a58e1"
            "56cac3b61c4793c63d6a2737b46f585627f6a2829e75637ea014e9ac04c2f4c35954ba80fc86e6deb6f5"
            "040f",
            16,
        ),
        int(
            "ce763ae405361f9ae29edcd5ed4c9ead2cbc343e70456cac9eb558bb268a21551fd8de7bf69f468fd978"
            "0862552004904e85ad68115fb2cae486239f510f0b117be8b8d4f7075ef0a2f653659f54b43697d24a9d"
            "25d2bb6735b5d6590f7cbd2b38be11b157b77e97c5386733730980af9507d32643b53711cad1e18336d4"
            "c357",
            16,
        ),
    ),
    3072: (
        int(
            "c245b0a4faa6008ce175870f4c165abdd73df2a65e270a2c4acd2816aa16a4294484b219078d0d788e7b"
            "7e7835d1f8f41c72ef7c69e191a289b93c7f86ca68b0489252532d8ec457343f61f97f13739dfc6e5674"
            "42f971bcdec76d25730d85b8e0af2b938444a6dc3984c1a627ba70844468a0213bf0da635bf4abf2da37"
            "3d3f89bc598aea0d80bc4c74f88ee0dc9d66cc508189b1b823a96ca79ef7dd60929e6bbd02ad695fb564"
            "e5dc9ed919eb15f49d695fdd20116c35edd54fb47a11060f",
            16,
        ),
        int(
            "df382486c8300d4694e85a894929a5ea18f38b6c0c8abb56c8e968732979342b3131d8be2aad0b2169bd"
            "2170847692c93422c95154bcfa5d47c6cb767bc93664a83f41cc5a28647467587753965630b48a8c4c54"
            "65e86a98087f826c6bd92d39a79c5b0e3f5b0e55429738c20260c961c29edd286f5feabdf142091577bf"
            "a314a12fdcd2e8f1740c4cd63fe7662421f9f7b748ea15205ec35469cc46777a888ffdc6d5096ac5b1fc"
            "c5b8e1ca37844273b482f4e52de24a1c4cfae665714bfed7",
            16,
        ),
    ),
}


def entropy(name: str) -> SeededEntropy:
    """Return bytes that are the same in every run."""
    return SeededEntropy(13, name)


@cache
def toy(bits: int = 256, name: str = "a") -> SecretKey:
    """Return a key that is the same in every run."""
    return SecretKey.create(bits, entropy(f"{bits} {name}"), toy=True)


def encrypted(secret: SecretKey, plaintexts: list[int], name: str = "x") -> Encrypted:
    """Encrypt with blindings that are the same in every run."""
    return encrypt(Comb(secret.public, len(plaintexts)), plaintexts, entropy(name), ONE)


class _Written(Entropy):
    """Bytes that a vector has."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def draw(self, count: int) -> bytes:
        found, self.data = self.data[:count], self.data[count:]
        return found


def examples_of_paillier() -> Any:
    """Keys of both sizes; three clients' values, rounded, packed, encrypted, and their sum."""
    return [_example(*given) for given in ((2048, 16, 0.5, 16), (3072, 11, 3.0, 9))]


def _example(key_bits: int, bits: int, clip: float, total_weight: int) -> dict[str, Any]:
    p, q = _PRIMES[key_bits]
    public = PublicKey.of_modulus(p * q, _Written(_stream("y", key_bits // 8)))
    secret = SecretKey(p, q, public)
    packing = Packing(key_bits, bits, clip, 3, total_weight)
    count, comb = packing.slots + 3, Comb(public, 6)
    clients, batches, weights = [], [], (1, total_weight - 3, 2)
    for client, weight in enumerate(weights):
        values = _values(client, count, clip)
        drawn = _stream(f"draw {client}", 4 * count)
        rounded = packing.quantise(values, _Written(drawn).draw)
        plaintexts = packing.pack(rounded)
        x = _stream(f"x {client}", public.blinding_bits // 8 * len(plaintexts))
        batch = encrypt(comb, plaintexts, _Written(x), ONE)
        batches.append(batch.ciphertexts)
        clients.append(
            {
                "weight": weight,
                "values": values.astype("<f4").tobytes().hex(),
                "drawn": drawn.hex(),
                "rounded": rounded.tolist(),
                "plaintexts": [f"{one:x}" for one in plaintexts],
                "x": x.hex(),
                "ciphertexts": to_bytes(public, batch.ciphertexts).hex(),
            }
        )
    total = add(public, batches, weights)
    sums = packing.unpack([secret.decrypt(one) for one in total], count, packing.total_weight)
    return {
        "bits": key_bits,
        "p": f"{p:x}",
        "q": f"{q:x}",
        "y": _stream("y", key_bits // 8).hex(),
        "key": public.encode().hex(),
        "digest": public.digest.hex(),
        "value_bits": bits,
        "clip": np.array(clip, "<f8").tobytes().hex(),
        "total_weight": total_weight,
        "slot": packing.slot,
        "slots": packing.slots,
        "clients": clients,
        "product": to_bytes(public, total).hex(),
        "sums": sums.tolist(),
        "mean": packing.mean(sums, total_weight).astype("<f4").tobytes().hex(),
    }


def _stream(name: str, count: int) -> bytes:
    drawn = b"".join(sha256(f"{name} {k}".encode()).digest() for k in range(-(-count // 32)))
    return b"\0" + drawn[: count - 1] if name == "y" else drawn[:count]


def _values(client: int, count: int, clip: float) -> Any:
    """Return values of which some are at the clip, beyond it, zero or next to nothing."""
    drawn = np.frombuffer(_stream(f"values {client}", 4 * count), "<u4").astype(np.float64)
    values = ((drawn / 2**31 - 1) * clip * 1.01).astype(np.float32)
    values[:8] = [0, -0.0, clip, -clip, 3e38, -3e38, 1e-45, -1e-45]
    return values
