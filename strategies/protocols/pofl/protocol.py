"""PoFL's round: a window, a rule that nobody chose, an aggregate that anyone can recompute.

In each round an arrival window discards late updates, and one of several robust rules aggregates
the rest. Which one is fixed by something nobody knows until the window has closed (`beacon`), or by
the voters (`election`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedledger.arrays import to_safetensors
from fedledger.errors import AggregationError, AuditError, ConfigError, NotInstalled

from ....ledger_plugins.storage.cid import cid_to_bytes
from ...aggregation import aggregate, arithmetic
from ...aggregation import rules as known_rules
from ...rounds.arrival import LONGEST, ArrivalWindow
from ...rounds.phase import Answer
from ...rounds.protocol import Protocol, Settings
from ...rounds.round import KEPT, Result, Round
from ..training import Trained, UpdatePhase
from .beacon import (
    TRUSTED,
    Beacon,
    Selection,
    beacon_index,
    check_reveal,
    rule_of,
    timestamp_index,
)
from .election import Electorate, ballot_of
from .votes import Ballot, VotesPhase

__all__ = [
    "Decision",
    "Entry",
    "PoFLProtocol",
    "PoFLSettings",
    "PoFLState",
    "arithmetic_of",
    "check_rules",
]

_BEACON = "beacon"

_Seconds = Annotated[float, Field(gt=0, le=LONGEST)]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PoFLSettings(Settings):
    """What the specification says about a PoFL run; an auditor needs nothing else.

    Attributes:
        byzantine: number of malicious clients each rule must tolerate.
        rules: the rules to choose from, in this order.
        selection: how a round's rule is chosen.
        strict: whether Bulyan refuses n < 4f+3.
        min_submissions: with fewer accepted updates a round keeps its model.
        window: length of the arrival window in seconds; None: the ledger's clock counts.
        quiet: seconds without an arrival that close it early, or None.
        vote_window: seconds in which votes count.
        vote_quiet: seconds without a vote that close it early, once 2f+1 are there.
        commitment: the beacon's commitment in hexadecimal, or None.
        samples_key: metric that holds the number of training samples.
        arithmetic: the arithmetic of each rule, with its version (`aggregation.arithmetic`).
    """

    byzantine: Annotated[int, Field(ge=0)]
    rules: Annotated[tuple[str, ...], Field(min_length=1)]
    selection: Selection
    strict: bool
    min_submissions: Annotated[int, Field(ge=1)]
    window: _Seconds | None
    quiet: _Seconds | None
    vote_window: _Seconds = 600.0
    vote_quiet: _Seconds = 5.0
    commitment: _Hash | None
    samples_key: str = "num-examples"
    arithmetic: dict[str, str]


class PoFLState(Settings):
    """What later rounds need of earlier ones.

    Attributes:
        revealed: the beacon's last value in hexadecimal, or None.
        revealed_in: the round in which it was revealed.
        alike: by voter, how it agreed with the elections so far (`Electorate`).
        pairs: by voter, how much there was to agree about.
    """

    revealed: _Hash | None = None
    revealed_in: Annotated[int, Field(ge=0)] = 0
    alike: tuple[int, ...] = ()
    pairs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted update as the decision sees it.

    Attributes:
        position: the client's position in the task's list.
        cid: CID of the update.
        vector: the update, float32 of length d.
        arrival: when it arrived.
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

    @classmethod
    def keep(cls, why: str) -> "Decision":
        """Return the decision to keep the model."""
        return cls(KEPT, None, (), why)


def arithmetic_of(rules: Sequence[str]) -> dict[str, str]:
    """Return the arithmetic of each rule as it is here.

    Raises:
        UnknownNameError: a rule nobody registered.
    """
    return {rule: arithmetic(rule_of(rule)) for rule in rules}


def check_rules(rules: Sequence[str], selection: Selection) -> None:
    """Check that rules are known and can be chosen in this way.

    Raises:
        ConfigError: a rule twice, or `trusted_mean` without elections.
        UnknownNameError: a rule nobody registered.
    """
    if len(set(rules)) != len(rules):
        raise ConfigError("rules: each may be named once")
    for rule in rules:
        known_rules.load(rule_of(rule))
    if TRUSTED in rules and selection != "election":
        raise ConfigError(f"{TRUSTED} goes by past elections: it needs selection = 'election'")


class PoFLProtocol(Protocol[PoFLSettings, PoFLState]):
    """Robust rounds that anyone can recompute.

    Trust: up to `byzantine` clients may send anything. What the aggregator accepted, which rule it
    used, what came out and whom it rewarded is replayed by the audit. It is trusted not to withhold
    an answer that arrived in time: by leaving one out it can also try for another rule.
    """

    name: ClassVar[str] = "pofl"
    version: ClassVar[int] = 1
    Settings: ClassVar = PoFLSettings
    State: ClassVar = PoFLState

    def __init__(self, settings: PoFLSettings, beacon_seed: bytes | None = None) -> None:
        check_rules(settings.rules, settings.selection)
        here = arithmetic_of(settings.rules)
        if settings.arithmetic != here:
            raise NotInstalled(f"the rules calculate by {settings.arithmetic}, here by {here}")
        super().__init__(settings)
        self._seed = beacon_seed
        self._beacon: Beacon | None = None

    def tolerated(self, parties: int) -> int:  # noqa: ARG002 - f is a setting
        """Return the number of malicious clients that the settings are made for."""
        return self.settings.byzantine

    def fix(self, rounds: int, secret: Callable[[str], bytes]) -> None:
        """Make the beacon, so that its commitment can go into the specification."""
        if self.settings.selection != "beacon":
            return  # the others need no secret
        seed = secret(_BEACON) if self._seed is None else self._seed
        self._beacon = Beacon(seed, rounds)
        commitment = self._beacon.commitment.hex()
        self.settings = self.settings.model_copy(update={"commitment": commitment})

    def run(self, round: Round, state: PoFLState) -> tuple[Result, PoFLState]:
        """Take the updates in time, choose the rule, aggregate."""
        settings = self.settings
        window = None
        if settings.window is not None:
            window = ArrivalWindow(settings.window, settings.quiet)
        phase = UpdatePhase(settings.samples_key)
        updates = round.ask(phase, window=window, tolerate=settings.byzantine)
        flat = round.layout.as_float32()
        entries = [_as_entry(answer, flat.flatten(answer.value.arrays)) for answer in updates]
        if settings.selection == "election":
            decision, state = self._hold_election(round, entries, state)
        elif settings.selection == "beacon":
            reveal = self._reveal(round, state)
            state = state.model_copy(update={"revealed": reveal.hex(), "revealed_in": round.number})
            decision = self._decide(entries, self._by_beacon(round, entries, reveal))
        else:
            last = max((entry.arrival for entry in entries), default=0)
            decision = self._decide(entries, timestamp_index(last, len(settings.rules)))
        if decision.update is None:
            return Result.keep(decision.kept or "no aggregate"), state
        contributors = tuple(round.clients[position] for position in decision.selected)
        result = Result(
            round.layout.add(round.base, decision.update),
            decision.rule,
            None,
            contributors,
            dict.fromkeys(contributors, round.terms.reward),
        )
        return result, state

    # Choosing by chance --------------------------------------------------------------------

    def _reveal(self, round: Round, state: PoFLState) -> bytes:
        previous = bytes.fromhex(state.revealed or self.settings.commitment or "")
        skipped = round.number - state.revealed_in - 1  # rounds rolled back reveal nothing

        def make() -> bytes:
            if self._beacon is None:
                raise ConfigError("the beacon is not fixed: call fix() first")
            return self._beacon.reveal(round.number)

        def check(value: bytes) -> None:
            if not previous:
                raise AuditError("the specification commits to no beacon")
            check_reveal(value, previous, skipped)

        return round.reveal(_BEACON, make, check)

    def _by_beacon(self, round: Round, entries: Sequence[Entry], reveal: bytes) -> int:
        accepted = [(entry.position, cid_to_bytes(entry.cid)) for entry in entries]
        choices = len(self.settings.rules)
        return beacon_index(reveal, round.terms.task, round.number, accepted, choices)

    def _decide(self, entries: Sequence[Entry], index: int) -> Decision:
        if (kept := self._too_few(entries)) is not None:
            return Decision.keep(kept)
        return self._apply(self.settings.rules[index], entries)

    # Choosing by votes ---------------------------------------------------------------------

    def _hold_election(
        self,
        round: Round,
        entries: Sequence[Entry],
        state: PoFLState,
    ) -> tuple[Decision, PoFLState]:
        electorate = Electorate(
            self.settings.byzantine, dict(enumerate(state.alike)), dict(enumerate(state.pairs))
        )
        proposed = self._proposals(entries, electorate)
        if not proposed:
            return Decision.keep("no rule has a candidate"), state
        models = [
            round.layout.add(round.base, decision.update)
            for decision in proposed
            if decision.update is not None
        ]
        cids = round.store([to_safetensors(model) for model in models])
        made: list[dict[str, Any]] = [
            {"rule": decision.rule, "cid": cid}
            for decision, cid in zip(proposed, cids, strict=True)
        ]
        round.note("candidates", made)
        digest = ballot_of(round.terms.task, round.number, round.base_cid, cids)
        window = ArrivalWindow(
            self.settings.vote_window, self.settings.vote_quiet, electorate.quorum
        )
        answers = round.ask(
            VotesPhase(), Ballot(digest, models), window=window, tolerate=self.settings.byzantine
        )
        votes = {answer.position: answer.value for answer in answers}
        if len(votes) < electorate.quorum:
            kept = f"{len(votes)} voters voted, {electorate.quorum} are needed"
            return Decision.keep(kept), state
        chosen, after = electorate.elect(votes)
        numbers = range(len(round.clients))
        state = state.model_copy(
            update={
                "alike": tuple(after.alike.get(number, 0) for number in numbers),
                "pairs": tuple(after.pairs.get(number, 0) for number in numbers),
            }
        )
        if chosen is None:
            return Decision.keep("no candidate improves the model by the voters' count"), state
        return proposed[chosen], state

    def _proposals(self, entries: Sequence[Entry], electorate: Electorate) -> list[Decision]:
        """Return what each rule makes of the updates; a rule that cannot work is left out."""
        if self._too_few(entries) is not None:
            return []
        trusted = electorate.trusted(entry.position for entry in entries)
        among = [entry for entry in entries if entry.position in trusted]
        found = [
            self._apply(rule, among if rule == TRUSTED else entries)
            for rule in self.settings.rules
            if rule != TRUSTED or len(among) < len(entries)  # it would be the plain mean
        ]
        return [decision for decision in found if decision.kept is None]

    # Aggregating ---------------------------------------------------------------------------

    def _too_few(self, entries: Sequence[Entry]) -> str | None:
        least = self.settings.min_submissions
        if len(entries) < least:
            return f"{len(entries)} updates arrived in time, {least} are needed"
        return None

    def _apply(self, rule: str, entries: Sequence[Entry]) -> Decision:
        options = {"strict": self.settings.strict} if rule == "bulyan" else {}
        vectors = [entry.vector for entry in entries]
        try:
            result = aggregate(rule_of(rule), vectors, byzantine=self.settings.byzantine, **options)
        except AggregationError as error:
            return Decision.keep(str(error))
        selected = tuple(entries[row].position for row in result.selected)
        return Decision(rule, result.vector, selected, None)


def _as_entry(answer: Answer[Trained], vector: NDArray[np.float32]) -> Entry:
    return Entry(answer.position, answer.value.cid, vector, answer.arrival)
