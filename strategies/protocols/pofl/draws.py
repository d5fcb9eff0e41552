"""Drawing a round's rule by lot, so that nobody chooses it.

Bift takes the time of the last upload modulo three, which the last uploader aims. Here the lot is
thrown by all clients together, after the updates are fixed:

1. With its update every client signs a *seal*, the hash of a secret salt (`seals`).
2. The updates that count are the round's *list*. Its hash goes to the clients, and each reveals
   its salt, signed for this list. Its journal holds it to the first list of a round: asked about
   another one, it names the first again.
3. The lot is a hash over the list and all salts; modulo the number of rules it is the rule.

Whoever leaves out or adds an update does so before anybody knows a salt. With one salt missing
there is no lot, and the rule is the one that the specification names for that case. So an
aggregator, and any client, has the choice between the lot and that rule, and no other;
docs/trust.md has numbers.

There could be two lots where two lists have no honest client in common. Of n clients, f of them
malicious, more than (n + f) / 2 on each list exclude that, so smaller lists have no lot.

A client that did not reveal when it was asked, or for a list that no more than f name, is not asked
again (at most f are left out, the newest ones): its update counts as before, its salt is not waited
for, and a list needs more than (n + f + left out) / 2 updates.

An aggregator could fix a list, learn the lot, and publish the round as one that kept its model, to
have another throw in the next one. So each salt is signed together with the list that its client
revealed a salt for last. More than f clients that name a list which no evidence has prove that a
lot was thrown and hidden.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from .hashing import hashed, integer

__all__ = ["Listed", "Lists", "UpdateList", "least_listed"]

_LIST = b"fedledger update list v1"
_LOT = b"fedledger lot v1"
_KEPT_LISTS = 64


@dataclass(frozen=True, slots=True)
class Listed:
    """An update on a round's list.

    Attributes:
        client: the client's account.
        position: its position in the task's list of clients.
        cid: binary CID of the update.
        seal: hash of the client's salt.
    """

    client: str
    position: int
    cid: bytes
    seal: bytes


@dataclass(frozen=True)
class UpdateList:
    """The updates of a round, in ascending order of position, and whose salts make its lot.

    Attributes:
        task: the task's number.
        round: the round, from 1.
        entries: the updates.
        silent: positions of clients whose salts are not waited for.
    """

    task: int
    round: int
    entries: tuple[Listed, ...]
    silent: frozenset[int] = frozenset()

    @cached_property
    def salters(self) -> dict[str, Listed]:
        """The clients whose salts make the lot, by account."""
        return {one.client: one for one in self.entries if one.position not in self.silent}

    @cached_property
    def digest(self) -> bytes:
        """The 32 bytes that clients sign with their salts."""
        parts = [_LIST, integer(self.task), integer(self.round), integer(len(self.entries))]
        for one in self.entries:
            asked = integer(one.client in self.salters)
            parts += [integer(one.position), one.cid, one.seal, asked]
        return hashed(parts)

    def lot(self, salts: Mapping[str, bytes], choices: int) -> int:
        """Return which of `choices` the lot falls on, from 0.

        Accounts are no part of it, and seals only by their salts: the same updates and salts give
        the same lot whoever the clients are.

        Args:
            salts: the salt of every one of `salters`, by account.
            choices: what there is to choose from.
        """
        parts = [_LOT, integer(self.task), integer(self.round), integer(len(self.entries))]
        for one in self.entries:
            salt = salts[one.client] if one.client in self.salters else b""
            parts += [integer(one.position), one.cid, salt]
        return int.from_bytes(hashed(parts), "big") % choices


def least_listed(clients: int, byzantine: int, silent: int) -> int:
    """Return how many updates a list needs, so that two lists with a lot share an honest client."""
    return (clients + byzantine + silent) // 2 + 1


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists that a task's rounds had, as later rounds remember them.

    Attributes:
        through: the newest round that was looked at.
        since: the first round that was looked at since the newest rollback.
        known: round and digest of the newest lists that salts were asked for, ascending.
        silent: positions of clients that did not reveal, the newest last.
    """

    through: int = 0
    since: int = 0
    known: tuple[tuple[int, str], ...] = ()
    silent: tuple[int, ...] = ()

    def after(self, updates: UpdateList, named: Mapping[str, bytes], byzantine: int) -> "Lists":
        """Return what is remembered once salts were asked for.

        A list that more than f clients name beside this one is what a run that was killed had
        fixed: this round, which has no lot then, admits it.

        Args:
            updates: the list they were asked for.
            named: the list that each client named with its salt, by account.
            byzantine: f; at most so many are left out.
        """
        counted = Counter(named.values())
        admitted = {digest for digest, count in counted.items() if count > byzantine}
        admitted.add(updates.digest)
        missing = [
            one.position for who, one in updates.salters.items() if named.get(who) not in admitted
        ]
        silent = [old for old in self.silent if old not in missing] + missing
        before = self.without(updates.round)
        lists = [(updates.round, one.hex()) for one in sorted(admitted)]
        return replace(
            before,
            known=(*before.known, *lists)[-_KEPT_LISTS:],
            silent=tuple(silent[-byzantine:]) if byzantine else (),
        )

    def without(self, number: int) -> "Lists":
        """Return what is remembered once a round passed in which no salts were asked for.

        The rounds that a rollback has undone are not remembered, but their clients remember them.
        """
        if number == self.through + 1:
            return replace(self, through=number)
        return replace(self, through=number, since=number, known=())

    def contradicts(self, last_round: int, last: bytes) -> bool:
        """Tell whether a client revealed a salt for a list that no round had.

        What is too old to be remembered, and what a rollback has undone, is no contradiction.
        """
        if not last_round or not self.since <= last_round <= self.through:
            return False
        if self.known and last_round < self.known[0][0] and len(self.known) == _KEPT_LISTS:
            return False
        return (last_round, last.hex()) not in self.known
