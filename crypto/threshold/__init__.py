"""Threshold Paillier: a key that t of l trainers use together, and proofs of what they do.

Needs the extra `paillier`.
"""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .ceremony import check_trial, open_share, seal_share, trial_ciphertext
    from .dealing import deal
    from .keys import MOST_TRAINERS, ThresholdKeys
    from .knowledge import PlaintextProof, prove_plaintexts, verify_plaintexts
    from .opening import Opening, check_opening, combine, lift
    from .share_proofs import ShareProof, prove_shares, verify_shares
    from .shares import KeyShare, decode_numbers, encode_numbers, partial_decryptions

__all__ = [
    "MOST_TRAINERS",
    "KeyShare",
    "Opening",
    "PlaintextProof",
    "ShareProof",
    "ThresholdKeys",
    "check_opening",
    "check_trial",
    "combine",
    "deal",
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
        "MOST_TRAINERS": "keys",
        "KeyShare": "shares",
        "Opening": "opening",
        "PlaintextProof": "knowledge",
        "ShareProof": "share_proofs",
        "ThresholdKeys": "keys",
        "check_opening": "opening",
        "check_trial": "ceremony",
        "combine": "opening",
        "deal": "dealing",
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
