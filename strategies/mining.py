"""Rounds without a server: miners aggregate what clients put on the ledger themselves.

Bift's miners (section IV): each aggregates the open round's updates by Algorithm 2 and puts the
result into the block it makes; the others replay it before they build on that block. Here the
account that owns the task publishes, so miners that share a task share its account; what they make
of the same block before is the same to the byte, and whose block wins does not matter.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fedledger.arrays import from_safetensors, to_safetensors
from fedledger.effects import Clock
from fedledger.errors import (
    ConfigError,
    ContentNotFound,
    ContractError,
    FedledgerError,
)
from fedledger.guards import Failures, spared

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.base import Ledger, Receipt, SignedTransaction, UnsignedTransaction
from ..ledger_plugins.contracts import Task, TrainingTask
from ..ledger_plugins.contracts.abi import encode_call
from ..ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ..ledger_plugins.contracts.training_task.commitments import commitment_pairs
from ..ledger_plugins.contracts.training_task.seals import salt_purpose, seal_of
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_to_bytes
from .protocols.pofl import (
    MIXED,
    PoFLProtocol,
    PoFLSettings,
    PoFLState,
    Selection,
    arithmetic_of,
    fallback_of,
)
from .protocols.pofl.draws import UpdateList
from .rounds.answers.standing import called, standing
from .rounds.evidence import documents
from .rounds.evidence.documents import Specification
from .rounds.kinds.mined import MinedRound, NotYet, grace_of
from .rounds.protocol import Protocol, run_round, settings_of
from .rounds.round import TaskTerms
from .rounds.tasks.halting import terms_from
from .rounds.tasks.membership import MembershipRule, terms_at
from .rounds.tasks.task import (
    LedgerTask,
    check_settlement,
    model_of,
    payment_batches,
    read_task,
    state_after,
    task_secret,
    unpaid,
)
from .submitting import Submitted, domain_of, submit_update

__all__ = [
    "PATIENCE",
    "SALT_WINDOW",
    "WINDOW",
    "Aggregator",
    "Submitted",
    "propose_task",
    "reveal_salt",
    "salt_times",
    "submit_update",
]

SALT_WINDOW = 60.0
"""Seconds in which clients of mined rounds reveal their salts, by the ledger's clock."""

WINDOW = 600
"""Seconds that a mined round takes updates, unless its task says otherwise."""

PATIENCE = 3600
"""Seconds that a round without a window waits for absent clients, by default."""

TRIES = 10
"""How often a salt is sent: the ledger's clock may be behind, or the round's list not final."""

LEDGER_CLOCK = {"by": "ledger"}
"""The specification's clock where an answer arrives with the block that holds it.

Its arrival is the number of blocks since the one that opened the round, and the contract's own
window closes the round, or its patience, by block time, so that every miner sees the same arrivals.
"""

logger = logging.getLogger(__name__)

_Call = tuple[str, tuple[object, ...]]


class Aggregator:
    """Ends open rounds: what a miner adds to its block.

    Only tasks whose clock is the ledger's (`propose_task`) are aggregated, whatever their protocol:
    those that `account` owns, and those that are named here; others' tasks cost nothing. Rounds are
    published while the contract has the account as the task's aggregator.
    A round ends when the contract's window is over; without one, when every registered client has
    submitted, or its patience is over. The audit checks that it did not end before.

    Args:
        store: where contents are, and where model and evidence go.
        account: the tasks' owner.
        clock: says for how long a content has been looked for.
        tasks: numbers of others' tasks, whose aggregator the account is or may become.
        malicious: publish a wrong model, for experiments.
    """

    def __init__(
        self,
        store: Store,
        account: Account,
        clock: Clock,
        *,
        tasks: Collection[int] = (),
        malicious: bool = False,
    ) -> None:
        self._store = store
        self._account = account
        self._clock = clock
        self._tasks = frozenset(tasks)
        self._malicious = malicious
        self._made: dict[object, _Call] = {}
        self._sought: dict[str, float] = {}
        self._failures = Failures()

    def __call__(self, ledger: Ledger, want: Callable[[str], None]) -> list[SignedTransaction]:
        """Return the calls that are due, signed, in order.

        Args:
            ledger: the ledger up to the block that is being made.
            want: takes the CID of a content that the node should fetch.
        """
        nonce = ledger.nonce(self._account.address)
        signed: list[SignedTransaction] = []
        for function, arguments in self._calls(ledger, want):
            data = encode_call("TrainingTask", function, *arguments)
            terms = ledger.terms("TrainingTask", function)
            signed.append(self._account.sign(UnsignedTransaction(terms, nonce + len(signed), data)))
        return signed

    def _calls(self, ledger: Ledger, want: Callable[[str], None]) -> Iterable[_Call]:
        contract = TrainingTask(ledger)
        for number in sorted(self._tasks.union(contract.of(self._account.address))):
            due: list[_Call] = []
            with spared(f"aggregating task {number}", logger, failures=self._failures):
                try:
                    for call in self._calls_of(contract.task(number), ledger):
                        due.append(call)  # noqa: PERF402 - a round that is open yet stops it
                except NotYet as error:
                    logger.debug("task %d: %s", number, error)
                    for cid in error.missing:
                        self._sought.setdefault(cid, self._clock.monotonic())
                        want(cid)
                except FedledgerError as error:
                    cause = error if isinstance(error, ContentNotFound) else error.__cause__
                    if not isinstance(cause, ContentNotFound):
                        raise
                    want(cause.cid)
            yield from due  # payments too, while the next round is open

    def _calls_of(self, task: Task, ledger: Ledger) -> Iterable[_Call]:
        terms, protocol = read_task(task, ledger, self._store)
        if not terms.ledger_clock:
            return
        contract = TrainingTask(ledger)
        for ended, clients in unpaid(contract, task.id):
            for batch in payment_batches(clients):
                yield "payRewards", (task.id, ended, batch)
        if not task.finished and contract.roles(task.id).aggregator == self._account.address:
            yield self._publication(task, terms, protocol, ledger)

    def _publication(
        self, task: Task, terms: TaskTerms, protocol: Protocol[Any, Any], ledger: Ledger
    ) -> _Call:
        """Return the call that ends the open round; the same as before while nothing changed.

        Raises:
            NotYet: the contract takes updates still, or answers or contents are missing.
        """
        contract, number = TrainingTask(ledger), task.current_round + 1
        ended = contract.ended(task.id)
        terms = terms_at(terms, ledger, ended)
        opened = contract.opened_in(task.id, ended)
        tried = self._clock.monotonic()
        lost = {cid for cid, since in self._sought.items() if tried - since > grace_of(terms)}
        seen = tuple(
            (event.transaction, event.block)
            for event in ledger.events("TrainingTask", since=opened)
            if event.arguments.get("task") == task.id
        )
        clients = tuple(terms.parties["clients"])  # a reorganisation can change them
        key = (task.id, number, task.current_cid, opened, clients, frozenset(lost), seen)
        if key in self._made:
            return self._made[key]
        protocol.fix(task.rounds, partial(task_secret, self._account, ledger, task.model_id))
        mined = MinedRound(
            terms,
            number,
            lambda: model_of(self._store, task.current_cid, terms.layout),
            task.current_cid,
            ledger,
            self._store,
            opened,
            task.opened_at,
            ledger.head().timestamp,
            lost,
            self._failures,
        )
        state = state_after(ended, len(ended), protocol, self._store)
        result, after = run_round(protocol, mined, state)
        check_settlement(result, task.reward)
        model, cid = result.model, task.current_cid
        if self._malicious and model is not None:
            model = {
                key: np.asarray(-3 * array).astype(array.dtype) for key, array in model.items()
            }
        if model is not None:
            cid = self._store.put(to_safetensors(model))
        evidence = mined.evidence(result, cid, after)
        call: _Call = (
            "publishAggregate",
            (
                evidence.task,
                evidence.round,
                cid_to_bytes(evidence.aggregate),
                evidence.rule,
                evidence.contributors,
                cid_to_bytes(documents.save(evidence, self._store)),
                commitment_pairs(result.commitments),
            ),
        )
        self._made[key] = call
        return call


def propose_task(
    ledger: Ledger,
    store: Store,
    account: Account,
    model: bytes,
    *,
    model_id: str,
    clients: Sequence[str],
    rounds: int,
    byzantine: int | None = None,
    rules: Sequence[str] = MIXED,
    selection: Selection = "beacon",
    window: int = WINDOW,
    salt_window: float = SALT_WINDOW,
    patience: int = PATIENCE,
    reward: int = 20,
    sealed: bool = False,
    membership: MembershipRule | None = None,
    terms: Mapping[str, int] | None = None,
) -> int:
    """Propose a task that miners aggregate, with an initial model; return its number.

    Args:
        ledger: an open ledger.
        store: the store of the node that the proposer uses.
        account: the owner; the miners that aggregate hold it, too.
        model: the content of a safetensors file.
        model_id: the task's name.
        clients: registered accounts.
        rounds: number of rounds.
        byzantine: number f of malicious clients to tolerate; default: as many as so many clients
            can, the largest f with 2f+3 of them. More unusable updates than f hold up a round.
        rules: the rules to choose from.
        selection: "beacon" or "timestamp"; an election needs Flower.
        window: seconds that a round takes updates and lasts; 0: it ends once all clients have
            submitted, and until it is published each of them may replace what it submitted.
        salt_window: seconds after that in which clients reveal their salts (`reveal_salt`).
        patience: seconds after which a round without a window ends without who is absent; 0 waits
            for ever.
        reward: tokens for each contribution.
        sealed: whether updates are sealed: what they are nobody learns before the window is over,
            and then each client opens its own (`open_pending`).
        membership: who lets clients join and leave between rounds, "owner" or "members" of the
            task; None: the clients are these for ever.
        terms: what pledges and lateness cost, by the names of `Reports.set_terms`; None: nothing.

    Raises:
        ConfigError: a setting is wrong, or the name is taken by another task.
        ModelError: it is no model.
    """
    if selection == "election":
        raise ConfigError("selection 'election' needs a Flower server: use beacon or timestamp")
    drawn = selection == "beacon" and len(rules) > 1
    if drawn and not window:
        raise ConfigError(
            "a lot needs a list of updates that is final: give the task a window, in seconds, or "
            "one rule alone"
        )
    if sealed and not window:
        raise ConfigError(
            "sealed updates are opened when a window is over: give the task a window, in seconds"
        )
    if byzantine is None:
        byzantine = max(0, (len(clients) - 3) // 2)
    least = 2 * byzantine + 3
    if least > len(clients):
        raise ConfigError(
            f"{byzantine} malicious clients need at least {least} clients, not {len(clients)}"
        )
    initial = from_safetensors(model, max_bytes=len(model))
    settings = settings_of(
        PoFLSettings,
        byzantine=byzantine,
        rules=tuple(rules),
        selection=selection,
        strict=False,
        min_submissions=least,
        window=None,
        quiet=None,
        salt_window=salt_window,
        fallback=fallback_of(rules),
        arithmetic=arithmetic_of(rules),
    )
    protocol = PoFLProtocol(settings)
    task = LedgerTask(
        ledger,
        store,
        account=account,
        clients=list(clients),
        model_id=model_id,
        reward=reward,
        clock=LEDGER_CLOCK
        | ({} if window else {"patience": patience})
        | ({"submissions": "sealed"} if sealed else {}),
        window=window,
        membership=membership,
        terms_of_reports=None if terms is None else terms_from(terms),
    )
    task.open(initial, rounds, protocol)
    return task.opened.id


def salt_times(ledger: Ledger, store: Store, *, task: int) -> tuple[int, int] | None:
    """Return when the salts of a task's open round are revealed, or None where it throws no lot.

    Returns:
        Unix seconds by the ledger's clock: after the first the contract takes salts, and until the
        second the round waits for them.

    Raises:
        NotChecked: the task's specification is missing.
    """
    now = TrainingTask(ledger).task(task)
    if documents.load(Specification, now.spec, store).protocol != PoFLProtocol.name:
        return None
    terms, protocol = read_task(now, ledger, store)
    assert isinstance(protocol, PoFLProtocol)  # noqa: S101 - by its name
    if now.finished or not (protocol.throws_lots and terms.ledger_clock):
        return None
    closes = now.opened_at + now.window
    return closes, closes + math.ceil(protocol.settings.salt_window)


def reveal_salt(
    ledger: Ledger,
    store: Store,
    account: Account,
    *,
    task: int,
    clock: Clock | None = None,
    say: Callable[[float], object] = lambda _: None,
) -> Receipt:
    """Reveal the salt of a client's update to the open round, once its window is over.

    Args:
        ledger: an open ledger.
        store: the store of the node that the client uses.
        account: a registered client that has submitted an update.
        task: the task's number.
        clock: waits until the window is over; None: nobody waits.
        say: takes the seconds that are left, at least every ten of them.

    Raises:
        ConfigError: nobody asks this account for a salt.
        ContractError: "WindowOpen": the round still takes updates.
        NotChecked: the task's specification or last evidence is missing.
    """
    times = salt_times(ledger, store, task=task)
    if times is None:
        raise ConfigError(f"task {task} throws no lots on the ledger, or is finished")
    number = TrainingTask(ledger).task(task).current_round + 1
    if clock is not None:
        _sleep_until(times[0] + 1, clock, say)
    for left in reversed(range(TRIES)):
        try:
            digest, receipt = _reveal(ledger, store, account, task, number)
        except ContractError as error:
            if clock is None or error.error != "WindowOpen" or not left:
                raise
            _sleep_until(clock.wall() + times[0] + 1 - error.arguments["time"], clock, say)
            continue
        # Now the ledger has a block after the window, and the list is final.
        listed = _list_of(ledger, store, task, number)
        if not left or listed is None or listed.digest == digest:
            break
    return receipt


def _sleep_until(end: float, clock: Clock, say: Callable[[float], object]) -> None:
    while (left := end - clock.wall()) > 0:
        say(left)
        clock.sleep(min(left, 10.0))


def _list_of(ledger: Ledger, store: Store, task: int, number: int) -> UpdateList | None:
    """Return a round's list as the ledger has it now; None where no salts are asked for."""
    contract = TrainingTask(ledger)
    terms, protocol = read_task(contract.task(task), ledger, store)
    assert isinstance(protocol, PoFLProtocol)  # noqa: S101 - it throws lots
    ended = contract.ended(task)[: number - 1]
    terms = terms_at(terms, ledger, ended)
    opened = contract.opened_in(task, ended)
    events = called(ledger, SUBMIT_UPDATE, task, number, terms.parties["clients"], since=opened)
    signed = standing(events, SUBMIT_UPDATE, terms.positions("clients"))
    state = state_after(ended, len(ended), protocol, store) or PoFLState()
    assert isinstance(state, PoFLState)  # noqa: S101 - it is this protocol's
    return protocol.list_of(terms, number, signed, state)


def _reveal(
    ledger: Ledger, store: Store, account: Account, task: int, number: int
) -> tuple[bytes, Receipt]:
    """Reveal a salt for the list as it is now; return its digest, and the receipt."""
    listed = _list_of(ledger, store, task, number)
    salt = account.secret(salt_purpose(domain_of(ledger, task, number)))
    seals = {one.client: one.seal for one in listed.entries} if listed else {}
    if listed is None:
        why = "too few updates are on the ledger for a lot"
    elif account.address not in seals:
        why = "it has no update on the ledger"
    elif account.address not in listed.salters:
        why = "it did not reveal its salt when it was asked before, so it is not waited for"
    elif seals[account.address] != seal_of(account.address, salt):
        why = "its update was sealed with another salt"
    else:
        return listed.digest, TrainingTask(ledger).reveal_salt(
            account, task=task, round=number, list=listed.digest, salt=salt
        )
    raise ConfigError(f"round {number} of task {task} asks {account.address} for no salt: {why}")
