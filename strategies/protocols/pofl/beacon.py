"""Which rule a round uses, and what proves that nobody chose it.

`timestamp` is the paper's way (Bift, Algorithm 2, lines 24 to 36): t mod 3 with t the time of the
last upload. Whoever uploads last can aim it, so it is kept for comparison only.

`beacon` is the default. The aggregator draws a secret before the task starts, hashes it once for
each round and puts the last hash, the commitment, into the task's specification on the ledger.
Round r reveals the value whose hash is the one revealed in round r-1. The choice is a hash over
that value and over all updates accepted in the window, in the order of the task's list of clients:

- no client, nor all clients together, knows the revealed value before the window has closed;
- the aggregator knows it, and cannot change it without breaking the chain of hashes that the
  contract's record fixes. But it sees the updates, and may leave one out: docs/trust.md says how
  often that gives it the rule it wants.

A round that was rolled back reveals nothing; its value is skipped and never used.

`election` lets no chance decide: all rules make a candidate, and the voters elect one
(`election`).
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

from fedledger.errors import AuditError, ConfigError

__all__ = [
    "CANDIDATES",
    "MIXED",
    "TRUSTED",
    "Beacon",
    "Selection",
    "beacon_index",
    "check_reveal",
    "rule_of",
    "timestamp_index",
]

Selection = Literal["beacon", "timestamp", "election"]

MIXED = ("krum", "trimmed_mean", "bulyan")
"""The rules that Bift mixes."""

TRUSTED = "trusted_mean"
"""The mean over the clients that, as voters, did not disagree with most elections so far."""

CANDIDATES = (*MIXED, "multi_krum", "median", "mean", TRUSTED)
"""What an election chooses from: the plain mean too, since voters judge what it makes."""

_LINK = b"fedledger beacon link v1"
_CHOICE = b"fedledger rule choice v1"


def rule_of(candidate: str) -> str:
    """Return the name of the rule that makes a candidate."""
    return "mean" if candidate == TRUSTED else candidate


class Beacon:
    """The aggregator's chain of hashes; one value is revealed each round.

    Args:
        seed: 32 secret bytes, the far end of the chain.
        rounds: number of rounds the chain must serve.

    Raises:
        ConfigError: a seed that is not 32 bytes, or no rounds.
    """

    def __init__(self, seed: bytes, rounds: int) -> None:
        if not isinstance(seed, bytes) or len(seed) != 32:
            raise ConfigError("beacon seed: 32 bytes are needed")
        if rounds < 1:
            raise ConfigError(f"beacon: at least one round is needed, got {rounds}")
        values = [seed]
        for _ in range(rounds):
            values.append(_link(values[-1]))
        self._values = values[::-1]

    @property
    def commitment(self) -> bytes:
        """The value published before the first round."""
        return self._values[0]

    def reveal(self, server_round: int) -> bytes:
        """Return the value of a round, from 1; only to be shown when its window has closed."""
        return self._values[server_round]

    def __repr__(self) -> str:
        return f"Beacon(rounds={len(self._values) - 1})"


def check_reveal(reveal: bytes, previous: bytes, skipped: int = 0) -> None:
    """Check that a revealed value continues the chain.

    Args:
        reveal: the value revealed in this round.
        previous: the last value revealed, or the commitment.
        skipped: number of rounds since then that revealed nothing, as they were rolled back.

    Raises:
        AuditError: it does not.
    """
    if skipped < 0:
        raise AuditError("the last beacon value is said to be of this round or a later one")
    value = reveal
    for _ in range(skipped + 1):
        value = _link(value)
    if value != previous:
        raise AuditError("the revealed beacon value does not hash to the one committed before")


def beacon_index(
    reveal: bytes, task: int, server_round: int, updates: Sequence[tuple[int, bytes]], choices: int
) -> int:
    """Return which of `choices` rules the beacon picks.

    Args:
        reveal: the value revealed in this round.
        task: the task's id.
        server_round: the round, from 1.
        updates: of each accepted update, the client's position in the task's list and the binary
            CID, in ascending order of position.
        choices: number of rules to choose from.
    """
    digest = hashlib.sha256()
    parts = [_CHOICE, reveal, _integer(task), _integer(server_round), _integer(len(updates))]
    for client, cid in updates:
        parts += [_integer(client), cid]
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return int.from_bytes(digest.digest(), "big") % choices


def timestamp_index(last_arrival: int, choices: int) -> int:
    """Return the paper's choice: flag = t mod 3 with flags 1, 2, 3 for the three rules.

    The paper tests for flags 1 to 3 although t mod 3 gives 0 to 2; 0 is taken for 3.

    Args:
        last_arrival: arrival of the last accepted update, in milliseconds.
        choices: number of rules to choose from.
    """
    return (last_arrival - 1) % choices


def _link(value: bytes) -> bytes:
    return hashlib.sha256(_LINK + value).digest()


def _integer(value: int) -> bytes:
    return value.to_bytes(8, "big")
