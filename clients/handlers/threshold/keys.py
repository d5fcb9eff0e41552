"""A trainer and the keys of a run: it checks its share, accepts, and helps to open a trial."""

from typing import Any, ClassVar

from flwr.app import Message, RecordDict

from fedledger.arrays import to_record, to_safetensors
from fedledger.errors import AccountError, ConfigError

from ....crypto.paillier.cores import here
from ....crypto.threshold import (
    Dealing,
    ThresholdKeys,
    partial_decryptions,
    prove_shares,
    trial_ciphertext,
)
from ....ledger_plugins.contracts.threshold_keys.calls import ACCEPT_KEYS
from ....ledger_plugins.contracts.threshold_keys.contents import (
    PROOF,
    SHARES,
    digits,
    row,
    transcript_of,
)
from ....ledger_plugins.contracts.threshold_keys.statements import TRIAL
from ....ledger_plugins.storage.cid import PROFILES, cid_of, cid_to_bytes
from ...phases import Answered, Asked, PhaseHandler
from .specification import Known, known_of, share_of

__all__ = ["KeysHandler"]


class KeysHandler(PhaseHandler):
    """Accepts the keys that the specification names; the app is not asked."""

    signs: ClassVar = (ACCEPT_KEYS, TRIAL)

    def answer(self, asked: Asked) -> Answered:
        """Return a share of the trial's opening, and the acceptance to sign.

        Raises:
            AccountError: the dealing is not the one that the specification names.
            CryptoError: the keys are not those agreed on, or the dealer's share does not fit.
        """
        known = known_of(asked)
        keys, dealing = _dealt(asked, known)
        number = known.trainers.index(asked.account) + 1
        asked.keyring.keep(dealing.keys, number, dealing.envelopes[number - 1], known.place)
        share = share_of(asked, keys)
        trial = [trial_ciphertext(keys)[0]]
        numbers = partial_decryptions(share, trial, here())
        transcript = transcript_of(asked.domain, asked.account, known.terms, keys)
        proof = prove_shares(share, trial, numbers, transcript, entropy=asked.entropy)
        content = {SHARES: digits(numbers, keys.width), PROOF: row(proof.encode(keys))}
        data = to_safetensors(content)
        values: dict[str, dict[str, Any]] = {
            ACCEPT_KEYS.name: {"dealer": known.terms.dealer, "digest": keys.digest},
            TRIAL.name: {"cid": cid_to_bytes(cid_of(data))},
        }
        reply = Message(RecordDict({SHARES: to_record(content)}), reply_to=asked.message)
        return Answered(reply, values, data)


def _dealt(asked: Asked, known: Known) -> tuple[ThresholdKeys, Dealing]:
    try:
        data = bytes.fromhex(str(asked.details.get("dealing")))
    except ValueError as error:
        raise ConfigError("the message has no dealing of threshold keys") from error
    dealing, terms = Dealing.decode(data), known.terms
    keys = dealing.check()
    if keys.digest != known.keys:
        raise AccountError(
            f"the server's keys {keys.digest.hex()} are not those of the task's specification, "
            f"{terms.keys}"
        )
    if terms.dealing not in {cid_of(data, profile) for profile in PROFILES.values()}:
        raise AccountError(
            f"the server's dealing is not the one of the task's specification, {terms.dealing}"
        )
    keys.check_agreed(bits=terms.key_bits, trainers=terms.trainers, threshold=terms.threshold)
    return keys, dealing
