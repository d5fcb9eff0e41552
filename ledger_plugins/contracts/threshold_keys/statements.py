"""What trainers sign off chain in an encrypted round: EIP-712, bound to chain, task and round.

Of lists a trainer signs one a round, and the same one as often as it is asked. A masked update for
which it is asked in other words is another one, of which a list has one; decryption shares repeat.
"""

from ...signing import Statement

__all__ = ["LIST", "MASKED", "OPENED", "SHARES", "TRIAL"]

TRIAL = Statement("TrialShares", (("cid", "bytes"),))
"""A trainer's decryption share of the trial ciphertext, beside the call that accepts the keys."""

MASKED = Statement("MaskedUpdate", (("cid", "bytes"), ("samples", "uint256")))
"""A masked update, for other trainers, who take nobody's word for whose it is."""

LIST = Statement("CiphertextList", (("list", "bytes32"),))
"""The ciphertexts of the round whose sum may be opened, and no others."""

SHARES = Statement("DecryptionShares", (("list", "bytes32"), ("cid", "bytes")))
"""A trainer's decryption shares of the sum, and their proof."""

OPENED = Statement(
    "OpenedPart",
    (("list", "bytes32"), ("part", "uint32"), ("parts", "uint32"), ("cid", "bytes")),
)
"""The messages of a part of the sum; of how many parts, says which ciphertexts these are."""
