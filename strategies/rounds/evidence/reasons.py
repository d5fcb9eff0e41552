"""Why an answer did not count: every code that evidence holds, once.

A code stands in the evidence for ever; the sentence and the remedy may be worded better.
"""

from dataclasses import dataclass

__all__ = [
    "ABANDONED",
    "NOT_ASKED",
    "REASONS",
    "SILENT",
    "UNAVAILABLE",
    "UNHEARD",
    "Reason",
    "reason_of",
]

SILENT = "no-reply"
UNAVAILABLE = "unavailable"
UNHEARD = "unheard"
NOT_ASKED = "not-asked"
ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an answer did not count.

    Attributes:
        code: what evidence says.
        sentence: what it means.
        remedy: what its party can do about it.
    """

    code: str
    sentence: str
    remedy: str


_TABLE = (
    (SILENT, "nothing arrived in time", "look at the client's log and its connection"),
    (
        UNHEARD,
        "no reply is known to be its, and no node has ever answered for it",
        "look at the log of the client that holds this account: is its node connected?",
    ),
    (NOT_ASKED, "none of its nodes was asked", "none; where it should be asked, connect its node"),
    (
        "client-error",
        "the client's app raised an error, or the client refuses to sign",
        "read the detail: it is the client's own",
    ),
    ("unsigned", "the reply holds no signatures of this version", "add signing_mod to the app"),
    ("phase", "the reply answers another phase", "install the version the server runs"),
    ("calls", "the calls signed are not those of the phase", "install the server's version"),
    (
        "statements",
        "the statements signed are not those of the phase",
        "install the server's version",
    ),
    ("signature", "a signature is not the party's, or not for this chain", "check the keystore"),
    (
        "binding",
        "the answer is not tied to the SuperNode whose key the account published before the round",
        "publish the node's key with `fedledger account bind`, and name it in the node config",
    ),
    ("terms", "the call's nonce, gas or fees are not those asked for", "sign what is asked"),
    ("unregistered", "the account is not of the party that was asked", "ask the task's owner"),
    ("duplicate", "the account has answered this phase already", "give each node its own account"),
    ("wrong-round", "signed for another task or round", "answer the message that was sent"),
    ("records", "the reply's records are not those that the phase reads", "see the phase's page"),
    ("arrays", "keys, shapes or dtypes are not the model's", "start from the model that was sent"),
    ("oversized", "more bytes than the phase allows", "send the model's arrays and no more"),
    ("not-finite", "the arrays hold NaN or infinity", "lower the learning rate, clip gradients"),
    ("metrics", "the metrics are missing, not finite, or not those signed", "report num-examples"),
    ("form", "the records differ from those of most clients", "run the same app everywhere"),
    ("copy", "another client gave the same content first", "send what you trained yourself"),
    ("salt", "the salt is not the one that was sealed", "keep the account's key and the journal"),
    ("cid", "what was signed is not the content's CID", "sign what is sent"),
    (
        "opening",
        "the opening is none, or not this account's for this round",
        "open what you submitted yourself, for the round it was submitted to",
    ),
    ("content", "the content does not say what was signed", "sign what is sent"),
    (
        "keys",
        "the threshold keys accepted are not the task's",
        "accept the keys that the task's specification names",
    ),
    (
        "proof",
        "the masked update's proof does not hold for its account and round",
        "none for a masked update that is somebody else's, or made by hand",
    ),
    (
        "share",
        "the decryption shares' proof does not hold",
        "check the share with `fedledger keys check`",
    ),
    ("opened", "the messages are not those of the ciphertexts", "open the part with this library"),
    ("list", "what was signed is about another list of ciphertexts", "answer what was sent"),
    ("ballot", "the votes are on something else", "answer the message that was sent"),
    (
        "history",
        "the call names a block that is not on the ledger before it, or is older than the round",
        "ask whoever runs the ledger which history is right before signing again",
    ),
    ("ledger", "the ledger refused the call", "read the detail; it is the contract's error"),
    (ABANDONED, "on the ledger, but this aggregator got no usable reply", "train again"),
    (
        UNAVAILABLE,
        "the content could not be fetched in time, or is damaged",
        "put it where the aggregator's store finds it before you answer",
    ),
    ("malformed", "the reply cannot be read", "read the detail"),
)

REASONS = {code: Reason(code, sentence, remedy) for code, sentence, remedy in _TABLE}
"""Code to reason."""


def reason_of(code: str) -> Reason:
    """Return what a code of some evidence means; a protocol of its own may use other codes."""
    return REASONS.get(code) or Reason(code, "a reason of the protocol's own", "see the protocol")
