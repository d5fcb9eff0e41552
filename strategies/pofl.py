"""PoFL, the proof-of-federated-learning strategy of Bift (section IV, Algorithms 1 and 2).

In each round an arrival window discards late updates, and one of several robust rules aggregates
the rest. Which one is fixed by something nobody knows until the window has closed
(`fedledger.strategies.selection`). `recompute` is the whole decision as a pure function: the
strategy calls it live, the audit calls it with what it finds on the ledger and in the store.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fedledger.arrays import Arrays, Layout, to_safetensors
from fedledger.errors import AggregationError, ConfigError, UnknownNameError
from fedledger.records import Form

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.base import Ledger
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_to_bytes
from .aggregation import aggregate
from .aggregation import rules as known_rules
from .anchor import KEPT
from .arrival import ArrivalWindow, Clock
from .base import LedgerStrategy, Outcome, same_metrics
from .documents import Candidate, Dropped
from .election import Electorate, ballot_of
from .polling import poll
from .replies import CheckedUpdate
from .selection import (
    CANDIDATES,
    MIXED,
    TRUSTED,
    Beacon,
    Selection,
    beacon_index,
    rule_of,
    timestamp_index,
)

__all__ = [
    "Decision",
    "Entry",
    "PoFL",
    "PoFLParameters",
    "check_rules",
    "elected",
    "proposals",
    "recompute",
]


class PoFLParameters(BaseModel):
    """What the task's specification says about a PoFL run; an auditor needs nothing else.

    Attributes:
        byzantine: number of malicious clients each rule must tolerate.
        rules: the rules to choose from, in this order.
        selection: how a round's rule is chosen.
        strict: whether Bulyan refuses n < 4f+3.
        min_submissions: with fewer accepted updates a round keeps its model.
        window: length of the arrival window in seconds.
        quiet: seconds without an arrival that close it early, or None.
        clock: how arrivals were measured.
        commitment: the beacon's commitment in hexadecimal, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    byzantine: int = Field(ge=0)
    rules: tuple[str, ...] = Field(min_length=1)
    selection: Selection
    strict: bool
    min_submissions: int = Field(ge=1)
    window: float
    quiet: float | None
    clock: dict[str, Any]
    commitment: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted update as the decision sees it.

    Attributes:
        position: the client's position in the task's list.
        cid: CID of the update.
        vector: the update, float32 of length d.
        arrival: milliseconds after the round's messages were sent.
    """

    position: int
    cid: str
    vector: NDArray[np.float32]
    arrival: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a round's accepted updates lead to.

    Attributes:
        rule: the rule chosen, or "kept".
        update: the aggregated update, float32 of length d, or None when the model is kept.
        selected: positions of the clients whose update has weight in the aggregate.
        kept: why the model is kept, or None.
    """

    rule: str
    update: NDArray[np.float32] | None
    selected: tuple[int, ...]
    kept: str | None


def check_rules(rules: Sequence[str], selection: Selection) -> None:
    """Check that rules are known and can be chosen in this way.

    Raises:
        ConfigError: `trusted_mean` without elections.
        UnknownNameError: a rule nobody registered.
    """
    for rule in rules:
        known_rules.load(rule_of(rule))
    if TRUSTED in rules and selection != "election":
        raise ConfigError(f"{TRUSTED} goes by past elections: it needs selection = 'election'")


def recompute(
    parameters: PoFLParameters,
    entries: Sequence[Entry],
    *,
    task: int,
    server_round: int,
    reveal: bytes | None,
) -> Decision:
    """Choose the rule and aggregate, from nothing but what is on the ledger and in the store.

    Args:
        parameters: the task's settings.
        entries: the accepted updates, in ascending order of position.
        task: the task's id.
        server_round: the round, from 1.
        reveal: the beacon's value of this round; None when selection is by timestamp.
    """
    if len(entries) < parameters.min_submissions:
        kept = f"{len(entries)} updates arrived in time, {parameters.min_submissions} are needed"
        return Decision(KEPT, None, (), kept)
    if parameters.selection == "beacon":
        if reveal is None:
            raise ConfigError("selection by beacon needs the value revealed in this round")
        accepted = [(entry.position, cid_to_bytes(entry.cid)) for entry in entries]
        index = beacon_index(reveal, task, server_round, accepted, len(parameters.rules))
    else:
        index = timestamp_index(max(entry.arrival for entry in entries), len(parameters.rules))
    return _apply(parameters, parameters.rules[index], entries)


def _apply(parameters: PoFLParameters, rule: str, entries: Sequence[Entry]) -> Decision:
    options = {"strict": parameters.strict} if rule == "bulyan" else {}
    vectors = [entry.vector for entry in entries]
    try:
        result = aggregate(rule_of(rule), vectors, byzantine=parameters.byzantine, **options)
    except AggregationError as error:
        return Decision(KEPT, None, (), str(error))
    selected = tuple(entries[row].position for row in result.selected)
    return Decision(rule, result.vector, selected, None)


def proposals(
    parameters: PoFLParameters, entries: Sequence[Entry], electorate: Electorate
) -> list[Decision]:
    """Return what each rule makes of the accepted updates; a rule that cannot work is left out.

    Args:
        parameters: the task's settings.
        entries: the accepted updates, in ascending order of position.
        electorate: the task's miners, with all elections before this one.
    """
    if len(entries) < parameters.min_submissions:
        return []
    trusted = electorate.trusted(entry.position for entry in entries)
    among = [entry for entry in entries if entry.position in trusted]
    found = [
        _apply(parameters, rule, among if rule == TRUSTED else entries)
        for rule in parameters.rules
        if rule != TRUSTED or len(among) < len(entries)  # it would be the plain mean
    ]
    return [decision for decision in found if decision.kept is None]


def elected(
    electorate: Electorate, proposed: Sequence[Decision], votes: Mapping[int, Sequence[int]]
) -> Decision:
    """Return the proposal that the miners elect, or the decision to keep the model.

    Args:
        electorate: the task's miners, with all elections before this one.
        proposed: the candidates, in the order of the scores.
        votes: each miner's scores, by its position in the task's list of clients.
    """
    if not proposed:
        return Decision(KEPT, None, (), "no rule has a candidate")
    if len(votes) < electorate.quorum:
        kept = f"{len(votes)} miners voted, {electorate.quorum} are needed"
        return Decision(KEPT, None, (), kept)
    chosen = electorate.elect(votes)
    if chosen is None:
        return Decision(KEPT, None, (), "no candidate improves the model by the miners' count")
    return proposed[chosen]


class PoFL(LedgerStrategy):
    """Robust federated learning in which every round can be recomputed by anyone.

    Trust: up to `byzantine` clients may send anything. The aggregator need not be trusted: what it
    accepted, which rule it used, what came out and whom it rewarded are recomputed by the audit.
    It is trusted not to withhold an update that arrived in time (a client sees that its transaction
    is missing) and, for the choice of the rule, not to conspire with a client before the window
    closes. Updates are visible to the aggregator and to everyone who can read the store.

    Args:
        ledger: an open ledger, or the URL of one.
        store: an open store, or the URL of one.
        account: the aggregator's account.
        clients: addresses of the registered clients; the order numbers them.
        model_id: the task's name on the ledger.
        byzantine: f, the number of malicious clients to tolerate.
        rules: rules to choose from (default: `MIXED`, or `CANDIDATES` for an election, of which
            `TRUSTED` is the mean without clients that disagreed with past elections as miners).
        selection: "beacon"; or "election": every rule makes a candidate and the clients, as
            miners, elect one by scoring them on their own data (needs an evaluation that reports
            "loss"); or the paper's "timestamp", which the last uploader can aim.
        window: the arrival window.
        clock: what says when an update arrived; default: the wall clock.
        min_submissions: with fewer accepted updates the round keeps its model; default 2f+3.
        strict: whether Bulyan refuses n < 4f+3 (the round then keeps its model); with False its
            trimming is clamped.
        reward: stake for each contributor and round.
        beacon_seed: 32 secret bytes from which the beacon's values are hashed; default: derived
            from the aggregator's private key. Give one only where a run must be repeatable.
        ledger_window: seconds after a round's opening in which the contract accepts updates; 0
            leaves the window to the strategy.
        owner: who proposed the task and appointed `account` its aggregator; default: `account`
            proposes it. A task with a beacon needs its `beacon_seed` as well.
        fraction_train: fraction of the connected nodes asked in each round.
        fraction_evaluate: fraction asked to evaluate.
        min_available_nodes: connected nodes to wait for; default: `min_submissions`.
        weighted_by_key: metric with the number of samples.

    Raises:
        ConfigError: a setting is wrong or does not fit the others.
        UnknownNameError: a rule nobody registered.
    """

    form: Form = "update"

    def __init__(
        self,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        byzantine: int,
        rules: Sequence[str] | None = None,
        selection: Selection = "beacon",
        window: ArrivalWindow,
        clock: Clock | None = None,
        min_submissions: int | None = None,
        strict: bool = True,
        reward: int = 20,
        beacon_seed: bytes | None = None,
        ledger_window: int = 0,
        owner: str | None = None,
        fraction_train: float = 1.0,
        fraction_evaluate: float = 0.0,
        min_available_nodes: int | None = None,
        weighted_by_key: str = "num-examples",
    ) -> None:
        if selection not in get_args(Selection):
            raise UnknownNameError("selection", selection, get_args(Selection))
        if rules is None:
            rules = CANDIDATES if selection == "election" else MIXED
        check_rules(rules, selection)
        least = 2 * byzantine + 3 if min_submissions is None else min_submissions
        if least > len(clients):
            raise ConfigError(
                f"min_submissions is {least} (default 2f+3 with f={byzantine}), "
                f"but only {len(clients)} clients are registered"
            )
        nodes = min(max(2, least), len(clients)) if min_available_nodes is None else None
        inner = FedAvg(
            fraction_train=fraction_train,
            fraction_evaluate=fraction_evaluate,
            min_train_nodes=nodes or min_available_nodes or 1,
            min_evaluate_nodes=1,
            min_available_nodes=nodes or min_available_nodes or 1,
            weighted_by_key=weighted_by_key,
        )
        super().__init__(
            inner,
            ledger,
            store,
            account=account,
            clients=clients,
            model_id=model_id,
            reward=reward,
            ledger_window=ledger_window,
            owner=owner,
            clock=clock,
            window=window,
        )
        self._arrival_window = window
        self._average = inner.train_metrics_aggr_fn
        self._beacon: Beacon | None = None
        self._electorate: Electorate | None = None
        self._beacon_seed = beacon_seed
        self._settings = PoFLParameters(
            byzantine=byzantine,
            rules=tuple(rules),
            selection=selection,
            strict=strict,
            min_submissions=least,
            window=window.seconds,
            quiet=window.quiet,
            clock=self.clock.describe(),
            commitment=None,
        )

    def before_start(self, rounds: int) -> None:
        """Make the beacon, so that its commitment can go into the specification."""
        self._electorate = None
        if self._settings.selection != "beacon":
            return  # the others need no secret
        anchor = self.anchor
        purpose = f"beacon/{anchor.ledger.chain_id}/{anchor.model_id}".encode()
        seed = self._beacon_seed or anchor.account.secret(purpose)
        self._beacon = Beacon(seed, rounds)
        commitment = self._beacon.commitment.hex()
        self._settings = self._settings.model_copy(update={"commitment": commitment})

    def parameters(self) -> dict[str, Any]:
        """Return the settings an auditor needs."""
        return self._settings.model_dump(mode="json")

    def decide(
        self,
        server_round: int,
        updates: Sequence[CheckedUpdate],
        current: Arrays,
    ) -> Outcome:
        """Close the window, relay what came in time, reveal the beacon, aggregate."""
        closes = self._arrival_window.closes(update.arrival for update in updates)
        late = [update for update in updates if update.arrival > closes]
        intime = [update for update in updates if update.arrival <= closes]
        accepted, dropped = self.anchor.submit(intime)
        reveal = self._beacon.reveal(server_round) if self._beacon else None
        layout = self.anchor.layout
        entries = [_as_entry(update, layout) for update in accepted]
        candidates: list[Candidate] = []
        if self._settings.selection == "election":
            decision, candidates, invalid = self._hold_election(server_round, entries, current)
            dropped += invalid
        else:
            decision = recompute(
                self._settings,
                entries,
                task=self.anchor.opened.id,
                server_round=server_round,
                reveal=reveal,
            )
        return Outcome(
            None if decision.update is None else layout.add(current, decision.update),
            decision.rule,
            decision.kept,
            accepted,
            late=late,
            dropped=dropped,
            contributors=[self.anchor.clients[position] for position in decision.selected],
            reveal=reveal,
            candidates=candidates,
            metrics=self._metrics(accepted),
        )

    def _hold_election(
        self, server_round: int, entries: Sequence[Entry], current: Arrays
    ) -> tuple[Decision, list[Candidate], list[Dropped]]:
        anchor = self.anchor
        if self._electorate is None:
            self._electorate = Electorate(self._settings.byzantine)
            for past in anchor.past_votes():  # of a run that this one continues
                self._electorate.hold(past)
        proposed = proposals(self._settings, entries, self._electorate)
        if not proposed or self._grid is None:
            return elected(self._electorate, [], {}), [], []
        models = [
            anchor.layout.add(current, decision.update)
            for decision in proposed
            if decision.update is not None
        ]
        cids = anchor.store.put_all(map(to_safetensors, models))
        ballot = ballot_of(anchor.opened.id, server_round, anchor.opened.current_cid, cids)
        invalid = poll(
            anchor,
            self._grid,
            sorted(set(self._grid.sent.values())),
            models=[current, *models],
            ballot=ballot,
            config=self._config,
            timeout=self._timeout,
        )
        votes = anchor.votes(server_round, ballot, len(models))
        candidates = [
            Candidate(rule=decision.rule, cid=cid)
            for decision, cid in zip(proposed, cids, strict=True)
        ]
        return elected(self._electorate, proposed, votes), candidates, invalid

    def _go_on(self, server_round: int) -> ArrayRecord:
        """Forget an election that the rollback made void; the ledger has the others."""
        self._electorate = None
        return super()._go_on(server_round)

    def _metrics(self, accepted: Sequence[CheckedUpdate]) -> MetricRecord | None:
        alike, _ = same_metrics(accepted)
        if not alike:
            return None
        contents = [update.message.content for update in alike]
        average: Callable[[list[RecordDict], str], MetricRecord] = self._average
        return average(contents, self.samples_key)


def _as_entry(update: CheckedUpdate, layout: Layout) -> Entry:
    vector = layout.as_float32().flatten(update.arrays)
    return Entry(update.position, update.cid, vector, update.arrival)
