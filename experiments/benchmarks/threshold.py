"""What threshold decryption costs, proved one by one and in batches.

    python -m fedledger.experiments.benchmarks.threshold [--ciphertexts 1177] [--trainers 10]
        [--threshold 6] [--key-bits 2048] [--format json]

1,177 ciphertexts of 2048 bits hold 100,000 values of 16 bits from ten clients. Times are of the
processor, all threads together, for a ciphertext. A key is dealt for the measurement. What takes
the same time for each ciphertext is measured on some of them; what is done in batches, on all.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import ceil

import gmpy2
from rich.table import Table

from fedledger.effects import Effects
from fedledger.errors import RunError

from ...crypto import paillier
from ...crypto import threshold as crypto
from ...crypto.transcript import Transcript
from ...strategies.aggregation.kernels.parallel import thread_count
from .program import told

__all__ = ["Measured", "main", "measure_threshold", "verify_ratio_batched"]

_SINGLES = 12
_SOME = 96


@dataclass(slots=True)
class Measured:
    """What was measured.

    Attributes:
        key_bits: bits of the modulus.
        trainers: l.
        threshold: t.
        ciphertexts: how many were proved together.
        cores: threads.
        bytes: of a proof of each kind, and of one decryption share.
        deal_s: processor seconds for a key.
        check_s: processor seconds for all checks of the public keys.
        cpu_ms: processor milliseconds for a ciphertext, by stage.
        textbook_ms: the exponentiation that a share costs where it is computed modulo n².
    """

    key_bits: int
    trainers: int
    threshold: int
    ciphertexts: int
    cores: int
    bytes: dict[str, int] = field(default_factory=dict)
    deal_s: float = 0.0
    check_s: float = 0.0
    cpu_ms: dict[str, float] = field(default_factory=dict)
    textbook_ms: float = 0.0

    @property
    def verify_ratio_batched(self) -> float:
        """How many times as long it takes to verify shares one by one."""
        return self.cpu_ms["verify shares, one by one"] / self.cpu_ms["verify shares, batched"]

    def document(self) -> dict[str, object]:
        """Return everything as JSON has it."""
        return {"verify_ratio_batched": self.verify_ratio_batched} | asdict(self)

    @contextmanager
    def stage(self, name: str, count: int) -> Iterator[None]:
        """Time what is done inside to so many ciphertexts."""
        started = time.process_time()
        yield
        self.cpu_ms[name] = 1e3 * (time.process_time() - started) / count


def verify_ratio_batched(*, ciphertexts: int = 1177, key_bits: int = 2048) -> float:
    """Return how many times as long it takes to verify decryption shares one by one."""
    return measure_threshold(ciphertexts=ciphertexts, key_bits=key_bits).verify_ratio_batched


def measure_threshold(
    *, ciphertexts: int = 1177, trainers: int = 10, threshold: int = 6, key_bits: int = 2048
) -> Measured:
    """Measure a round's ciphertexts, from a client's proof to the messages.

    Args:
        ciphertexts: how many are opened.
        trainers: l.
        threshold: t.
        key_bits: bits of the modulus; those of a toy serve tests of this program.

    Raises:
        RunError: what was opened is not what was encrypted.
        CryptoError: the settings make no key.
    """
    effects = Effects.real()
    entropy, cores = effects.entropy, paillier.Cores(effects.work, thread_count())
    found = Measured(key_bits, trainers, threshold, ciphertexts, cores.count)
    started = time.process_time()
    keys, shares = crypto.deal(key_bits, trainers, threshold, entropy, toy=key_bits < 2048)
    found.deal_s, started = time.process_time() - started, time.process_time()
    keys.check(toy=key_bits < 2048)
    found.check_s = time.process_time() - started
    public = keys.public
    messages = [entropy.below(public.n) for _ in range(ciphertexts)]
    sent = paillier.encrypt(paillier.Comb(public, ciphertexts), messages, entropy, cores)
    batch = sent.ciphertexts

    with found.stage("prove plaintexts, batched", ciphertexts):
        known = crypto.prove_plaintexts(
            public, batch, messages, sent.blindings, Transcript("benchmark"), entropy=entropy
        )
    with found.stage("verify plaintexts, batched", ciphertexts):
        crypto.verify_plaintexts(public, batch, known, Transcript("benchmark"))
    with found.stage("partial decryption", ciphertexts):
        numbers = crypto.partial_decryptions(shares[0], batch, cores)
    with found.stage("prove shares, batched", ciphertexts):
        proof = crypto.prove_shares(
            shares[0], batch, numbers, Transcript("benchmark"), entropy=entropy
        )
    with found.stage("verify shares, batched", ciphertexts):
        crypto.verify_shares(keys, batch, numbers, proof, Transcript("benchmark"), trainer=1)

    singles = [([c], [x]) for c, x in zip(batch[:_SINGLES], numbers, strict=False)]
    with found.stage("prove shares, one by one", len(singles)):
        proofs = [
            crypto.prove_shares(shares[0], *one, Transcript("benchmark"), entropy=entropy)
            for one in singles
        ]
    with found.stage("verify shares, one by one", len(singles)):
        for one, single in zip(singles, proofs, strict=True):
            crypto.verify_shares(keys, *one, single, Transcript("benchmark"), trainer=1)

    some = batch[:_SOME]
    given = {
        share.trainer: crypto.partial_decryptions(share, some, cores)
        for share in shares[-threshold:]
    }
    with found.stage("combine", len(some)):
        roots = crypto.combine(keys, some, given, cores)
    with found.stage("lift", len(some)):
        opening = crypto.lift(keys, some, roots, cores)
    if list(opening.messages) != messages[: len(some)]:
        raise RunError("the opened messages are not those that were encrypted")
    repeated = ceil(ciphertexts / len(some))
    several = crypto.Opening(opening.messages * repeated, opening.roots * repeated)
    with found.stage("check an opening, batched", repeated * len(some)):
        crypto.check_opening(keys, some * repeated, several, Transcript("benchmark"))

    found.textbook_ms = _textbook(public.n, keys.delta, some[:_SINGLES], entropy.below(public.n2))
    found.bytes = {
        "proof of plaintexts": len(known.encode(public)),
        "proof of shares": len(proof.encode(keys)),
        "decryption share": keys.width,
    }
    return found


def _textbook(n: int, delta: int, batch: Sequence[int], secret: int) -> float:
    """Return processor milliseconds for c^(2Δ·s) mod n² with s of twice as many bits as n."""
    started = time.process_time()
    for one in batch:
        gmpy2.powmod_sec(one, 2 * delta * secret, n * n)
    return 1e3 * (time.process_time() - started) / len(batch)


def as_table(measured: Measured) -> Table:
    """Return the times as a table for people."""
    table = Table(
        title=f"{measured.threshold} of {measured.trainers} trainers, modulus of "
        f"{measured.key_bits} bits, {measured.ciphertexts:,} ciphertexts"
    )
    table.add_column("stage")
    table.add_column("processor a ciphertext", justify="right")
    table.add_column("all of them", justify="right")
    for name, each in measured.cpu_ms.items():
        table.add_row(name, f"{each:.3f} ms", f"{each * measured.ciphertexts / 1e3:.2f} s")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    options = {
        "ciphertexts": (1177, "of a round"),
        "trainers": (10, "who hold shares"),
        "threshold": (6, "who open together"),
        "key_bits": (2048, "of the modulus"),
    }
    about = "Threshold decryption, proved in batches."
    return told(about, options, measure_threshold, as_table, _lines, arguments)


def _lines(measured: Measured) -> list[str]:
    return [
        (
            f"verifying shares in a batch: {measured.verify_ratio_batched:,.0f} times as fast as "
            f"one by one; a share modulo n² would cost {measured.textbook_ms:.1f} ms"
        ),
        f"a key is dealt in {measured.deal_s:.1f} s, checked in {measured.check_s:.2f} s; bytes: "
        + ", ".join(f"{name} {size}" for name, size in measured.bytes.items()),
    ]


if __name__ == "__main__":
    sys.exit(main())
