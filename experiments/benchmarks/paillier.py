"""Speed and size of packed Paillier, beside `phe`'s encryption of one scalar at a time.

    python -m fedledger.experiments.benchmarks.paillier [--values 1000000] [--bits 16]
        [--key-bits 2048] [--clients 10] [--total-weight 256] [--format json]

One client's values are rounded, packed, encrypted and written as bytes; the server reads and checks
the bytes of all clients (of that one, again and again) and sums them with weights; a part of the
sum is opened and compared with the plaintexts' sum; and decryption shares of 1,177 ciphertexts at
most are verified together and one by one. `phe` encrypts scalars under the same key, some
before and some after. Ours counts with its table, which is made once a key. By processor time both
have one core; by wall time ours has all of them, and `phe`, which has no threads, one.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import numpy as np
from rich.table import Table

from fedledger.effects import Effects
from fedledger.errors import RunError

from ...crypto import paillier
from ...strategies.aggregation.kernels.parallel import thread_count
from .measure import extra_memory
from .program import told
from .threshold import verify_ratio_batched

__all__ = ["Measured", "main", "measure_paillier"]

_OPENED = 300
_SHARED = 1177  # ciphertexts of which decryption shares are made: 100,000 values


@dataclass(slots=True)
class Measured:
    """What was measured.

    Attributes:
        key_bits: bits of the modulus.
        bits: bits of a rounded value.
        values: values of a client.
        clients: clients whose batches were summed.
        ciphertexts: ciphertexts of a client.
        cores: threads.
        bytes_per_value: of a client's batch.
        phe_wall_s: wall seconds of `phe` for a scalar.
        phe_cpu_s: its processor seconds.
        wall_s: wall seconds by stage.
        cpu_s: processor seconds by stage, all threads together.
        extra_mb: peak of resident memory at the client and the server beyond what was there.
        verify_ratio_batched: how many times as long decryption shares take that are verified one by
            one, instead of together (`threshold`).
    """

    key_bits: int
    bits: int
    values: int
    clients: int
    ciphertexts: int
    cores: int
    bytes_per_value: float
    phe_wall_s: float = 0.0
    phe_cpu_s: float = 0.0
    wall_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    extra_mb: dict[str, float | None] = field(default_factory=dict)
    verify_ratio_batched: float = 0.0

    @property
    def encrypt_ratio_phe(self) -> float:
        """How many values ours encrypts while `phe` encrypts one, by processor time."""
        return self.phe_cpu_s * self.values / sum(self.cpu_s[stage] for stage in _ENCRYPTING)

    @property
    def encrypt_ratio_phe_wall(self) -> float:
        """The same by wall time, with all cores for ours."""
        return self.phe_wall_s * self.values / sum(self.wall_s[stage] for stage in _ENCRYPTING)

    def document(self) -> dict[str, object]:
        """Return everything as JSON has it."""
        ratios = ("encrypt_ratio_phe", "encrypt_ratio_phe_wall")
        return {name: getattr(self, name) for name in ratios} | asdict(self)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s[name] = time.perf_counter() - wall
        self.cpu_s[name] = time.process_time() - cpu


_ENCRYPTING = ("table of the key", "round and pack", "encrypt")


def measure_paillier(
    *,
    key_bits: int = 2048,
    bits: int = 16,
    values: int = 1_000_000,
    clients: int = 10,
    total_weight: int = 256,
    scalars: int = 100,
) -> Measured:
    """Measure a round of one client and the server.

    Args:
        key_bits: bits of the modulus.
        bits: bits of a rounded value.
        values: values of a client.
        clients: how many batches the server sums.
        total_weight: of the clients together; it is dealt as evenly as it can be.
        scalars: how many `phe` encrypts, before and after.

    Raises:
        RunError: what was opened is not the sum.
        ConfigError: the settings make no packing.
    """
    effects = Effects.real()
    entropy, cores = effects.entropy, paillier.Cores(effects.work, thread_count())
    packing = paillier.Packing(key_bits, bits, 1.0, clients, total_weight)
    weights = [total_weight // clients + (k < total_weight % clients) for k in range(clients)]
    packing.check_weights(weights)
    vector = np.random.default_rng(1).normal(0, 0.3, values).astype(np.float32)
    count = packing.ciphertexts(values)
    secret = paillier.SecretKey.create(key_bits, entropy)
    key = secret.public
    found = Measured(
        key_bits, bits, values, clients, count, cores.count, count * key.width / values
    )
    peer = paillier.phe_public(key)
    phe = [_phe(peer.encrypt, vector[:scalars].tolist())]
    kept: dict[str, bytes] = {}
    given = {}

    def client() -> None:
        with found.stage("table of the key"):
            comb = paillier.Comb(key, count)
        with found.stage("round and pack"):
            given["rounded"] = packing.quantise(vector, entropy.draw)
            plaintexts = packing.pack(given["rounded"])
        with found.stage("encrypt"):
            batch = paillier.encrypt(comb, plaintexts, entropy, cores)
        with found.stage("write"):
            kept["batch"] = paillier.to_bytes(key, batch.ciphertexts)

    def server() -> None:
        with found.stage("read, check and sum"):
            read = (paillier.from_bytes(key, kept["batch"], count) for _ in weights)
            kept["sum"] = paillier.to_bytes(key, paillier.add(key, read, weights))

    for name, call in (("client", client), ("server", server)):
        found.extra_mb[name] = extra_memory(call)
        if found.extra_mb[name] is None:
            call()
    phe.append(_phe(peer.encrypt, vector[:scalars].tolist()))
    found.phe_wall_s, found.phe_cpu_s = map(min, zip(*phe, strict=True))
    opened = min(_OPENED, count)
    part = min(opened * packing.slots, values)
    total = paillier.from_bytes(key, kept["sum"][: opened * key.width], opened)
    with found.stage(_opening(opened)):
        plaintexts = paillier.decrypt(secret, total, cores)
    sums = packing.unpack(plaintexts, part, total_weight)
    if (sums != total_weight * given["rounded"][:part].astype(np.int64)).any():
        raise RunError("the opened sum is not the sum of the plaintexts")
    shared = min(count, _SHARED)
    found.verify_ratio_batched = verify_ratio_batched(ciphertexts=shared, key_bits=key_bits)
    return found


def _opening(count: int) -> str:
    return f"open {count} of the sum, whole key"


def _phe(encrypt: Callable[[float], object], scalars: Sequence[float]) -> tuple[float, float]:
    """Return wall and processor seconds for a scalar."""
    wall, cpu = time.perf_counter(), time.process_time()
    for one in scalars:
        encrypt(one)
    return (time.perf_counter() - wall) / len(scalars), (time.process_time() - cpu) / len(scalars)


def as_table(measured: Measured) -> Table:
    """Return where the time goes, as a table for people."""
    table = Table(
        title=f"{measured.values:,} values of {measured.bits} bits, modulus of "
        f"{measured.key_bits}, {measured.ciphertexts:,} ciphertexts"
    )
    table.add_column("stage")
    for heading in ("processor", f"wall, {measured.cores} threads", "processor a ciphertext"):
        table.add_column(heading, justify="right")
    for name, seconds in measured.cpu_s.items():
        number = measured.ciphertexts
        if name.startswith("open"):
            number = min(_OPENED, number)
        each = "" if name.startswith("table") else f"{1e3 * seconds / number:.3f} ms"
        table.add_row(name, f"{seconds:.2f} s", f"{measured.wall_s[name]:.2f} s", each)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    options = {
        "values": (1_000_000, "of a client"),
        "bits": (16, "of a rounded value"),
        "key_bits": (2048, "of the modulus"),
        "clients": (10, "whose batches are summed"),
        "total_weight": (256, "of all clients"),
        "scalars": (100, "for phe"),
    }
    about = "Packed Paillier beside phe."
    return told(about, options, measure_paillier, as_table, _lines, arguments)


def _lines(measured: Measured) -> list[str]:
    return [
        (
            f"phe takes {1e3 * measured.phe_cpu_s:.2f} ms for a scalar: ours encrypts "
            f"{measured.encrypt_ratio_phe:,.0f} times as many values by processor time, "
            f"{measured.encrypt_ratio_phe_wall:,.0f} times by wall time"
        ),
        (
            f"decryption shares one by one take {measured.verify_ratio_batched:,.0f} times as long "
            "to verify as together"
        ),
        f"a client's ciphertexts: {measured.bytes_per_value:.2f} bytes a value",
        *(
            f"memory of the {who}: {extra:,.0f} MB more than before"
            for who, extra in measured.extra_mb.items()
            if extra is not None
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
