"""What nodes mean by their errors: codes and wordings to one word each, as data.

JSON-RPC fixes few codes, and nodes use even those in different ways: -32004 is an unknown method to
EIP-1474 and a lack of funds to besu. So a wording, where it is one of these, says more than a code
that is ambiguous, and only `_SURE` codes say more than a wording. Wordings are compared without
case, blanks and punctuation, for "already known", "AlreadyKnown" and "ALREADY_KNOWN" are the same.

Collected from geth, erigon, nethermind, besu, reth, OpenEthereum, anvil, hardhat and ganache, and
from Infura, Alchemy, QuickNode, Ankr, Cloudflare, Blast and Chainstack in front of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "BATCH",
    "LATER",
    "METHOD",
    "REVERT",
    "SYNCHRONOUS",
    "TRANSACTION",
    "Dialect",
    "revert_data",
    "seconds",
]

_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_DEPTH = 4
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """The ways to say a few things.

    Attributes:
        wordings: each thing with a regular expression over the text in lower case, without blanks
            and punctuation; the first that is found counts.
        sure: codes that say it whatever the text.
        otherwise: codes that say it where no wording is found.
    """

    wordings: tuple[tuple[str, re.Pattern[str]], ...]
    sure: Mapping[int, str] = field(default_factory=dict)
    otherwise: Mapping[int, str] = field(default_factory=dict)

    def word(self, code: Any, text: str, method: str = "") -> str | None:
        """Return what is said, or None.

        Args:
            code: the error's code, whatever the node put there.
            text: its message.
            method: the request's method; its name in the text counts as the word "method".
        """
        number = code if type(code) is int else 0
        if number in self.sure:
            return self.sure[number]
        said = text.lower()
        if method:
            said = said.replace(method.lower(), "method")
        said = _PUNCTUATION.sub("", said)
        found = (word for word, wording in self.wordings if wording.search(said))
        return next(found, self.otherwise.get(number))


def _dialect(
    *wordings: tuple[str, ...],
    sure: Mapping[int, str] | None = None,
    otherwise: Mapping[int, str] | None = None,
) -> Dialect:
    """Return a dialect; each wording is a word and the expressions that mean it."""
    compiled = tuple((word, re.compile("|".join(said))) for word, *said in wordings)
    return Dialect(compiled, sure or {}, otherwise or {})


_NOT_HERE = (
    "notfound|doesnotexist|doesntexist|unavailable|unsupported|disabled|unknown|blocked|forbidden|"
    "restricted|(?:not|isnt)(?:yet)?(?:been)?(?:available|supported|allowed|enabled|implemented|"
    "whitelisted|recognized|authorized)"
)
METHOD = _dialect(
    (
        "method",
        f"(?:method|namespace|rpcapi|module).{{0,60}}?(?:{_NOT_HERE})",
        "(?:unsupported|unknown|invalid|nosuch|unrecognized|forbidden|disallowed)(?:json)?(?:rpc)?method",
    ),
    sure={-32601: "method"},
    otherwise={-32604: "method", -32004: "method"},
)
"""A node that does not have a method."""

LATER = _dialect(
    (
        "limit",
        "ratelimit",
        "toomanyrequest",
        "request(?:limit|rate|count|spersecond)",
        "computeunit|creditlimit|dailylimit|quota|throughput|exceededitscapacity",
        "throttl|slowdown|callsper",
        r"retryin\d|tryagainin",
    ),
    (
        "busy",
        "(?:server|service|node)(?:is)?busy|overload",
        "tryagainlater|retrylater",
        "nobackend|backendunhealthy|noavailable(?:node|upstream)",
        "upstream(?:error|timeout|connect)|badgateway|gatewaytimeout",
        "(?:service|temporarily)unavailable",
        "isnotsynced|chainheadworldstatenotavailable",
    ),
    sure={429: "limit", -32016: "limit", -32029: "limit", -32090: "limit", -32097: "limit"},
    otherwise={-32005: "limit", -32011: "busy", 502: "busy", 503: "busy", 504: "busy"},
)
"""A node or a provider that may answer later; -32005 says so for all but `eth_getLogs`."""

BATCH = _dialect(("batch", "batch", "toomanycalls", "toomanyrpc", "jsonrpcarray"))
"""A batch that a node does not take, or not of this size."""

SYNCHRONOUS = _dialect(
    ("waits", "time", "notyet(?:mined|included)", "queued"), otherwise={4: "waits", 5: "waits"}
)
"""A node that took a call and will not hold its answer back any longer (EIP-7966)."""

REVERT = _dialect(("reverted", "revert"), sure={3: "reverted"})
"""A call that was executed and reverted."""

TRANSACTION = _dialect(
    (
        "known",
        "already(?:known|imported|exist|pending|present|received|seen|submitted|mined)",
        "alreadybeen(?:seen|imported|added|sent|included|submitted|received)",
        "already(?:is)?in(?:the)?(?:local)?(?:tx|transaction)?(?:mem)?(?:pool|cache|queue)",
        "knowntransaction",
        "(?:same|duplicate)(?:tx|transaction|hash)|transactionexists",
    ),
    (
        "type",
        "(?:transaction|tx)type.{0,40}?(?:notsupported|unsupported|invalid|unknown)",
        "(?:unsupported|invalid|unknown|disallowed)(?:transaction|tx)type",
        "(?:typed|dynamicfee)transaction.{0,20}?not(?:supported|allowed|enabled)",
        "eip1559.{0,80}?not|onlylegacy",
    ),
    ("nonce", "nonce", "replac", "underpricedtransactioninpool", "futuretransaction", "sequence"),
    (
        "funds",
        "insufficient(?:account|sender)?(?:funds|balance)",
        "enough(?:funds|balance|money)",
        "lackoffunds|outoffund|overshot",
        "upfrontcost",
        "exceeds?(?:the)?(?:accounts?|senders?)?balance",
        "balance(?:is)?(?:too)?low",
    ),
    (
        "fee",
        "basefee|feecap|maxfee|maxpriorityfee|gasprice|gastip|tipcap|minertip|configuredcap",
        "underpriced",
        "(?:fees?|tip)(?:is)?(?:too)?low",
        "minimum(?:gas)?(?:tip|fee|price)",
        "(?:tip|fee)(?:above|veryhigh)",
    ),
    ("gas", "gas"),
    ("signature", "signature", "sender", "invalidv", "invalidrs", "yparity"),
    ("chain", "chainid", "replayprotected", "eip155", "networkid"),
)
"""Why a transaction is not taken; "known": it was taken before."""

_HEX = re.compile(r"(?:reverted )?0x([0-9a-f]*)", re.IGNORECASE)
_WITH_DATA = ("data", "result", "return", "output", "originalError", "error")


def revert_data(said: Any, depth: int = _DEPTH) -> bytes | None:
    """Return the revert data that an error carries, in any of the forms that nodes give it.

    It is the error's data itself (geth, besu, ganache), behind "Reverted " (nethermind), or inside
    objects (hardhat; old ganache: below the transaction's hash).
    """
    if isinstance(said, str):
        found = _HEX.fullmatch(said.strip())
        try:
            return bytes.fromhex(found[1]) if found else None
        except ValueError:
            return None
    if not isinstance(said, dict) or depth == 0:
        return None
    inside = [said[name] for name in _WITH_DATA if name in said]
    inside += [one for name, one in said.items() if isinstance(one, dict) and name[:2] == "0x"]
    return next((one for each in inside if (one := revert_data(each, depth - 1)) is not None), None)


_ASKED = re.compile(
    r"(?:retry|try again|wait)\D{0,24}?(\d+(?:\.\d+)?) ?(ms|milliseconds)?", re.IGNORECASE
)
_PLACES: Sequence[tuple[str, ...]] = (
    ("rate", "backoff_seconds"),  # Infura
    ("backoff_seconds",),
    ("retry_after",),
    ("retryAfter",),
    ("try_again_in",),
)


def seconds(text: str, data: Any) -> float:
    """Return for how long a node asks to be left alone, by its error's text or data; 0: unsaid."""
    for place in _PLACES:
        found = data
        for name in place:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            found = found.removesuffix("s")
        try:
            value = float(found) if isinstance(found, str | int | float) else 0.0
        except (ValueError, OverflowError):  # no number, or one of a thousand digits
            continue
        if 0 < value <= _LONGEST:
            return value
    asked = _ASKED.search(text)
    if asked is None:
        return 0.0
    return min(float(asked[1]) / (1000 if asked[2] else 1), _LONGEST)
