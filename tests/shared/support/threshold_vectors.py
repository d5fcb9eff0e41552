"""The examples of "Threshold keys and proofs" in docs/formats.md."""

from typing import Any

from fedledger.crypto.threshold import (
    combine,
    encode_numbers,
    lift,
    prove_plaintexts,
    prove_shares,
    trial_ciphertext,
)
from fedledger.crypto.threshold.ceremony import envelope_info
from fedledger.crypto.transcript import Transcript
from support.threshold import CORES, PLACE, entropy, place, scene

__all__ = ["PROTOCOL", "threshold"]

PROTOCOL = "fedledger test 1"
CONTEXT = b"chain 31337, task 7"
RECIPIENT = bytes.fromhex("433e52aee86feee7ab943894d0942da73a31ce70ee606b40c020eb580f438e07")


def threshold() -> Any:
    """A transcript, toy keys with their shares, ciphertexts, and everything made of them."""
    made = scene(256, 4, 3, 4)
    keys, public, width = made.keys, made.keys.public, made.keys.public.width
    decrypted = made.decrypted(1, 2, 3, 4)
    roots = combine(keys, made.ciphertexts, decrypted, CORES)
    trial, message = trial_ciphertext(keys)
    proof = prove_plaintexts(
        public,
        made.ciphertexts,
        made.messages,
        made.blindings,
        place(keys),
        entropy=entropy("plaintexts"),
    )
    trainers = [
        {
            "share": share.encode().hex(),
            "decryption_shares": encode_numbers(keys, decrypted[share.trainer]).hex(),
            "proof": prove_shares(
                share,
                made.ciphertexts,
                decrypted[share.trainer],
                place(keys),
                entropy=entropy(f"shares {share.trainer}"),
            )
            .encode(keys)
            .hex(),
            "envelope_info": envelope_info(keys, share.trainer, RECIPIENT, CONTEXT).hex(),
        }
        for share in made.shares
    ]
    return {
        "transcript": _transcript(),
        "place": {"protocol": PROTOCOL, **PLACE},
        "keys": keys.encode().hex(),
        "digest": keys.digest.hex(),
        "theta": f"{keys.theta:x}",
        "trial": {"ciphertext": trial.to_bytes(width, "big").hex(), "message": f"{message:x}"},
        "ciphertexts": [one.to_bytes(width, "big").hex() for one in made.ciphertexts],
        "messages": [f"{one:x}" for one in lift(keys, made.ciphertexts, roots, CORES).messages],
        "blindings": [f"{one:x}" for one in made.blindings],
        "plaintext_proof": proof.encode(public).hex(),
        "envelope": {"recipient": RECIPIENT.hex(), "context": CONTEXT.hex()},
        "trainers": trainers,
        "roots": encode_numbers(keys, roots).hex(),
    }


def _transcript() -> Any:
    """Calls, and the challenges that they give."""
    one = Transcript(PROTOCOL)
    one.absorb("parts", b"\x00\x01", 0, 65537, "ü", b"")
    return {
        "protocol": PROTOCOL,
        "absorbed": [
            {"bytes": "0001"},
            {"integer": 0},
            {"integer": 65537},
            {"text": "ü"},
            {"bytes": ""},
        ],
        "challenges": [f"{drawn:032x}" for drawn in one.challenges("factors", 2)],
        "challenge": f"{one.challenge('challenge'):032x}",
    }
