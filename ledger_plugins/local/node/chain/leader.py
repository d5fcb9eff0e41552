"""Who may make the next block, and from when on.

All nodes of a network have to run the same rule: it decides which blocks are valid. A rule is one
function of the branch before the block, so every node comes to the same answer without asking.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from fedledger.errors import ConfigError, MalformedBlock
from fedledger.registry import Registry

from ...chain.block import Header
from ...chain.chain import Chain

__all__ = ["LEADER_RULES", "LeaderRule", "Reliability", "Work", "leader_rule"]

_DOMAIN = b"fedledger leader v1"


class LeaderRule(ABC):
    """Decides who may follow the newest block of a chain."""

    name: ClassVar[str]

    @abstractmethod
    def earliest(self, chain: Chain, miner: str | None) -> int:
        """Return the smallest timestamp (milliseconds) that `miner`'s next block may carry.

        Args:
            chain: the branch up to the block before.
            miner: who signs the block, or None when nobody does.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return name and settings in one line; nodes that differ here do not talk."""

    def check(self, chain: Chain, header: Header, miner: str | None) -> None:
        """Check that `miner` may make the block with this header.

        Raises:
            MalformedBlock: field "leader"; it came too early for this miner.
        """
        earliest = self.earliest(chain, miner)
        if header.timestamp < earliest:
            raise MalformedBlock(
                "leader",
                f"{miner or 'nobody'} may not make block {header.index} for another "
                f"{earliest - header.timestamp} ms",
            )


class Work(LeaderRule):
    """Whoever finds the nonce of equation (5): Bift's proof of work, section IV-B."""

    name = "work"

    def earliest(self, chain: Chain, miner: str | None) -> int:  # noqa: ARG002 - the same for all
        """Return the millisecond after the newest block (equation 4)."""
        return chain.head.timestamp + 1

    def describe(self) -> str:
        """Return the name; the difficulty stands in block 0."""
        return self.name


@dataclass(frozen=True)
class Reliability(LeaderRule):
    """A leader drawn among the most reliable accounts: FLChain, sections III-B, IV-A and IV-C.

    The paper's reliability is what partners and buyers say of a trainer; here it is another number.

    An account's reliability is the number of its contributions that the branch's contracts
    accepted: the published rounds that name it as a contributor. The `candidates` accounts with the
    highest reliability (at least 1; the smaller address first on ties) are lined up in that order,
    and the leader is the one at SHA-256("fedledger leader v1" ‖ hash of the block before) mod their
    number. Everybody
    else's block is invalid unless its timestamp is `timeout` after the block before, so a leader
    that is away stops nothing. While nobody has contributed, everybody may make blocks.

    The rule comes on top of equations (4) and (5): a block still carries its (tiny) work, and the
    valid branch with most work is followed.

    Attributes:
        candidates: how many accounts the leader is drawn from.
        timeout: milliseconds after which everybody may make the block.

    Raises:
        ConfigError: a number that is not positive, or a timeout that clocks' drift undermines.
    """

    candidates: int = 5
    timeout: int = 5_000

    name = "reliability"

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ConfigError(f"candidates {self.candidates}: at least 1 is needed")
        if self.timeout < 1:
            raise ConfigError(f"timeout {self.timeout} ms: it has to be positive")

    def leader(self, chain: Chain) -> str | None:
        """Return the leader of the block after the newest one; None when everybody may make it."""
        reliability = Counter(chain.contributions())
        ranked = sorted(reliability, key=lambda client: (-reliability[client], client))
        best = ranked[: self.candidates]
        if not best:
            return None
        draw = hashlib.sha256(_DOMAIN + chain.head.hash).digest()
        return best[int.from_bytes(draw, "big") % len(best)]

    def earliest(self, chain: Chain, miner: str | None) -> int:
        """Return the next millisecond for the leader, and the timeout's end for everybody else."""
        leader = self.leader(chain)
        wait = 1 if leader in (None, miner) else self.timeout
        return chain.head.timestamp + wait

    def describe(self) -> str:
        """Return name and settings."""
        return f"{self.name} candidates={self.candidates} timeout={self.timeout}"


LEADER_RULES = Registry(
    "leader rule",
    {
        rule.name: f"fedledger.ledger_plugins.local.node.chain.leader:{rule.__name__}"
        for rule in (Work, Reliability)
    },
    group="fedledger.leader_rules",
)
"""Name to class; third parties' rules take keyword arguments with defaults."""


def leader_rule(name: str, **options: int) -> LeaderRule:
    """Return the rule called `name`.

    Raises:
        UnknownNameError: nobody registered it.
        ConfigError: it does not take these options.
    """
    try:
        rule: LeaderRule = LEADER_RULES.load(name)(**options)
    except TypeError as error:
        raise ConfigError(f"leader rule {name!r}: {error}") from error
    return rule
