"""Who can choose a round's rule: `python -m fedledger.experiments.benchmarks.lots`.

Rounds of PoFL are played with its own lists and lots, and without training. An attacker wants one
rule in every round. Honest clients do as `SaltsHandler` does: they give their salt for the first
list of a round that they hear of, and for no other.
"""

import argparse
import json
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from ...ledger_plugins.contracts.training_task.seals import seal_of
from ...strategies.protocols.pofl.draws import Listed, Lists, UpdateList, least_listed
from ...strategies.protocols.pofl.protocol import fallback_of
from ...strategies.protocols.pofl.selection import MIXED

__all__ = ["ATTACKERS", "Shares", "play"]

FALLBACK = fallback_of(MIXED)


@dataclass(frozen=True, slots=True)
class Shares:
    """What came of an attacker's rounds.

    Attributes:
        used: share of the rounds that moved the model in which its rule was used.
        kept: share of all rounds that kept the model.
        found: whether an audit of the run fails.
    """

    used: float
    kept: float
    found: bool


@dataclass
class _Federation:
    """A task's clients, the first f of them malicious, and what its rounds came to."""

    clients: int
    byzantine: int
    rng: random.Random
    number: int = 0
    lists: Lists = field(default_factory=Lists)
    used: list[str | None] = field(default_factory=list)
    last: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    found: bool = False

    def __post_init__(self) -> None:
        self.accounts = [f"0x{number + 1:040x}" for number in range(self.clients)]

    def open(self) -> None:
        """Begin a round: everybody has trained and sealed a salt."""
        self.number += 1
        self.salts = {account: self.rng.randbytes(32) for account in self.accounts}
        entries = tuple(
            Listed(account, position, self.rng.randbytes(36), seal_of(account, self.salts[account]))
            for position, account in enumerate(self.accounts)
        )
        self.whole = UpdateList(1, self.number, entries, frozenset(self.lists.silent))
        self.least = least_listed(self.clients, self.byzantine, len(self.lists.silent))
        self._signed: dict[str, bytes] = {}

    def ask(self, listed: UpdateList, accomplices: Collection[str] = ()) -> dict[str, bytes]:
        """Return the salts that clients give for a list; accomplices give theirs for any."""
        return {
            who: self.salts[who]
            for who in listed.salters
            if who in accomplices or self._signed.setdefault(who, listed.digest) == listed.digest
        }

    def lot(self, listed: UpdateList, salts: dict[str, bytes]) -> str:
        """Return the rule of a list with these salts."""
        complete = len(listed.entries) >= self.least and salts.keys() == listed.salters.keys()
        return MIXED[listed.lot(salts, len(MIXED))] if complete else FALLBACK

    def publish(self, listed: UpdateList, salts: dict[str, bytes]) -> None:
        """End the round with a list and the salts that are shown."""
        before = [self.last[who] for who in salts if who in self.last]
        denied = sum(self.lists.contradicts(*named) for named in before)
        self.found |= denied > self.byzantine
        self.used.append(self.lot(listed, salts))
        named = dict.fromkeys(salts, listed.digest)
        self.lists = self.lists.after(listed, named, self.byzantine)
        self._close()

    def keep(self) -> None:
        """End the round as one in which too few updates arrived."""
        self.used.append(None)
        self.lists = self.lists.without(self.number)
        self._close()

    def _close(self) -> None:
        self.last |= {who: (self.number, digest) for who, digest in self._signed.items()}


def _nobody(here: _Federation, wanted: str) -> None:  # noqa: ARG001 - it wants nothing
    here.publish(here.whole, here.ask(here.whole))


def _client(here: _Federation, wanted: str, many: int = 1) -> None:
    """Clients do not see the lot. They withhold their salts, one a round, while they are asked."""
    salts = here.ask(here.whole)
    if wanted == FALLBACK:
        for account in here.accounts[:many]:
            if salts.pop(account, None):
                break
    here.publish(here.whole, salts)


def _clients(here: _Federation, wanted: str) -> None:
    _client(here, wanted, here.byzantine)


def _aggregator(here: _Federation, wanted: str, accomplices: Collection[str] = ()) -> None:
    """It tries list after list, sees all salts, and withholds one if that helps."""
    shown: tuple[UpdateList, dict[str, bytes]] | None = None
    for listed in _tries(here.whole):
        salts = here.ask(listed, accomplices)
        shown = shown or (listed, salts)
        if salts.keys() == listed.salters.keys() and here.lot(listed, salts) == wanted:
            shown = listed, salts
            break
    assert shown is not None  # noqa: S101 - the whole list is tried first
    listed, salts = shown
    if wanted == FALLBACK and here.lot(listed, salts) != wanted:
        salts = dict(list(salts.items())[1:])
    here.publish(listed, salts)


def _both(here: _Federation, wanted: str) -> None:
    _aggregator(here, wanted, here.accounts[: here.byzantine])


def _hiding(here: _Federation, wanted: str) -> None:
    """An aggregator that publishes an unwanted lot's round as one that kept its model."""
    salts = here.ask(here.whole)
    if here.lot(here.whole, salts) == wanted:
        here.publish(here.whole, salts)
    else:
        here.keep()


def _tries(whole: UpdateList) -> Iterator[UpdateList]:
    """Yield the whole list, then every one without one update, then without two neighbours."""
    entries = whole.entries
    yield whole
    for width in (1, 2):
        for at in range(len(entries) - width + 1):
            fewer = entries[:at] + entries[at + width :]
            yield UpdateList(whole.task, whole.round, fewer, whole.silent)


ATTACKERS: dict[str, Callable[[_Federation, str], None]] = {
    "nobody": _nobody,
    "one client": _client,
    "f clients": _clients,
    "aggregator": _aggregator,
    "aggregator and f clients": _both,
    "aggregator that hides lots": _hiding,
}
"""Who attacks: what it does in a round that is open."""


def play(
    attacker: str, wanted: str, *, clients: int, byzantine: int, rounds: int, seed: int = 1
) -> Shares:
    """Play rounds in which an attacker wants a rule.

    Args:
        attacker: one of `ATTACKERS`.
        wanted: the rule it wants.
        clients: number of clients.
        byzantine: f, the number of malicious ones that the settings are made for.
        rounds: number of rounds.
        seed: of the salts.
    """
    here = _Federation(clients, byzantine, random.Random(seed))
    for _ in range(rounds):
        here.open()
        ATTACKERS[attacker](here, wanted)
    moved = [rule for rule in here.used if rule is not None]
    share = sum(rule == wanted for rule in moved) / len(moved)
    return Shares(share, 1 - len(moved) / rounds, here.found)


def main() -> None:
    """Play all attackers, and print what share of the rounds had the rule they wanted."""
    parser = argparse.ArgumentParser(description="Who can choose a round's rule?")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args()
    rows = [
        {"clients": n, "byzantine": f, "attacker": attacker, "wanted": wanted}
        | asdict(play(attacker, wanted, clients=n, byzantine=f, rounds=given.rounds))
        for n, f in ((7, 2), (20, 6), (30, 9))
        for attacker in ATTACKERS
        for wanted in ("krum", FALLBACK)
    ]
    if given.format == "json":
        print(json.dumps(rows, indent=1))  # noqa: T201 - the program's output
        return
    table = Table(title=f"{given.rounds} rounds; without a lot the rule is {FALLBACK}")
    for name in ("clients", "f", "attacker", "wanted rule", "used", "kept", "audit"):
        table.add_column(name, justify="left" if name in {"attacker", "wanted rule"} else "right")
    for row in rows:
        table.add_row(
            str(row["clients"]),
            str(row["byzantine"]),
            str(row["attacker"]),
            str(row["wanted"]),
            f"{row['used']:.1%}",
            f"{row['kept']:.1%}",
            "fails" if row["found"] else "passes",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
