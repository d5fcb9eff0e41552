"""Miner election: every rule's candidate is scored by the miners, who elect one or keep the model.

Bift lets the other miners verify a block before they build on it (section IV-C), and BlockFedML
keeps a checkpoint to go back to. Joined, they answer what choosing a rule at random cannot: a rule
that this round's attack defeats is not used. Each miner measures, on data of its own, how much each
candidate model changes the loss of the model the round began with; it signs these numbers, and they
go on the ledger.

What they say is counted as follows, f being the number of miners that may lie.

1. Agreement. The candidates, and the choice to keep the model, are ordered by the median score. A
   miner agrees by the share of pairs it orders alike, less the share it orders the other way or not
   at all, over all elections so far, this one included.
2. Miners who did not agree more than they disagreed are left out of this count, at most f of them,
   and only when more than 3f vote. Liars disagree again and again, and most are known after two
   rounds; data of one's own merely makes scores noisy.
3. Of the scores left, the f lowest and the f highest for each candidate are cut off. The candidate
   with the lowest mean of the rest is elected if that mean is below zero; otherwise the round keeps
   its model.

Every mean lies between the lowest and the highest honest score as long as at most f lie among 2f+1
or more, whoever was left out: step 2 leaves more than 2f, and step 3 cuts off as many as can lie.
So f liars can neither force a model that all honest miners find worse nor block one that all find
better. Votes are integers and so is the count: everyone gets the same result.

Miners are clients, so what is known of the one is known of the other: one candidate is the mean
over the accepted updates without those of the miners that would be left out (`trusted`). Where
whoever poisons also lies, it joins all honest updates and no other, as no rule can that looks at
the updates alone. Where poisoners tell the truth as miners, there is no such candidate.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations

__all__ = ["Electorate", "ballot_of"]

_BALLOT = b"fedledger ballot v1"


def ballot_of(task: int, server_round: int, base: str, candidates: Sequence[str]) -> bytes:
    """Return the 32 bytes that a vote names: the hash of what was voted on.

    Args:
        task: the task's id.
        server_round: the round, from 1.
        base: CID of the model the round began with.
        candidates: CIDs of the candidate models, in the order of the scores.
    """
    digest = hashlib.sha256()
    parts = [_BALLOT, task.to_bytes(8, "big"), server_round.to_bytes(8, "big")]
    parts += [cid.encode() for cid in (base, *candidates)]
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


class Electorate:
    """The miners of a task, and how far each agreed with its elections so far.

    Args:
        byzantine: f, the number of miners that may lie.
    """

    def __init__(self, byzantine: int) -> None:
        self._byzantine = byzantine
        self._alike: dict[int, int] = {}
        self._pairs: dict[int, int] = {}

    @property
    def quorum(self) -> int:
        """Votes that an election needs: 2f+1."""
        return 2 * self._byzantine + 1

    def agreement(self, miner: int) -> Fraction:
        """Return a miner's agreement with the elections it voted in, from -1 to 1; 0 if none."""
        return Fraction(self._alike.get(miner, 0), self._pairs.get(miner, 0) or 1)

    def trusted(self, miners: Iterable[int]) -> list[int]:
        """Return `miners` in ascending order, without those that did not agree more than disagree.

        At most f are left out, those that agreed least; nobody is before the first election.
        """
        ranked = sorted(miners, key=lambda miner: (self.agreement(miner), miner))
        suspects = ranked[: self._byzantine] if self._pairs else []
        doubted = [miner for miner in suspects if self.agreement(miner) <= 0]
        return sorted(ranked[len(doubted) :])

    def hold(self, votes: Mapping[int, Sequence[int]]) -> None:
        """Hold a past election again for what it says about the miners, if it had a quorum."""
        if len(votes) >= self.quorum:
            self._remember(votes)

    def elect(self, votes: Mapping[int, Sequence[int]]) -> int | None:
        """Return the position of the elected candidate, or None when the model is to be kept.

        Equal means go to the first candidate. Remembers who agreed.

        Args:
            votes: each miner's scores, one a candidate, by the miner's position in the task's list
                of clients; at least `quorum`.

        Raises:
            ValueError: there are fewer votes.
        """
        if len(votes) < self.quorum:
            raise ValueError(f"{len(votes)} votes, {self.quorum} are needed")
        self._remember(votes)
        f = self._byzantine
        counted = self.trusted(votes) if len(votes) > 3 * f else list(votes)
        columns = zip(*(votes[miner] for miner in counted), strict=True)
        totals = [sum(sorted(column)[f : len(counted) - f]) for column in columns]
        if not totals or min(totals) >= 0:
            return None
        return totals.index(min(totals))

    def _remember(self, votes: Mapping[int, Sequence[int]]) -> None:
        columns = zip(*votes.values(), strict=True)
        order = [*(sorted(column)[len(votes) // 2] for column in columns), 0]
        pairs = list(combinations(range(len(order)), 2))
        for miner, vote in votes.items():
            said = (*vote, 0)
            alike = sum(_alike(said[a] - said[b], order[a] - order[b]) for a, b in pairs)
            self._alike[miner] = self._alike.get(miner, 0) + alike
            self._pairs[miner] = self._pairs.get(miner, 0) + len(pairs)


def _alike(said: int, counted: int) -> int:
    """Return 1 for a pair ordered alike, -1 if not, and 0 where the count orders it in no way."""
    if not counted:
        return 0
    return 1 if said and (said > 0) == (counted > 0) else -1
