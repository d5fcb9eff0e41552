"""Election: every rule's candidate is scored by the voters, who elect one or keep the model.

Bift lets the other miners verify a block before they build on it (section IV-C), and BlockFedML
keeps a checkpoint to go back to. Joined, they answer what choosing a rule at random cannot: a rule
that this round's attack defeats is not used. Each voter measures, on data of its own, how much each
candidate model changes the loss of the model the round began with; it signs these numbers, and they
go on the ledger.

What they say is counted as follows, f being the number of voters that may lie.

1. Agreement. The candidates, and the choice to keep the model, are ordered by the median score. A
   voter agrees by the share of pairs it orders alike, less the share it orders the other way or not
   at all, over all elections so far, this one included.
2. Voters who did not agree more than they disagreed are left out of this count, at most f of them,
   and only when more than 3f vote. Liars disagree again and again, and most are known after two
   rounds; data of one's own merely makes scores noisy.
3. Of the scores left, the f lowest and the f highest for each candidate are cut off. The candidate
   with the lowest mean of the rest is elected if that mean is below zero; otherwise the round keeps
   its model.

Every mean lies between the lowest and the highest honest score as long as at most f lie among 2f+1
or more, whoever was left out: step 2 leaves more than 2f, and step 3 cuts off as many as can lie.
So f liars can neither force a model that all honest voters find worse nor block one that all find
better. Votes are integers and so is the count: everyone gets the same result.

Voters are clients, so what is known of the one is known of the other: one candidate is the mean
over the accepted updates without those of the voters that would be left out (`trusted`). Where
whoever poisons also lies, it joins all honest updates and no other, as no rule can that looks at
the updates alone. Where poisoners tell the truth as voters, there is no such candidate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations

from .hashing import hashed, integer

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
    cids = (cid.encode() for cid in (base, *candidates))
    return hashed((_BALLOT, integer(task), integer(server_round), *cids))


@dataclass(frozen=True, slots=True)
class Electorate:
    """The voters of a task, and how far each agreed with its elections so far.

    Attributes:
        byzantine: f, the number of voters that may lie.
        alike: by voter, pairs ordered alike less those ordered otherwise.
        pairs: by voter, pairs compared.
    """

    byzantine: int
    alike: Mapping[int, int] = field(default_factory=dict)
    pairs: Mapping[int, int] = field(default_factory=dict)

    @property
    def quorum(self) -> int:
        """Votes that an election needs: 2f+1."""
        return 2 * self.byzantine + 1

    def agreement(self, voter: int) -> Fraction:
        """Return a voter's agreement with the elections it voted in, from -1 to 1; 0 if none."""
        return Fraction(self.alike.get(voter, 0), self.pairs.get(voter, 0) or 1)

    def trusted(self, voters: Iterable[int]) -> list[int]:
        """Return `voters` in ascending order, without those that did not agree more than disagree.

        At most f are left out, those that agreed least; nobody is before the first election.
        """
        ranked = sorted(voters, key=lambda voter: (self.agreement(voter), voter))
        suspects = ranked[: self.byzantine] if any(self.pairs.values()) else []
        doubted = [voter for voter in suspects if self.agreement(voter) <= 0]
        return sorted(ranked[len(doubted) :])

    def elect(self, votes: Mapping[int, Sequence[int]]) -> "tuple[int | None, Electorate]":
        """Return the position of the elected candidate, and the electorate after the election.

        None: the model is to be kept. Equal means go to the first candidate.

        Args:
            votes: each voter's scores, one a candidate, by the voter's position in the task's list
                of clients; at least `quorum`.

        Raises:
            ValueError: there are fewer votes.
        """
        if len(votes) < self.quorum:
            raise ValueError(f"{len(votes)} votes, {self.quorum} are needed")
        after = self._remembering(votes)
        f = self.byzantine
        counted = after.trusted(votes) if len(votes) > 3 * f else list(votes)
        columns = zip(*(votes[voter] for voter in counted), strict=True)
        totals = [sum(sorted(column)[f : len(counted) - f]) for column in columns]
        if not totals or min(totals) >= 0:
            return None, after
        return totals.index(min(totals)), after

    def _remembering(self, votes: Mapping[int, Sequence[int]]) -> "Electorate":
        columns = zip(*votes.values(), strict=True)
        order = [*(sorted(column)[len(votes) // 2] for column in columns), 0]
        compared = list(combinations(range(len(order)), 2))
        alike, pairs = dict(self.alike), dict(self.pairs)
        for voter, vote in votes.items():
            said = (*vote, 0)
            agreed = sum(_alike(said[a] - said[b], order[a] - order[b]) for a, b in compared)
            alike[voter] = alike.get(voter, 0) + agreed
            pairs[voter] = pairs.get(voter, 0) + len(compared)
        return Electorate(self.byzantine, alike, pairs)


def _alike(said: int, counted: int) -> int:
    """Return 1 for a pair ordered alike, -1 if not, and 0 where the count orders it in no way."""
    if not counted:
        return 0
    return 1 if said and (said > 0) == (counted > 0) else -1
