"""Threshold Paillier: a key that t of l trainers use together, and proofs of what they do.

Needs the extra `paillier`.
"""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .ceremony import (
        ENVELOPE_EXTRA,
        check_trial,
        open_share,
        seal_share,
        trial_ciphertext,
    )
    from .dealer import deal_apart
    from .dealing import deal
    from .dealt import Dealing
    from .keys import MOST_TRAINERS, ThresholdKeys, check_threshold
    from .knowledge import PlaintextProof, prove_plaintexts, verify_plaintexts
    from .opening import Opening, check_opening, combine, lift
    from .share_proofs import ShareProof, prove_shares, verify_shares
    from .shares import KeyShare, decode_numbers, encode_numbers, partial_decryptions

__all__ = [
    "ENVELOPE_EXTRA",
    "MOST_TRAINERS",
    "Dealing",
    "KeyShare",
    "Opening",
    "PlaintextProof",
    "ShareProof",
    "ThresholdKeys",
    "check_opening",
    "check_threshold",
    "check_trial",
    "combine",
    "deal",
    "deal_apart",
    "decode_numbers",
    "encode_numbers",
    "lift",
    "open_share",
    "partial_decryptions",
    "prove_plaintexts",
    "prove_shares",
    "seal_share",
    "trial_ciphertext",
    "verify_plaintexts",
    "verify_shares",
]

__getattr__ = lazily(
    __name__,
    {
        "Dealing": "dealt",
        "ENVELOPE_EXTRA": "ceremony",
        "MOST_TRAINERS": "keys",
        "KeyShare": "shares",
        "Opening": "opening",
        "PlaintextProof": "knowledge",
        "ShareProof": "share_proofs",
        "ThresholdKeys": "keys",
        "check_opening": "opening",
        "check_threshold": "keys",
        "check_trial": "ceremony",
        "combine": "opening",
        "deal": "dealing",
        "deal_apart": "dealer",
        "decode_numbers": "shares",
        "encode_numbers": "shares",
        "lift": "opening",
        "open_share": "ceremony",
        "partial_decryptions": "shares",
        "prove_plaintexts": "knowledge",
        "prove_shares": "share_proofs",
        "seal_share": "ceremony",
        "trial_ciphertext": "ceremony",
        "verify_plaintexts": "knowledge",
        "verify_shares": "share_proofs",
    },
    "paillier",
)
