"""A trainer masks its update: rounded, packed, encrypted under the threshold key, and proved."""

import logging
from dataclasses import replace
from hashlib import sha256
from typing import ClassVar

import numpy as np

from fedledger.arrays import Arrays, Layout

from ....crypto.paillier import Comb, encrypt
from ....crypto.paillier.cores import here
from ....crypto.threshold import ThresholdKeys, prove_plaintexts
from ....ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    PROOF,
    bytes_of,
    digits,
    packing_of,
    row,
    transcript_of,
)
from ....ledger_plugins.contracts.threshold_keys.statements import MASKED
from ....ledger_plugins.contracts.threshold_keys.terms import ThresholdTerms
from ....ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ...phases import Answered, Asked, PhaseHandler
from ..training import TrainingHandler
from .specification import known_of

__all__ = ["MaskedHandler", "Masking"]

logger = logging.getLogger(__name__)


class MaskedHandler(PhaseHandler):
    """Lets the app train, and sends the update's ciphertexts with the proof that it knows them.

    What blinds a ciphertext is drawn fresh for each. How values are rounded follows from the
    trainer's secret salt of the round, so that a round that is asked for again rounds alike; and it
    answers with what it has answered.
    """

    signs: ClassVar = (SUBMIT_UPDATE, MASKED)
    keeps: ClassVar[bool] = True

    def answer(self, asked: Asked) -> Answered:
        """Return the masked update; its CID and the proof's hash are signed for the ledger.

        Raises:
            AccountError: the keys are not those of the task, or were never accepted.
            InvalidUpdate: the update holds a value that is not finite.
        """
        known = known_of(asked)
        keys, _ = asked.keyring.kept(known.keys, known.place)  # before anything is trained
        answered = Masking(known.terms, keys).answer(asked)
        if answered.reply.has_error():
            return answered
        call = answered.values[SUBMIT_UPDATE.name]
        stated = {"cid": call["cid"], "samples": call["samples"]}
        return replace(answered, values={**answered.values, MASKED.name: stated})


class Masking(TrainingHandler):
    """Training whose update is masked under a key.

    Args:
        terms: the task's terms.
        keys: its threshold key.
    """

    def __init__(self, terms: ThresholdTerms, keys: ThresholdKeys) -> None:
        self._terms, self._keys = terms, keys

    def form(self, asked: Asked, layout: Layout, before: Arrays, after: Arrays) -> Arrays:
        """Return the ciphertexts of the difference, and their proof."""
        terms, keys = self._terms, self._keys
        packing = packing_of(terms)
        update = layout.difference(after, before)
        beyond = int(np.count_nonzero(np.abs(update) > packing.clip))
        if beyond:
            logger.warning(
                "round %d: %d of %d values are beyond the clip of %g, and are cut there",
                asked.round,
                beyond,
                update.size,
                packing.clip,
            )
        seed = sha256(b"fedledger rounding 1" + asked.salt).digest()
        drawn = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))
        plain = packing.pack(packing.quantise(update, drawn.bytes))
        made = encrypt(Comb(keys.public, len(plain)), plain, asked.entropy, here())
        proof = prove_plaintexts(
            keys.public,
            made.ciphertexts,
            plain,
            made.blindings,
            transcript_of(asked.domain, asked.account, terms, keys),
            entropy=asked.entropy,
        )
        return {
            CIPHERTEXTS: digits(made.ciphertexts, keys.public.width),
            PROOF: row(proof.encode(keys.public)),
        }

    def seal(self, asked: Asked, content: Arrays) -> bytes:  # noqa: ARG002 - of the proof
        """Return the hash of the proof, which so stands on the ledger."""
        return sha256(bytes_of(content, PROOF)).digest()
