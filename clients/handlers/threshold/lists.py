"""A trainer and the round's list: it checks every ciphertext on it, multiplies them, and signs."""

from typing import Any, ClassVar

from flwr.app import Message, RecordDict

from fedledger.arrays import Arrays, from_record, to_safetensors
from fedledger.errors import AccountError, CryptoError, ModelError

from ....crypto.paillier import add, from_bytes, to_bytes
from ....crypto.threshold import PlaintextProof, ThresholdKeys, verify_plaintexts
from ....ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    PROOF,
    bytes_of,
    mask_layout,
    packing_of,
    transcript_of,
)
from ....ledger_plugins.contracts.threshold_keys.lists import CiphertextList, Entry
from ....ledger_plugins.contracts.threshold_keys.statements import LIST
from ....ledger_plugins.storage.cid import cid_of
from ...phases import Answered, Asked, PhaseHandler
from .specification import Known, check_submitted, known_of

__all__ = ["BOUND", "ListHandler", "checked_list"]

BOUND = "ciphertext list"
"""Under this name the journal has the digest of the only list of a round that a trainer opens."""


class ListHandler(PhaseHandler):
    """Signs the first list of a round that holds; the app is not asked.

    The product of the list's ciphertexts is kept: of nothing else does the trainer give a share.
    """

    signs: ClassVar = (LIST,)

    def answer(self, asked: Asked) -> Answered:
        """Return an empty reply and the list's digest to sign.

        Raises:
            AccountError: the list may not be opened, is not what this trainer's ledger has, or
                another one of the round is signed already.
            CryptoError: a ciphertext or its proof does not hold; names whose.
            ModelError: a content is missing, or of another form.
        """
        known = known_of(asked)
        keys, _ = asked.keyring.kept(known.keys, known.place)
        listed, digest = checked_list(asked, known)
        records = asked.message.content.array_records
        count = _count(records, listed)
        weights = listed.weights(known.terms)
        packing_of(known.terms).check_weights(weights)
        batches = (_ciphertexts(asked, known, keys, one, count) for one in listed.entries)
        product = add(keys.public, batches, weights)
        asked.bind(BOUND, digest.hex())
        asked.keyring.keep_product(digest, to_bytes(keys.public, product))
        reply = Message(RecordDict(), reply_to=asked.message)
        return Answered(reply, {LIST.name: {"list": digest}})


def checked_list(asked: Asked, known: Known) -> tuple[CiphertextList, bytes]:
    """Return the list in a message's details, and its digest, once it may be opened at all.

    Raises:
        AccountError: it may not; see `CiphertextList.check` and `check_submitted`.
        ConfigError: the details hold no list.
    """
    listed = CiphertextList.read(asked.details.get("entries"))
    listed.check(asked.domain, known.terms, known.trainers)
    check_submitted(asked, {one.account: one.cid for one in listed.entries})
    return listed, listed.digest(asked.domain, known.keys)


def _ciphertexts(
    asked: Asked, known: Known, keys: ThresholdKeys, entry: Entry, count: int
) -> list[int]:
    """Return an entry's ciphertexts, once their content is the one signed and their proof holds."""
    layout, public = mask_layout(keys, count), keys.public
    record = asked.message.content.array_records[entry.account]
    try:
        arrays: Arrays = from_record(record, layout, max_bytes=2 * layout.nbytes)
    except ModelError as error:
        raise ModelError(f"the masked update of {entry.account}: {error}") from error
    if cid_of(to_safetensors({key: arrays[key] for key in layout.keys})) != entry.cid:
        raise AccountError(f"what came as the masked update of {entry.account} is not {entry.cid}")
    try:
        numbers = from_bytes(public, bytes_of(arrays, CIPHERTEXTS), count)
        proof = PlaintextProof.decode(bytes_of(arrays, PROOF), public)
        transcript = transcript_of(asked.domain, entry.account, known.terms, keys)
        verify_plaintexts(public, numbers, proof, transcript)
    except CryptoError as error:
        raise CryptoError(f"masked update of {entry.account}", str(error)) from error
    return numbers


def _count(records: Any, listed: CiphertextList) -> int:
    """Return how many ciphertexts an update has: as many as the first, which all others have."""
    for account in listed.accounts:
        if account not in records:
            raise ModelError(f"the masked update of {account} is on the list and did not come")
    first = records[listed.accounts[0]]
    if CIPHERTEXTS not in first or len(first[CIPHERTEXTS].shape) != 2:
        raise ModelError(f"the masked update of {listed.accounts[0]} has no {CIPHERTEXTS!r}")
    return int(first[CIPHERTEXTS].shape[0])
