"""`LedgerStrategy`: runs a protocol under Flower; sampling and evaluation are a strategy's inside.

Flower's loop calls `configure_train` and `aggregate_train`. The first only keeps the messages that
the strategy inside made; the whole round, all of its phases, runs in the second.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from logging import INFO
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.exception import InconsistentMessageReplies
from flwr.serverapp.strategy import Result as FlowerResult
from flwr.serverapp.strategy import Strategy
from pydantic import BaseModel

from fedledger.arrays import Arrays, read_record, to_record
from fedledger.effects import Effects
from fedledger.errors import (
    ConfigError,
    ContractError,
    LedgerUnavailable,
    ModelError,
    TransactionRefused,
)
from fedledger.urls import mask_url

from ....ledger_plugins import open_ledger, open_store
from ....ledger_plugins.accounts import Account
from ....ledger_plugins.base import Ledger
from ....ledger_plugins.storage.base import Store
from ..answers.asking import Sent, Way
from ..answers.history import Pins
from ..arrival import Clock, LedgerClock, WallClock
from ..kinds.clocked import ClockedRound, check_clocked
from ..kinds.live import LiveRound
from ..protocol import PROTOCOLS, Protocol, run_round
from ..round import Attested, Result
from ..tasks.halting import terms_from
from ..tasks.membership import Binding, MembershipRule
from ..tasks.task import LedgerTask, task_secret
from ..tasks.turns import await_turn, is_missed
from ..transport.options import CONTENT_SECONDS, Transport, Transporting
from .checkpoints import Checkpoints, Keeper, Members, appoint_members, members_of
from .closing import SECONDS as CLOSING_SECONDS
from .closing import closing_messages, confirm_history, confirmed, say_trouble
from .evaluation import (
    EvaluateFn,
    MeasureFn,
    attempted,
    average_of,
    guarded,
    measured_of,
    metrics_of,
    usable_evaluations,
)
from .inner import as_model, weight_of
from .observers import Observer, Observers

__all__ = ["LedgerStrategy", "MeasureFn"]

logger = logging.getLogger(__name__)

SAMPLES = "num-examples"
"""Metric that holds the number of training samples where a strategy names none."""

_TRIES = 3  # of a round whose clients change under it


class LedgerStrategy(Strategy):
    """A Flower strategy whose rounds a protocol makes, on a ledger.

    Args:
        protocol: how a round's model comes about.
        inner: Flower strategy that samples nodes and handles evaluation.
        ledger: an open ledger, or the URL of one, which is open until `start` ends.
        store: an open store, or the URL of one, likewise.
        account: the aggregator's account; it proposes the task and publishes the aggregates.
        clients: addresses of the registered clients; the order numbers them.
        model_id: the task's name on the ledger.
        reward: stake for each contributor and round (Bift: 20).
        ledger_window: seconds after a round's opening in which the contract accepts updates, and
            after which it is published; 0 leaves the window to the protocol.
        owner: who proposed the task instead, and appointed `account` its aggregator.
        clock: says when an answer arrived; default: the wall clock. By a `LedgerClock` the ledger
            says it, and what counts: see `ClockedRound`.
        parties: accounts of parties besides the clients, by the party's name.
        membership: who lets clients join and leave between rounds, the task's "owner" or its
            "members"; None: the clients are these for ever. It needs the contract Membership.
        binding: "required": an answer counts only with a statement of the SuperNode's key that its
            account had published (`fedledger account bind`) when the round opened.
        terms: what pledges and lateness cost: `min_pledge`, `late_cost`, `patience` and
            `report_seconds`, as of `Reports.set_terms`; None: the task has no terms.
        observers: called with each published round's evidence; they can neither delay nor fail it.
        measure: measures a round's model before it is published, finite numbers by metric; they go
            into the evidence as this account's word, apart from what clients claim.
        checkpoints: which models become checkpoints, right after their rounds were published:
            "never", "best": those more accurate than all before, or N: each N-th round's. How good
            one is, `measure` says by "accuracy", or else `evaluate_fn` does.
        members: who may vote on rollbacks: "clients", or addresses; they are appointed right after
            the task was proposed. None: nobody, or who its owner appoints.
        transport: "inline": models travel in messages; "store": messages name them, both ways, and
            clients have a store of their own (node config `store`).
        content_seconds: how long after a phase's end contents may come whose CIDs came in time.
        effects: what time passes while replies are waited for, and who tells observers; this
            machine's by default. A ledger or a store that is opened by its URL has its own.

    Raises:
        ConfigError: the protocol is not the one that is registered under its name, or a setting is
            wrong.
    """

    def __init__(
        self,
        protocol: Protocol[Any, Any],
        inner: Strategy,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        reward: int = 20,
        ledger_window: int = 0,
        owner: str | None = None,
        clock: Clock | None = None,
        parties: Mapping[str, Sequence[str]] | None = None,
        membership: MembershipRule | None = None,
        binding: Binding = "none",
        terms: Mapping[str, int] | None = None,
        observers: Sequence[Observer] = (),
        measure: MeasureFn | None = None,
        checkpoints: Checkpoints = "never",
        members: Members | None = None,
        transport: Transport = "inline",
        content_seconds: float = CONTENT_SECONDS,
        effects: Effects | None = None,
    ) -> None:
        if PROTOCOLS.load(protocol.name) is not type(protocol):
            raise ConfigError(
                f"{type(protocol).__name__} is not what is registered as protocol "
                f"{protocol.name!r}: no audit would replay it"
            )
        self.protocol = protocol
        self.inner = inner
        self.clock = clock if clock is not None else WallClock()
        self.samples_key = weight_of(inner) or SAMPLES
        self._opened = ExitStack()  # what was given by its URL
        self._where = ledger, store
        self._make_task = partial(
            LedgerTask,
            account=account,
            clients=tuple(clients),
            model_id=model_id,
            reward=reward,
            clock={"by": "aggregator"} | self.clock.describe(),
            window=ledger_window,
            owner=owner,
            parties=parties,
            membership=membership,
            binding=binding,
            terms_of_reports=None if terms is None else terms_from(terms),
        )
        self._by_ledger = isinstance(self.clock, LedgerClock)
        if self._by_ledger:
            check_clocked(protocol, ledger_window if owner is None else None)
        self.task = self._open(account)
        missing = set(protocol.parties) - {"clients", *(parties or {})}
        if missing:
            raise ConfigError(f"protocol {protocol.name!r} asks {sorted(missing)}: name them")
        effects = effects or Effects.real()
        self.transport = Transporting(transport, content_seconds, effects)
        self._time = effects.clock
        self.observers = Observers(observers, effects.work)
        self._measure = measure
        self._keeper = Keeper(checkpoints, measures=measure is not None)
        self._members = members_of(members, clients, account.address, owner)
        self._way: Way | None = None
        self._state: BaseModel | None = None
        self._done = 0
        self._current: Arrays = {}
        self._config = ConfigRecord()
        self._messages: list[Message] = []
        self._metrics: MetricRecord | None = None

    def start(  # noqa: PLR0917 - Flower's signature
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: EvaluateFn | None = None,
    ) -> FlowerResult:
        """Run the task, or what is left of it when the ledger already holds a part.

        Arguments and result are those of `flwr.serverapp.strategy.Strategy.start`; rounds are
        numbered as on the ledger.

        Raises:
            ConfigError: the ledger holds a task of this name with other settings.
        """
        with self._opened:
            return self._start(
                grid,
                initial_arrays,
                num_rounds,
                timeout,
                train_config,
                evaluate_config,
                evaluate_fn,
            )

    def _start(  # noqa: PLR0917 - as `start`
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int,
        timeout: float,
        train_config: ConfigRecord | None,
        evaluate_config: ConfigRecord | None,
        evaluate_fn: EvaluateFn | None,
    ) -> FlowerResult:
        if self._way is not None:
            self.task = self._open(self.task.account)  # it has been started before
        task = self.task
        self._keeper.check(evaluate_fn)
        self.protocol.fix(num_rounds, self._secret)
        arrays = task.open(read_record(initial_arrays), num_rounds, self.protocol)
        appoint_members(task, self._members)
        evaluate_fn = self._keeper.begin(task, evaluate_fn)
        self._state = task.state(self.protocol)
        self._done = done = task.opened.current_round
        self._config = train_config or ConfigRecord()
        pins = Pins(task.ledger, task.terms.parties["clients"])
        opened = task.contract.opened_in(task.opened.id, ())
        first = max(0, opened - task.ledger.settled_depth)  # what was named then
        grid, contents = (
            self.transport.grid(grid, task.store),
            self.transport.contents(task.store),
        )
        way = grid, task.ledger, task.store, self.clock, self._time, timeout, pins, first
        self._way = Way(*way, contents=contents)
        record = to_record(arrays)
        with self.observers:
            result = super().start(
                grid=grid,
                initial_arrays=record,
                num_rounds=num_rounds - done,
                timeout=timeout,
                train_config=train_config,
                evaluate_config=evaluate_config,
                evaluate_fn=None if evaluate_fn is None else guarded(evaluate_fn, done),
            )
        if done == num_rounds:
            result.arrays = record
        if task.opened.finished and not (done == num_rounds and self._confirmed()):
            self._close(self._way)
        say_trouble(task.ledger, task.store, task.opened.id)
        for name in (
            "train_metrics_clientapp",
            "evaluate_metrics_clientapp",
            "evaluate_metrics_serverapp",
        ):
            by_round = getattr(result, name)
            setattr(result, name, {key + done: value for key, value in by_round.items()})
        return result

    def _open(self, account: Account) -> LedgerTask:
        ledger, store = self._where
        return self._make_task(
            ledger=self._opened.enter_context(open_ledger(ledger))
            if isinstance(ledger, str)
            else ledger,
            store=self._opened.enter_context(open_store(store, account=account))
            if isinstance(store, str)
            else store,
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the strategy inside choose nodes and messages; they are sent in `aggregate_train`."""
        self._messages = []
        if self.task.opened.finished:
            return []  # rollbacks used up what was left
        self._current = read_record(arrays)
        self._config = config
        made = self.inner.configure_train(server_round + self._done, arrays, config, grid)
        self._messages = list(made)
        return []

    def aggregate_train(
        self,
        server_round: int,
        replies: Iterable[Message],  # noqa: ARG002 - the round asks by itself
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Run the round and put it on the ledger.

        Where the round ended otherwise meanwhile (`LedgerTask.ended_otherwise`), its answers are
        void: the task goes on with the model that the ledger has. Where several nodes publish in
        turns, it waits for its own; a round that took longer is run again in the next one.

        Raises:
            ConfigError: the account is not the task's aggregator any more, or the task is halted.
        """
        if self.task.opened.finished or self._way is None:
            return None, None
        number = server_round + self._done
        if self.task.ended_otherwise(number):
            return self._go_on(server_round), None
        self.task.check_aggregator()
        again, found = _copies(self._messages), None
        while found is None:
            if not await_turn(self.task, number, self._time):
                return self._go_on(server_round), None
            try:
                found = self._run(number, self._way)
            except (ContractError, TransactionRefused) as error:
                if isinstance(error, ContractError) and error.error == "NotAggregator":
                    self.task.check_aggregator()
                if self.task.ended_otherwise(number):
                    return self._go_on(server_round), None
                if not is_missed(error):
                    raise
                logger.warning("round %d was not published in time: %s", number, error)
                self._messages = again()
        result, metrics = found
        if result.kept is not None:
            log(INFO, "aggregate_train: model kept: %s", result.kept)
        arrays = self._current if result.model is None else result.model
        return to_record(arrays), metrics

    def inner_aggregate(self, server_round: int, messages: Sequence[Message]) -> Attested:
        """Return what the strategy inside makes of replies, for a protocol that attests.

        Where it raises, as Flower's clipping does at an update of zeros, the model is kept.
        """
        rule = type(self.inner).__name__[:32]
        try:
            arrays, self._metrics = self.inner.aggregate_train(server_round, messages)
        except InconsistentMessageReplies as error:
            return Attested(None, rule, f"{rule}: {error}")
        except Exception as error:  # what clients sent can be too much for a strategy
            logger.warning("%s cannot aggregate round %d", rule, server_round, exc_info=True)
            return Attested(None, rule, f"{rule}: {type(error).__name__}: {error}")
        if arrays is None:
            return Attested(None, rule, f"{rule} gave no aggregate")
        try:
            return Attested(as_model(arrays, self._current, self.task.terms.initial), rule)
        except ModelError as error:
            return Attested(None, rule, str(error))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Leave it to the strategy inside; where that raises, nobody evaluates this round."""
        number = server_round + self._done

        def made() -> list[Message]:
            return list(self.inner.configure_evaluate(number, arrays, config, grid))

        return attempted(f"evaluation of round {number}", made) or []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Give the strategy inside the replies that it can average; no evaluation ends a run."""
        number = server_round + self._done
        good = usable_evaluations(replies, weight_of(self.inner))
        return metrics_of(
            f"evaluation of round {number}", lambda: self.inner.aggregate_evaluate(number, good)
        )

    def summary(self) -> None:
        """Log every knob."""
        task = self.task
        log(INFO, "\t├──> Protocol: %s/%d", self.protocol.name, self.protocol.version)
        log(INFO, "\t├──> Ledger: %s", mask_url(task.ledger.url))
        log(INFO, "\t├──> Store: %s", mask_url(task.store.url))
        log(INFO, "\t├──> Task: %s", task.model_id)
        if self._done:
            log(INFO, "\t├──> Rounds of it that the ledger has already: %d", self._done)
        log(INFO, "\t├──> Registered clients: %d", len(task.clients))
        log(INFO, "\t├──> Reward: %d", task.reward)
        for name, value in self.protocol.settings.model_dump(mode="json").items():
            log(INFO, "\t├──> %s: %s", name, value)
        self.inner.summary()

    # Inside --------------------------------------------------------------------------------

    def _run(self, number: int, way: Way) -> tuple[Result, MetricRecord | None]:
        task = self.task
        live, result, state = self._made(number, way)
        arrays = self._current if result.model is None else result.model
        by = task.account.address
        measured = measured_of(self._measure, number, arrays, by) if self._measure else []
        evidence = task.publish(live, result, state, measured, self._time)
        self._state = state
        self._keeper.published(task, number, measured)
        self.observers.tell(evidence)
        if live.attested or not live.answered:
            return result, self._metrics
        return result, average_of(live.answered[0], self.inner, self.samples_key)

    def _made(self, number: int, way: Way) -> tuple[LiveRound | ClockedRound, Result, BaseModel]:
        """Run a round, again where a reorganisation changed it meanwhile: no audit would take it.

        Raises:
            LedgerUnavailable: they do not come to rest.
        """
        again = _copies(self._messages)
        for _ in range(_TRIES):
            self._metrics = None
            live = self._round(number, way)
            result, state = run_round(self.protocol, live, self._state)
            stands = not isinstance(live, ClockedRound) or live.stands()
            if not self.task.other_clients() and stands:
                return live, result, state
            logger.warning("round %d is another one after a reorganisation: again", number)
            self._messages = again()
        raise LedgerUnavailable(f"round {number} changes with each reorganisation")

    def _round(self, number: int, way: Way) -> LiveRound | ClockedRound:
        task = self.task
        model, cid = lambda: self._current, task.opened.current_cid
        sent = Sent(self.protocol, way, self._messages, self._config)
        if not self._by_ledger:
            return LiveRound(task.terms, number, model, cid, sent, task.since)
        if not task.terms.window:
            raise ConfigError(
                f"task {task.opened.id} has no window: by the ledger's clock a round lasts for one"
            )
        opened, contract = task.opened, task.contract
        return ClockedRound(
            task.terms,
            number,
            model,
            cid,
            sent,
            task.since,
            opened.opened_at,
            lambda: contract.confirm_history(task.account, task=opened.id),
        )

    def _confirmed(self) -> bool:
        """Tell whether more clients than may lie have confirmed since the last round."""
        task = self.task
        clients = task.terms.parties["clients"]
        gave = confirmed(task.ledger, task.opened.id, clients)
        return len(gave) > self.protocol.tolerated(len(clients))

    def _close(self, way: Way) -> None:
        """Let the clients that took part confirm the ledger's history, now that it is complete.

        A run that was killed before that, and goes on, knows no client yet, and asks all nodes.
        """
        messages = closing_messages(way.nodes or way.grid.get_node_ids(), self._config)
        if not messages:
            return
        task, short = self.task, replace(way, timeout=min(way.timeout, CLOSING_SECONDS))
        last = LiveRound(
            task.terms,
            task.opened.rounds,
            lambda: self._current,
            task.opened.current_cid,
            Sent(self.protocol, short, messages, self._config),
            task.since,
        )
        confirm_history(last)

    def _go_on(self, server_round: int) -> ArrayRecord:
        """Return the model that the ledger has; several rounds may have ended otherwise at once."""
        self._done = self.task.opened.current_round - server_round
        self._state = self.task.state(self.protocol)
        return to_record(self.task.model())

    def _secret(self, purpose: str) -> bytes:
        return task_secret(self.task.account, self.task.ledger, self.task.model_id, purpose)


def _copies(messages: Sequence[Message]) -> Callable[[], list[Message]]:
    """Return what makes messages again, for a round that is run once more."""
    asked = [(message.metadata, message.content) for message in messages]
    return lambda: [
        Message(content, dst_node_id=of.dst_node_id, message_type=of.message_type)
        for of, content in asked
    ]
