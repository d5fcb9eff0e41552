"""One training task's life on the ledger and in the store.

The order within a round is what makes a killed run resumable: contents go to the store first, then
the signed transactions to the ledger, then the evidence and the new model to the store, then the
aggregate to the ledger, then the payments. Each step can be repeated.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from fedledger.arrays import Arrays, Layout, from_safetensors, to_safetensors
from fedledger.effects import Clock
from fedledger.errors import AuditError, CallError, ConfigError, ContractError, NotInstalled

from ....ledger_plugins.accounts import Account
from ....ledger_plugins.addresses import checksum_address, is_checksummed
from ....ledger_plugins.base import Ledger, Receipt
from ....ledger_plugins.contracts import Aggregate, Rollback, Task, TrainingTask
from ....ledger_plugins.storage.base import Store
from ....ledger_plugins.storage.patience import kept, put_all
from ..answers.opened import is_sealed
from ..arrival import LONGEST
from ..evidence import documents
from ..evidence.checks import short
from ..evidence.documents import Evidence, Measured, ReportTerms, Specification
from ..phase import arrays_cap
from ..protocol import Protocol, protocol_of
from ..round import Result, Round, TaskTerms
from .halting import check_aggregator, open_terms
from .membership import (
    MAX_CLIENTS,
    Binding,
    MembershipRule,
    check_contract,
    check_settings,
    may_change,
    open_membership,
    terms_at,
)
from .settlement import check_settlement, pay, pay_open, payment_batches, unpaid
from .turns import has_turns, publication_of

__all__ = [
    "MAX_CLIENTS",
    "LedgerTask",
    "accounts_of",
    "check_settlement",
    "model_of",
    "payment_batches",
    "read_task",
    "state_after",
    "task_secret",
    "terms_of",
    "unpaid",
]

logger = logging.getLogger(__name__)

MAX_ACCOUNTS = 4096  # of all parties together: whoever looks at a task checks each
_CLOCKS = ("aggregator", "ledger")
TRIES = 10
"""How often a publication is sent to a ledger whose clock is behind this machine's."""


@dataclass
class LedgerTask:
    """Puts one task on a ledger, round by round.

    Attributes:
        ledger: where it goes.
        store: where contents go.
        account: the aggregator's account.
        clients: registered accounts.
        model_id: the task's name; an unfinished task of this owner and name is continued.
        reward: stake for each contributor and round.
        clock: who says when an answer arrived, for the specification.
        window: seconds in which the contract itself accepts updates, and no publication; 0 for no
            limit.
        owner: who proposed the task and appointed `account`; None: `account` proposes it.
        parties: the accounts of parties besides the clients.
        membership: who decides on changes of the clients; None: they are fixed.
        binding: "required" where answers count only when they are tied to SuperNodes.
        terms_of_reports: what pledges and lateness cost, for the specification and the contract.
    """

    ledger: Ledger
    store: Store
    account: Account
    clients: Sequence[str]
    model_id: str
    reward: int
    clock: Mapping[str, Any]
    window: int = 0
    owner: str | None = None
    parties: Mapping[str, Sequence[str]] | None = None
    membership: MembershipRule | None = None
    binding: Binding = "none"
    terms_of_reports: ReportTerms | None = None

    def __post_init__(self) -> None:
        self.clients = accounts_of("clients", self.clients)
        self.parties = {
            name: accounts_of(name, accounts) for name, accounts in (self.parties or {}).items()
        }
        _check_window(self.window)
        check_settings(self.membership, self.binding, self.clock)
        if not self.clients:
            raise ConfigError("clients: a list of distinct account addresses is needed")
        if len(self.clients) > MAX_CLIENTS:
            raise ConfigError(
                f"clients: {len(self.clients)} are too many, one aggregate names at most "
                f"{MAX_CLIENTS}: split the federation into several tasks"
            )
        _check_accounts({"clients": self.clients, **self.parties}, ConfigError)
        self.contract = TrainingTask(self.ledger)
        self._fixed: TaskTerms | None = None
        self._terms: TaskTerms | None = None
        self.task: Task | None = None
        self.since = 0
        """The block in which the open round opened, once the task is open."""

    # The task ------------------------------------------------------------------------------

    def open(self, initial: Arrays, rounds: int, protocol: Protocol[Any, Any]) -> Arrays:
        """Propose the task, or continue the one that is there; return the model to go on with.

        Raises:
            ConfigError: the model holds no values, a task of this name exists with other settings
                or another aggregator, or there is none of the owner given.
        """
        layout = Layout.from_arrays(initial)
        if not layout.size:
            raise ConfigError(
                "the initial model holds no values: a task's model keeps its shapes from the first "
                "round to the last, so there is nothing to train"
            )
        specification = Specification(
            protocol=protocol.name,
            protocol_version=protocol.version,
            settings=protocol.settings.model_dump(mode="json"),
            parties={"clients": list(self.clients)}
            | {name: list(accounts) for name, accounts in (self.parties or {}).items()},
            layout=layout.to_json(),
            clock=dict(self.clock),
            profile=self.store.profile,
            membership=self.membership,
            binding=None if self.binding == "none" else self.binding,
            terms=self.terms_of_reports,
        )
        model = to_safetensors(initial)
        [owner] = accounts_of("owner", [self.owner or self.account.address])
        existing = self.contract.find(owner, self.model_id)
        check_contract(self.ledger, self.membership)
        if not existing and owner != self.account.address:
            raise ConfigError(
                f"{owner} has no task {self.model_id!r} on the ledger: its owner proposes a task "
                f"and then appoints {self.account.address} its aggregator"
            )
        spec_cid, model_cid = documents.save(specification, self.store), self.store.put(model)
        if not existing:
            number, _ = self.contract.propose(
                self.account,
                model_id=self.model_id,
                model_cid=model_cid,
                rounds=rounds,
                window=self.window,
                reward=self.reward,
                spec=spec_cid,
            )
            open_membership(self.ledger, self.account, number, self.membership)
            open_terms(self.ledger, self.account, number, self.terms_of_reports)
            self._take(self.contract.task(number), specification)
            logger.info("task %d (%s) proposed: %d rounds", number, self.model_id, rounds)
            return initial
        task = self.contract.task(existing[-1])
        _check_window(task.window)
        self._take(task, specification)
        self._refuse_other(task, spec_cid, model_cid, rounds)
        if not task.finished:
            self.check_aggregator()
        if task.owner == self.account.address and not task.current_round:  # it was killed before
            open_membership(self.ledger, self.account, task.id, self.membership)
            open_terms(self.ledger, self.account, task.id, self.terms_of_reports)
        pay_open(self.contract, self.account, task.id)
        logger.info(
            "task %d (%s) continues after round %d of %d",
            task.id,
            self.model_id,
            task.current_round,
            task.rounds,
        )
        return self.model()

    def check_aggregator(self) -> None:
        """Check that the account publishes the task's rounds; ConfigError: it does not."""
        check_aggregator(self.contract, self.opened, self.account.address)

    def model(self) -> Arrays:
        """Return the model that the open round begins with, as ledger and store have it."""
        return model_of(self.store, self.opened.current_cid, self.terms.layout)

    def state(self, protocol: Protocol[Any, Any]) -> BaseModel | None:
        """Return the state that the open round goes on from."""
        ended = self.contract.ended(self.opened.id)
        return state_after(ended, len(ended), protocol, self.store)

    def ended_otherwise(self, number: int) -> bool:
        """Tell whether a round ended otherwise; `opened` is then the task as it is now.

        By a rollback; or as another node has published it, in its turn; or, where the ledger keeps
        the clock, a miner that holds this account.
        """
        task = self.contract.task(self.opened.id)
        if task.current_round < number:
            return False
        ended = {rollback.round: rollback for rollback in self.contract.rollbacks(task.id)}
        found = ended.get(number)
        if found is not None:
            by = f"{found.votes} members" if found.votes else "its owner"
            said = f"was rolled back to round {found.to_round} by {by}; its updates are void"
        elif has_turns(self.ledger, self.contract.roles(task.id).aggregator):
            said = "was published already, by a node whose turn it was"
        elif self.terms.ledger_clock:
            said = "was published already, by a miner that holds this account"
        else:
            return False
        logger.warning("round %d of task %d %s", number, task.id, said)
        self.task = task
        self._note_opening()
        return True

    @property
    def opened(self) -> Task:
        """The task as the ledger had it at the last step; ConfigError before `open`."""
        if self.task is None:
            raise ConfigError("the task is not open yet: call start() on the strategy")
        return self.task

    @property
    def terms(self) -> TaskTerms:
        """The terms of the open round, or of the last one; ConfigError before `open`."""
        if self._terms is None:
            raise ConfigError("the task is not open yet: call start() on the strategy")
        return self._terms

    # A round -------------------------------------------------------------------------------

    def other_clients(self) -> bool:
        """Tell whether a reorganisation changed who the open round's clients are."""
        before = self.terms
        if self.ledger.settled_depth and may_change(self.ledger, before):
            self._note_opening()
        now = self.terms
        return (now.parties, now.node_keys) != (before.parties, before.node_keys)

    def publish(
        self,
        round: Round,
        result: Result,
        state: BaseModel,
        measured: Sequence[Measured],
        time: Clock,
    ) -> Evidence:
        """Put a round's model, evidence and aggregate where they belong, then pay.

        Args:
            round: the round.
            result: what the protocol made of it.
            state: the protocol's state after it.
            measured: what was measured of the model.
            time: waits, where the task has a window, until it is over: before that the contract
                takes no aggregate.

        Raises:
            ConfigError: payments that the ledger cannot settle.
            ContractError: the contract refused the aggregate: `WindowOpen` where the ledger's clock
                stands still, `WrongRound` where the round was rolled back meanwhile.
        """
        task = self.opened
        check_settlement(result, task.reward)
        cid = task.current_cid
        if result.model is not None:
            [cid] = put_all(self.store, [to_safetensors(result.model)], time)
        evidence = round.evidence(result, cid, state)
        evidence = evidence.model_copy(update={"measured": list(measured)})
        saved = kept(lambda: documents.save(evidence, self.store), time)
        receipt = self._once_over(
            task,
            lambda: publication_of(self.contract, task.id)(
                self.account,
                task=task.id,
                round=round.number,
                cid=cid,
                rule=evidence.rule,
                contributors=evidence.contributors,
                evidence=saved,
                commitments=result.commitments,
            ),
            time,
        )
        pay(self.contract, self.account, task.id, round.number, evidence.contributors)
        self.task, self.since = self.contract.task(task.id), receipt.block
        if may_change(self.ledger, self.terms):
            self._note_opening()
        return evidence

    # Inside --------------------------------------------------------------------------------

    def _take(self, task: Task, specification: Specification) -> None:
        self.task = task
        self._fixed = self._terms = terms_of(task, specification, self.ledger, self.store)
        self._note_opening()

    def _note_opening(self) -> None:
        ended = self.contract.ended(self.opened.id)
        self.since = self.contract.opened_in(self.opened.id, ended)
        if self._fixed is not None:
            last = ended[:-1] if self.opened.finished else ended
            self._terms = terms_at(self._fixed, self.ledger, last)

    def _once_over(self, task: Task, publish: Callable[[], Receipt], time: Clock) -> Receipt:
        """Publish when the contract takes no more updates (clause L5).

        A ledger's newest block may be old and its clock behind this machine's: what the contract
        then refuses is sent again when, as it says itself, the window is over.
        """
        closes = task.opened_at + task.window
        left = 0.0
        if task.window and self.ledger.head().timestamp <= closes:
            left = min(closes + 1 - time.wall(), task.window + 1)
        tries = 0
        while True:
            tries += 1
            if left > 0:
                logger.info("the window of task %d is open for %.0f more seconds", task.id, left)
                time.sleep(left)
            try:
                return publish()
            except ContractError as error:
                if error.error != "WindowOpen" or tries == TRIES:
                    raise
                left = max(float(tries), closes + 1 - error.arguments["time"])

    def _refuse_other(self, task: Task, spec: str, model: str, rounds: int) -> None:
        given = {"specification": spec, "initial model": model, "rounds": rounds}
        found = {"specification": task.spec, "initial model": task.model_cid, "rounds": task.rounds}
        different = [name for name, value in given.items() if found[name] != value]
        if different:
            raise ConfigError(
                f"task {task.id} ({self.model_id}) is on the ledger with another "
                f"{' and '.join(different)}: continue it with the same settings, "
                "or choose another model_id"
            )


def _check_window(seconds: int) -> None:
    if seconds > LONGEST:
        raise ConfigError(
            f"ledger_window: {seconds} seconds are too long, no round ends before its window: at "
            f"most {LONGEST:.0f}"
        )


def accounts_of(party: str, accounts: Sequence[str]) -> tuple[str, ...]:
    """Return accounts checksummed; ConfigError where one is none or there twice."""
    try:
        checked = tuple(map(checksum_address, accounts))
    except CallError as error:
        raise ConfigError(f"{party}: {error}") from error
    if len(set(checked)) != len(checked):
        raise ConfigError(f"{party}: a list of distinct account addresses is needed")
    return checked


def _check_accounts(
    parties: Mapping[str, Sequence[str]], error: type[AuditError | ConfigError]
) -> None:
    if (found := sum(map(len, parties.values()))) > MAX_ACCOUNTS:
        raise error(f"{found} accounts of all parties are too many: at most {MAX_ACCOUNTS}")


def terms_of(task: Task, specification: Specification, ledger: Ledger, store: Store) -> TaskTerms:
    """Return what is fixed for a task.

    Raises:
        AuditError: the specification lists too many accounts, one of a party twice, no clients, or
            something that is no account, or no clock that fits the task's window.
        ModelError: its layout is none.
    """
    clock = specification.clock
    _check_accounts(specification.parties, AuditError)
    for party, accounts in specification.parties.items():
        if len(set(accounts)) != len(accounts):
            raise AuditError(f"the specification lists one of the {party} twice")
        for account in accounts:
            if not is_checksummed(account):
                raise AuditError(f"the specification lists {short(account)} among the {party}")
    if clock.get("by") not in _CLOCKS:
        raise AuditError(f"the specification's clock is kept by none of {_CLOCKS}")
    if specification.binding is not None and clock.get("by") == "ledger":
        raise AuditError("the specification binds nodes, and its answers are the ledger's")
    patience = clock.get("patience", 0)
    if isinstance(patience, bool) or not isinstance(patience, int) or not 0 <= patience <= LONGEST:
        raise AuditError("the specification's clock has no whole number of seconds of patience")
    if not specification.parties.get("clients"):
        raise AuditError("the specification lists no clients")
    layout = Layout.from_json(specification.layout)
    return TaskTerms(
        task=task.id,
        rounds=task.rounds,
        reward=task.reward,
        parties=specification.parties,
        layout=layout,
        chain_id=ledger.chain_id,
        contract=ledger.terms("TrainingTask", "submitUpdate").to,
        window=task.window,
        ledger_clock=clock.get("by") == "ledger",
        patience=patience,
        membership=specification.membership,
        binding=specification.binding is not None,
        sealed=is_sealed(clock, task.window),
        specification=task.spec,
        registered=specification.parties["clients"],
        initial=cache(lambda: model_of(store, task.model_cid, layout)),
    )


def read_task(task: Task, ledger: Ledger, store: Store) -> tuple[TaskTerms, Protocol[Any, Any]]:
    """Return a task's terms and protocol from ledger and store alone.

    Raises:
        NotChecked: the specification is missing, or its protocol or profile is not known here.
        AuditError: the specification is none.
        ModelError: its layout is none.
    """
    specification = documents.load(Specification, task.spec, store)
    if specification.profile != store.profile:
        raise NotInstalled(
            f"the task's contents are addressed by profile {short(specification.profile)!r}, "
            f"this store's by {store.profile!r}"
        )
    return terms_of(task, specification, ledger, store), protocol_of(specification)


def model_of(store: Store, cid: str, layout: Layout) -> Arrays:
    """Return a stored model.

    Raises:
        StoreError: it is missing, damaged or too large.
        ModelError: it is not of the layout.
    """
    cap = arrays_cap(layout)
    return from_safetensors(store.get(cid, max_bytes=cap), layout=layout, max_bytes=cap)


def state_after(
    ended: Sequence[Aggregate | Rollback],
    number: int,
    protocol: Protocol[Any, Any],
    store: Store,
) -> BaseModel | None:
    """Return the state after a round, as its evidence has it; None where nothing was prepared.

    After a rollback it is the state after the round that the task went back to.

    Args:
        ended: the rounds that ended, from the first one.
        number: the round; 0 before the first.
        protocol: whose state.
        store: where the evidence is.

    Raises:
        AuditError: there is no such state.
    """
    last = ended[number - 1] if number else None
    while isinstance(last, Rollback):
        number = last.to_round
        last = ended[number - 1] if number else None
    if last is None:
        return None
    evidence = documents.load(Evidence, last.evidence, store)
    try:
        return protocol.State.model_validate(evidence.state)
    except ValueError as error:
        raise AuditError(f"the state after round {number} is none of {protocol.name!r}") from error


def task_secret(account: Account, ledger: Ledger, model_id: str, purpose: str) -> bytes:
    """Return 32 secret bytes of an aggregator for one of its tasks, the same in every run."""
    return account.secret(f"{purpose}/{ledger.chain_id}/{model_id}".encode())
