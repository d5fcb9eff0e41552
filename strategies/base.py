"""What `PoFL` and `Anchored` share: a Flower strategy whose rounds go on a ledger."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from logging import INFO
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from fedledger.arrays import Arrays, read_record, to_record
from fedledger.errors import ContractError, ModelError
from fedledger.records import Form

from ..ledger_plugins import open_ledger, open_store
from ..ledger_plugins.accounts import Account
from ..ledger_plugins.base import Ledger
from ..ledger_plugins.storage.base import Store
from .anchor import Anchor
from .arrival import ArrivalGrid, ArrivalWindow, Clock, WallClock
from .documents import Candidate, Dropped
from .replies import CheckedUpdate, common_metrics, metrics_form

__all__ = ["LedgerStrategy", "Outcome"]

EvaluateFn = Callable[[int, ArrayRecord], MetricRecord | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a strategy made of a round's checked updates.

    Attributes:
        arrays: the new model, or None to keep the old one.
        rule: name of the rule.
        kept: why the old model is kept, or None.
        accepted: updates that counted, in the order of the task's clients.
        late: updates that came after the window.
        dropped: updates refused on the way.
        contributors: accounts with weight in the aggregate.
        reveal: the beacon's value, or None.
        candidates: what the miners voted on.
        metrics: the clients' metrics, aggregated.
    """

    arrays: Arrays | None
    rule: str
    kept: str | None
    accepted: Sequence[CheckedUpdate]
    late: Sequence[CheckedUpdate] = ()
    dropped: Sequence[Dropped] = ()
    contributors: Sequence[str] = ()
    reveal: bytes | None = None
    candidates: Sequence[Candidate] = ()
    metrics: MetricRecord | None = None


class LedgerStrategy(Strategy):
    """A Flower strategy around another one: sampling is the inner's, evidence is ours.

    Args:
        inner: Flower strategy that samples nodes and handles evaluation.
        ledger: an open ledger, or the URL of one.
        store: an open store, or the URL of one.
        account: the aggregator's account; it proposes the task and publishes the aggregates.
        owner: who proposed the task instead, and appointed `account` its aggregator.
        clients: addresses of the registered clients.
        model_id: the task's name on the ledger.
        reward: stake for each contributor and round (Bift: 20).
        ledger_window: seconds after a round's opening in which the contract accepts updates; 0
            leaves the window to the strategy.
        clock: says when an update arrived.
        window: what closes the pulling of replies; None waits for all of them.
    """

    form: Form

    def __init__(
        self,
        inner: Strategy,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        reward: int,
        ledger_window: int,
        owner: str | None = None,
        clock: Clock | None = None,
        window: ArrivalWindow | None = None,
    ) -> None:
        self.inner = inner
        self.clock = clock if clock is not None else WallClock()
        self.window = window
        self.samples_key: str = getattr(inner, "weighted_by_key", "num-examples")
        self.anchor = Anchor(
            ledger=open_ledger(ledger) if isinstance(ledger, str) else ledger,
            store=open_store(store) if isinstance(store, str) else store,
            account=account,
            clients=tuple(clients),
            model_id=model_id,
            reward=reward,
            form=self.form,
            samples_key=self.samples_key,
            window=ledger_window,
            owner=owner,
        )
        self._grid: ArrivalGrid | None = None
        self._done = 0
        self._current: Arrays = {}
        self._config = ConfigRecord()
        self._timeout = 3600.0

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Return what the task's specification says about this strategy (JSON values)."""

    @abstractmethod
    def decide(
        self, server_round: int, updates: Sequence[CheckedUpdate], current: Arrays
    ) -> Outcome:
        """Make a round's outcome of its checked updates; relays those that count."""

    def before_start(self, rounds: int) -> None:
        """Prepare what a run of `rounds` rounds needs; called before the task is opened."""

    def start(  # noqa: PLR0917 - Flower's signature
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: EvaluateFn | None = None,
    ) -> Result:
        """Run the task, or what is left of it when the ledger already holds a part.

        Arguments and result are those of `flwr.serverapp.strategy.Strategy.start`; rounds are
        numbered as on the ledger.

        Raises:
            ConfigError: the ledger holds a task of this name with other settings.
        """
        self.before_start(num_rounds)
        initial = read_record(initial_arrays)
        arrays = self.anchor.open(initial, num_rounds, type(self).__name__, self.parameters())
        self._done = done = self.anchor.opened.current_round
        self._timeout = timeout
        self._grid = ArrivalGrid(grid, None if self.clock.waits_for_all else self.window)
        shifted = None
        if evaluate_fn is not None:
            evaluate = evaluate_fn

            def shifted(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
                return evaluate(server_round + done, arrays)

        record = to_record(arrays)
        result = super().start(
            grid=self._grid,
            initial_arrays=record,
            num_rounds=num_rounds - done,
            timeout=timeout,
            train_config=train_config,
            evaluate_config=evaluate_config,
            evaluate_fn=shifted,
        )
        if done == num_rounds:
            result.arrays = record
        for name in (
            "train_metrics_clientapp",
            "evaluate_metrics_clientapp",
            "evaluate_metrics_serverapp",
        ):
            by_round = getattr(result, name)
            setattr(result, name, {key + done: value for key, value in by_round.items()})
        return result

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy choose nodes and messages, then add what clients sign."""
        if self.anchor.opened.finished:
            return []  # rollbacks used up what was left
        self._current = read_record(arrays)
        self._config = config
        messages = self.inner.configure_train(server_round + self._done, arrays, config, grid)
        return self.anchor.address(messages)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the replies, decide, and put the round on the ledger.

        Where the round was rolled back meanwhile, its updates are void: the task goes on with the
        checkpoint's model.
        """
        if self.anchor.opened.finished:
            return None, None
        ledger_round = server_round + self._done
        if self.anchor.rolled_back(ledger_round):
            return self._go_on(server_round), None
        try:
            outcome = self._close(ledger_round, replies)
        except ContractError:
            if not self.anchor.rolled_back(ledger_round):
                raise
            return self._go_on(server_round), None
        if outcome.kept is not None:
            log(INFO, "aggregate_train: model kept: %s", outcome.kept)
        arrays = self._current if outcome.arrays is None else outcome.arrays
        return to_record(arrays), outcome.metrics

    def _close(self, ledger_round: int, replies: Iterable[Message]) -> Outcome:
        asked = self._grid.sent.values() if self._grid is not None else ()
        updates, dropped = self.anchor.check(replies, asked)
        stamped = [self._stamp(ledger_round, update) for update in updates]
        outcome = self.decide(ledger_round, stamped, self._current)
        self.anchor.publish(
            outcome.arrays,
            rule=outcome.rule,
            kept=outcome.kept,
            accepted=outcome.accepted,
            late=outcome.late,
            dropped=[*dropped, *outcome.dropped],
            contributors=outcome.contributors,
            reveal=outcome.reveal,
            candidates=outcome.candidates,
        )
        return outcome

    def _go_on(self, server_round: int) -> ArrayRecord:
        """Return the model after a rollback; several rounds may have ended by rollbacks at once."""
        self._done = self.anchor.opened.current_round - server_round
        return to_record(self.anchor.model())

    def _stamp(self, server_round: int, update: CheckedUpdate) -> CheckedUpdate:
        stamps = self._grid.stamps if self._grid is not None else {}
        pulled = stamps.get(update.message.metadata.reply_to_message_id, 0)
        return replace(update, arrival=self.clock.arrival(server_round, update.position, pulled))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Leave it to the inner strategy."""
        return self.inner.configure_evaluate(server_round + self._done, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Give the inner strategy the replies whose metrics have the form most of them have."""
        usable = [
            reply
            for reply in replies
            if not reply.has_error() and len(reply.content.metric_records) == 1
        ]
        common = common_metrics(usable)
        good = [
            reply
            for reply in usable
            if metrics_form(next(iter(reply.content.metric_records.values()))) == common
        ]
        return self.inner.aggregate_evaluate(server_round + self._done, good)

    def summary(self) -> None:
        """Log every knob."""
        log(INFO, "\t├──> Ledger: %s", self.anchor.ledger.url)
        log(INFO, "\t├──> Store: %s", self.anchor.store.url)
        log(INFO, "\t├──> Task: %s", self.anchor.model_id)
        log(INFO, "\t├──> Registered clients: %d", len(self.anchor.clients))
        log(INFO, "\t├──> Reward: %d", self.anchor.reward)
        for name, value in self.parameters().items():
            log(INFO, "\t├──> %s: %s", name, value)
        self.inner.summary()


def same_metrics(
    updates: Sequence[CheckedUpdate],
) -> tuple[list[CheckedUpdate], list[Dropped]]:
    """Split updates into those whose metrics Flower can aggregate together and the others."""
    common = common_metrics(update.message for update in updates)
    good, dropped = [], []
    for update in updates:
        metrics = next(iter(update.message.content.metric_records.values()))
        if metrics_form(metrics) == common:
            good.append(update)
        else:
            detail = f"metrics {sorted(metrics)} differ from those of most clients"
            dropped.append(
                Dropped(
                    reason="metrics",
                    detail=detail[:400],
                    client=update.client,
                    arrival=update.arrival,
                )
            )
    return good, dropped


def as_model(arrays: ArrayRecord, like: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    """Return a strategy's arrays in the order and dtypes of the global model.

    Flower's averaging turns integer arrays into float64; they are rounded back.

    Raises:
        ModelError: other keys or shapes, or values that are not finite.
    """
    if set(arrays) != set(like):
        raise ModelError(f"the aggregate has keys {sorted(arrays)}, the model {sorted(like)}")
    model = {}
    for key, old in like.items():
        new = arrays[key].numpy()
        if new.shape != old.shape:
            raise ModelError(f"array {key!r}: shape {new.shape}, the model has {old.shape}")
        if np.issubdtype(new.dtype, np.floating) and not np.isfinite(new).all():
            raise ModelError(f"array {key!r} of the aggregate holds NaN or infinity")
        if np.issubdtype(old.dtype, np.integer) and np.issubdtype(new.dtype, np.floating):
            new = np.rint(new)
        model[key] = np.asarray(new, dtype=old.dtype)
    return model
