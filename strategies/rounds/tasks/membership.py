"""Who a round's clients are: those of the specification, changed by what the ledger says since.

One exact rule, for everybody who has to do with a round: a change counts in it when its event is on
the ledger before the event that opened the round (the publication or rollback of the round before),
in an earlier block, or earlier in the same one. So the first round's clients are the
specification's, and what comes while a round is open is for the next one. Whom a verdict excluded
(`Reports`) is a client no longer, also where the specification fixes the list, and becomes none
again. The same rule holds of the keys of SuperNodes that accounts publish, where a task asks for
bound nodes; of the first round it is the proposal that opened it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Any, Literal, get_args

from fedledger.errors import ConfigError, LedgerUnavailable, NotChecked, UnknownNameError

from ....ledger_plugins.accounts import Account
from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts import (
    Aggregate,
    ClientChange,
    Membership,
    Reports,
    Rollback,
    TrainingTask,
)
from ....ledger_plugins.contracts.identities.facade import Identities
from ....ledger_plugins.contracts.identities.nodes import node_keys
from ....ledger_plugins.contracts.membership.facade import ClientAdmitted, ClientReplaced
from ....ledger_plugins.contracts.membership.twin import ASKED, MEMBERS, OWNER
from ....ledger_plugins.contracts.reports.kinds import Exclusion
from ....ledger_plugins.contracts.training_task.records import Proposal
from ....ledger_plugins.storage.base import Store
from ..evidence import documents
from ..evidence.documents import Specification
from ..round import TaskTerms

__all__ = [
    "MAX_CLIENTS",
    "Binding",
    "Changes",
    "MembershipRule",
    "changed_clients",
    "check_contract",
    "check_settings",
    "clients_at",
    "clients_now",
    "may_change",
    "open_membership",
    "terms_at",
    "who_decides",
    "writers_of",
]

MAX_CLIENTS = 256
"""One aggregate names at most so many; whoever is admitted while all places are taken gets none."""

MembershipRule = Literal["owner", "members"]
"""Who decides on the clients of a task: its owner, or more than half of its members."""

Binding = Literal["none", "required"]
"""Whether answers count only with a statement of the SuperNode's key that the account published."""

_RULES = {"owner": OWNER, "members": MEMBERS}


def changed_clients(
    first: Sequence[str], changes: Iterable[ClientChange | Exclusion]
) -> tuple[str, ...]:
    """Return the clients after changes, in order: joiners last, a replacement in its place.

    Who has a place already, or gets none as all are taken, is where it was; who has none cannot
    give it to anybody. Who was excluded has none, and gets none.

    Args:
        first: the specification's clients.
        changes: in ledger order.
    """
    clients, excluded = list(first), set()
    for change in changes:
        if isinstance(change, Exclusion):
            excluded.add(change.account)
        if isinstance(change, ClientAdmitted):
            taken = excluded.union(clients)
            if change.account not in taken and len(clients) < MAX_CLIENTS:
                clients.append(change.account)
        elif change.account in clients:
            at = clients.index(change.account)
            if isinstance(change, ClientReplaced) and change.by not in excluded.union(clients):
                clients[at] = change.by
            else:
                del clients[at]
    return tuple(clients)


class Changes:
    """The changes of a task's clients that count: by the rule of its specification, and verdicts.

    Args:
        ledger: the ledger.
        task: the task's number.
        first: the specification's clients.
        rule: who decides, as the specification says; None: the clients are fixed.
        until: last block to look at (default: the head).

    Raises:
        NotChecked: clients may change, and this ledger has no contract for it.
    """

    def __init__(
        self,
        ledger: Ledger,
        task: int,
        first: Sequence[str],
        rule: MembershipRule | None,
        until: int | None = None,
    ) -> None:
        self._ledger, self._first = ledger, first
        self._changes: list[ClientChange | Exclusion] = _exclusions(ledger, task)
        if rule is None:
            return
        if Membership.contract not in ledger.contracts():
            raise NotChecked(
                f"the clients of task {task} may change, and {ledger.url} has no contract "
                f"Membership: `fedledger deploy --contract Membership` adds it"
            )
        membership = Membership(ledger)
        opened = membership.opened(task, until=until)
        if opened is not None and opened.by_members == (rule == "members"):
            self._changes += membership.changes(task, first, until=until)
            self._changes.sort(key=attrgetter("place"))

    def clients(self, ended: Sequence[Aggregate | Rollback]) -> Sequence[str]:
        """Return the clients of the round after those that ended.

        Args:
            ended: the rounds that ended, from the first one.
        """
        if not ended:
            return self._first
        place = ended[-1].place
        return changed_clients(self._first, (one for one in self._changes if one.place < place))

    def terms(self, terms: TaskTerms, ended: Sequence[Aggregate | Rollback]) -> TaskTerms:
        """Return the terms of the round after those that ended: with its clients and their nodes.

        Raises:
            NotChecked: nodes have to be bound, and this ledger has no contract for it.
            LedgerUnavailable: the ledger does not show the task's proposal any more.
        """
        if self._changes and ended:
            clients = self.clients(ended)
            terms = replace(terms, parties={**terms.parties, "clients": clients})
        if not terms.binding:
            return terms
        if Identities.contract not in self._ledger.contracts():
            raise NotChecked(f"nodes have to be bound, and {self._ledger.url} has no Identities")
        place = ended[-1].place if ended else self._proposed(terms.task)
        accounts = {account for party in terms.parties.values() for account in party}
        return replace(terms, node_keys=node_keys(self._ledger, accounts, place))

    def _proposed(self, task: int) -> tuple[int, int]:
        found = self._ledger.matching(TrainingTask.contract, Proposal.event, {"task": task})
        if not found:
            raise LedgerUnavailable(f"{self._ledger.url} does not show the proposal of task {task}")
        return found[0].place


def clients_at(
    ledger: Ledger,
    task: int,
    first: Sequence[str],
    rule: MembershipRule | None,
    ended: Sequence[Aggregate | Rollback],
) -> Sequence[str]:
    """Return a task's clients in the round after those that ended; see `Changes`."""
    if not ended:
        return first
    return Changes(ledger, task, first, rule, ended[-1].block).clients(ended)


def may_change(ledger: Ledger, terms: TaskTerms) -> bool:
    """Tell whether the next round's clients, or their nodes, may be others than this one's."""
    if terms.membership is not None or terms.binding:
        return True
    return bool(_exclusions(ledger, terms.task))


def clients_now(ledger: Ledger, store: Store, task: int) -> dict[str, Any]:
    """Return who takes part in a task, for people: JSON values; of who asks to, the newest 256.

    Raises:
        ContractError: there is no such task.
        NotChecked: its specification is missing.
    """
    contract = TrainingTask(ledger)
    now = contract.task(task)
    specification = documents.load(Specification, now.spec, store)
    rule, first = specification.membership, specification.parties.get("clients", [])
    found: dict[str, Any] = {"task": task, "decides": rule or "nobody: the clients are fixed"}
    ended = contract.ended(task)
    found["round"] = None if now.finished else len(ended) + 1
    clients = clients_at(ledger, task, first, rule, ended)
    found["clients"] = [{"position": at, "account": one} for at, one in enumerate(clients)]
    if rule is not None:
        membership = Membership(ledger)
        newest = reversed(membership.asked(task))
        asked = list(dict.fromkeys(one.account for one in newest))[:MAX_CLIENTS]
        asking = [one for one in asked if membership.standing_of(task, one) == ASKED]
        found["asking"] = [{"account": one} for one in asking]
    return found


def writers_of(ledger: Ledger, store: Store, tasks: Iterable[int]) -> set[str]:
    """Return the accounts that bring contents to tasks: clients as of now, owners and aggregators.

    Of a task whose specification is not in the store yet, it is the latter: they bring it.

    Raises:
        ContractError: there is no such task.
        LedgerUnavailable: the ledger cannot be reached.
    """
    contract = TrainingTask(ledger)
    found: set[str] = set()
    for task in tasks:
        roles = contract.roles(task)
        found |= {roles.owner, roles.aggregator}
        with suppress(NotChecked):
            found |= {one["account"] for one in clients_now(ledger, store, task)["clients"]}
    return found


def terms_at(terms: TaskTerms, ledger: Ledger, ended: Sequence[Aggregate | Rollback]) -> TaskTerms:
    """Return the terms of the round after those that ended; see `Changes`.

    Args:
        terms: the task's, as its specification has them.
        ledger: the ledger.
        ended: the rounds that ended, from the first one.
    """
    rule = terms.membership if ended else None
    until = ended[-1].block if ended else None
    first = terms.parties["clients"]
    return Changes(ledger, terms.task, first, rule, until).terms(terms, ended)


def _exclusions(ledger: Ledger, task: int) -> list[ClientChange | Exclusion]:
    there = Reports.contract in ledger.contracts()
    return list(Reports(ledger).exclusions(task)) if there else []


def who_decides(rule: MembershipRule | None, owner: str) -> str:
    """Return what an account can do that is none of a task's clients, for people.

    Args:
        rule: who decides; None: nobody.
        owner: the task's owner.
    """
    if rule is None:
        return f"Only its owner {owner} says who they are, in a new task"
    who = f"its owner {owner}" if rule == "owner" else "more than half of its members"
    return f"Ask to join with `fedledger task join`; {who} can admit it for the round after"


def check_settings(membership: str | None, binding: str, clock: Mapping[str, Any]) -> None:
    """Check that a rule and a binding are ones that there are, and fit the specification's clock.

    Raises:
        UnknownNameError: one is none; names the nearest.
        ConfigError: nodes cannot be bound where the ledger says what counts.
    """
    if membership is not None and membership not in _RULES:
        raise UnknownNameError("membership", membership, _RULES)
    if binding not in get_args(Binding):
        raise UnknownNameError("binding", binding, get_args(Binding))
    if binding != "none" and clock.get("by") == "ledger":
        raise ConfigError(
            "binding='required': by the ledger's clock an account's call counts whichever node it "
            "comes from; take the aggregator's clock"
        )


def check_contract(ledger: Ledger, rule: MembershipRule | None) -> None:
    """Check that clients can change on a ledger, where a task's specification lets them.

    Raises:
        ConfigError: the ledger has no contract for it.
    """
    if rule is not None and Membership.contract not in ledger.contracts():
        raise ConfigError(
            f"membership={rule!r}: {ledger.url} has no contract Membership: "
            "`fedledger deploy --contract Membership` adds it"
        )


def open_membership(
    ledger: Ledger, account: Account, task: int, rule: MembershipRule | None
) -> None:
    """Let a new task's clients change as its specification says, if its contract does not yet.

    Args:
        ledger: the ledger.
        account: the task's owner.
        task: the task's number; no round of it has ended.
        rule: who decides; None: nobody.

    Raises:
        ConfigError: the ledger has another rule, or no such contract.
    """
    check_contract(ledger, rule)
    if rule is None:
        return
    membership = Membership(ledger)
    found = membership.rule_of(task)
    if not found:
        membership.open_membership(account, task=task, by_members=rule == "members")
    elif found != _RULES[rule]:
        raise ConfigError(
            f"task {task} was opened for changes of its clients by another rule than its "
            f"specification's, {rule!r}: no change of them counts; propose another task"
        )
