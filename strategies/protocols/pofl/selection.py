"""The ways to choose a round's rule, and the rules there are to choose from."""

from typing import Literal

__all__ = ["CANDIDATES", "ELECTION", "MIXED", "TRUSTED", "Selection", "rule_of", "timestamp_index"]

Selection = Literal["beacon", "timestamp", "election"]
"""By the clients' salts (`draws`), by the time of the last upload, or by votes (`election`)."""

ELECTION = "election"
"""What may take a rule's place where a round has no lot."""

MIXED = ("krum", "trimmed_mean", "bulyan")
"""The rules that Bift mixes."""

TRUSTED = "trusted_mean"
"""The mean over the clients that, as voters, did not disagree with most elections so far."""

CANDIDATES = (*MIXED, "multi_krum", "median", "mean", TRUSTED)
"""What an election chooses from: the plain mean too, since voters judge what it makes."""


def rule_of(candidate: str) -> str:
    """Return the name of the rule that makes a candidate."""
    return "mean" if candidate == TRUSTED else candidate


def timestamp_index(last_arrival: int, choices: int) -> int:
    """Return the paper's choice: flag = t mod 3 with flags 1, 2, 3 for the three rules.

    Bift, Algorithm 2, lines 24 to 36. The paper tests for flags 1 to 3 although t mod 3 gives 0 to
    2; 0 is taken for 3. Whoever uploads last can aim it, so it is kept for comparison only.

    Args:
        last_arrival: arrival of the last accepted update, in milliseconds.
        choices: number of rules to choose from.
    """
    return (last_arrival - 1) % choices
