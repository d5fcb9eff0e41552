"""PoFL's round: a window, a rule that nobody chose, an aggregate that anyone can recompute.

In each round an arrival window discards late updates, and one of several robust rules aggregates
the rest. Which one is fixed by something nobody knows until the window has closed (`beacon`), or by
the voters (`election`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedledger.arrays import to_safetensors
from fedledger.errors import AggregationError, ConfigError, NotInstalled

from ....ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ...aggregation import aggregate, arithmetic, check_compiled
from ...aggregation import rules as known_rules
from ...rounds.arrival import LONGEST, ArrivalWindow
from ...rounds.phase import Answer, Answers, Signed
from ...rounds.protocol import Protocol, Settings
from ...rounds.round import KEPT, Result, Round, TaskTerms
from ..training import Trained, UpdatePhase
from .draws import Listed, Lists, UpdateList, least_listed
from .election import Electorate, ballot_of
from .salts import SaltCallsPhase, SaltsPhase
from .selection import ELECTION, TRUSTED, Selection, rule_of, timestamp_index
from .votes import Ballot, VotesPhase

__all__ = [
    "Decision",
    "Entry",
    "PoFLProtocol",
    "PoFLSettings",
    "PoFLState",
    "arithmetic_of",
    "check_rules",
    "fallback_of",
]

_FALLBACK = "trimmed_mean"

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
        fallback: the rule of a round without a lot, or "election".
        salt_window: seconds in which salts count.
        salt_quiet: seconds without a salt that close it early, once all but f are there.
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
    fallback: str
    salt_window: _Seconds = 60.0
    salt_quiet: _Seconds = 5.0
    samples_key: str = "num-examples"
    arithmetic: dict[str, str]


class PoFLState(Settings):
    """What later rounds need of earlier ones.

    Attributes:
        through: the newest round that had lists to remember.
        since: the first of them since the newest rollback.
        known: round and digest, in hexadecimal, of the newest lists that salts were asked for.
        silent: the clients whose salts are not waited for any more.
        alike: by voter, how it agreed with the elections so far (`Electorate`).
        pairs: by voter, how much there was to agree about.

    Whoever is no client any more is forgotten: nobody waits for it, and who joins has no history.
    """

    through: Annotated[int, Field(ge=0)] = 0
    since: Annotated[int, Field(ge=0)] = 0
    known: tuple[tuple[int, _Hash], ...] = ()
    silent: tuple[str, ...] = ()
    alike: dict[str, int] = Field(default_factory=dict)
    pairs: dict[str, int] = Field(default_factory=dict)

    def of(self, clients: Sequence[str]) -> Self:
        """Return the state without those who are no clients any more."""
        known = frozenset(clients)
        return self.model_copy(
            update={
                "silent": tuple(one for one in self.silent if one in known),
                "alike": {one: value for one, value in self.alike.items() if one in known},
                "pairs": {one: value for one, value in self.pairs.items() if one in known},
            }
        )

    def lists(self, clients: Sequence[str]) -> Lists:
        """Return what is remembered of earlier rounds' lists, of a round's clients by position."""
        silent = tuple(clients.index(one) for one in self.silent if one in clients)
        return Lists(self.through, self.since, self.known, silent)

    def with_lists(self, lists: Lists, clients: Sequence[str]) -> Self:
        """Return the state with other lists to remember."""
        silent = tuple(clients[position] for position in lists.silent)
        return self.model_copy(update={**asdict(lists), "silent": silent})

    def electorate(self, clients: Sequence[str], byzantine: int) -> Electorate:
        """Return how far a round's clients, by position, agreed with the elections so far."""
        alike, pairs = (
            {number: said[one] for number, one in enumerate(clients) if one in said}
            for said in (self.alike, self.pairs)
        )
        return Electorate(byzantine, alike, pairs)

    def with_electorate(self, electorate: Electorate, clients: Sequence[str]) -> Self:
        """Return the state after an election."""
        alike, pairs = (
            {clients[number]: value for number, value in sorted(said.items())}
            for said in (electorate.alike, electorate.pairs)
        )
        return self.model_copy(update={"alike": alike, "pairs": pairs})


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


def check_rules(rules: Sequence[str], selection: Selection, fallback: str | None = None) -> None:
    """Check that rules are known and can be chosen in this way.

    Raises:
        ConfigError: a rule twice, `trusted_mean` without elections, or a fallback that is none of
            the rules.
        UnknownNameError: a rule nobody registered.
    """
    if len(set(rules)) != len(rules):
        raise ConfigError("rules: each may be named once")
    for rule in rules:
        known_rules.load(rule_of(rule))
    if TRUSTED in rules and selection != "election":
        raise ConfigError(f"{TRUSTED} goes by past elections: it needs selection = 'election'")
    if fallback is not None and fallback not in (*rules, ELECTION):
        raise ConfigError(
            f"fallback: {fallback!r} is none of the rules ({', '.join(rules)}) nor {ELECTION!r}"
        )


def fallback_of(rules: Sequence[str]) -> str:
    """Return the rule that is taken where there is no lot and nobody has said which."""
    return _FALLBACK if _FALLBACK in rules or not rules else rules[0]


class PoFLProtocol(Protocol[PoFLSettings, PoFLState]):
    """Robust rounds that anyone can recompute.

    Trust: up to `byzantine` clients may send anything. What the aggregator accepted, which rule it
    used, what came out and whom it rewarded is replayed by the audit. It is trusted not to withhold
    an answer that arrived in time: who withholds a salt has the fallback instead of the lot.
    """

    name: ClassVar[str] = "pofl"
    version: ClassVar[int] = 3
    Settings: ClassVar = PoFLSettings
    State: ClassVar = PoFLState

    def __init__(self, settings: PoFLSettings) -> None:
        check_rules(settings.rules, settings.selection, settings.fallback)
        here = arithmetic_of(settings.rules)
        if settings.arithmetic != here:
            raise NotInstalled(f"the rules calculate by {settings.arithmetic}, here by {here}")
        super().__init__(settings)

    def check_follower(self) -> None:
        """Make sure that an election's candidates can be computed: each voter does.

        Raises:
            NotInstalled: numba, which is in the extra `server`, cannot be loaded.
        """
        if self.settings.selection == ELECTION:
            check_compiled()

    def tolerated(self, parties: int) -> int:  # noqa: ARG002 - f is a setting
        """Return the number of malicious clients that the settings are made for."""
        return self.settings.byzantine

    @property
    def throws_lots(self) -> bool:
        """Whether there is something to choose, and the clients' salts choose it."""
        return self.settings.selection == "beacon" and len(self.settings.rules) > 1

    def run(self, round: Round, state: PoFLState) -> tuple[Result, PoFLState]:
        """Take the updates in time, choose the rule, aggregate."""
        settings, state = self.settings, state.of(round.clients)
        window = None
        if settings.window is not None:
            window = ArrivalWindow(settings.window, settings.quiet)
        phase = UpdatePhase(settings.samples_key)
        # Of one client's word alone that it sent what nobody can fetch, no round hangs.
        updates = round.ask(phase, window=window, tolerate=max(1, settings.byzantine))
        flat = round.layout.as_float32()
        entries = [_as_entry(answer, flat.flatten(answer.value.arrays)) for answer in updates]
        if settings.selection == "election":
            decision, state = self._hold_election(round, entries, state)
        elif settings.selection == "beacon":
            decision, state = self._by_lot(round, updates, entries, state)
        elif (kept := self._too_few(entries)) is not None:
            decision = Decision.keep(kept)
        else:
            last = max((entry.arrival for entry in entries), default=0)
            index = timestamp_index(last, len(settings.rules))
            decision = self._apply(settings.rules[index], entries)
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

    # Choosing by lot -----------------------------------------------------------------------

    def _draw(
        self, round: Round, updates: Answers[Trained], state: PoFLState
    ) -> tuple[str | None, PoFLState]:
        """Return the rule that the clients' salts give, or None where there is no lot."""
        settings, lists = self.settings, state.lists(round.clients)
        listed = self.list_of(round.terms, round.number, updates.standing, state)
        if listed is None:
            return None, state.with_lists(lists.without(round.number), round.clients)
        round.note("list", listed.digest.hex())
        phase = SaltCallsPhase() if round.terms.ledger_clock else SaltsPhase()
        quorum = max(1, len(listed.salters) - settings.byzantine)
        window = ArrivalWindow(settings.salt_window, settings.salt_quiet, quorum)
        answers = round.ask(phase, listed, window=window, tolerate=settings.byzantine)
        denied = [
            answer.party
            for answer in answers
            if lists.contradicts(answer.value.last_round, answer.value.last)
        ]
        if len(denied) > settings.byzantine:
            round.refute(
                "lot",
                f"{len(denied)} clients revealed their salts for a list that no earlier round "
                f"has, {denied[0]} among them: a lot was thrown and hidden",
            )
        named = {answer.party: answer.value.list for answer in answers}
        after = lists.after(listed, named, settings.byzantine)
        state = state.with_lists(after, round.clients)
        salts = {one.party: one.value.salt for one in answers if one.value.list == listed.digest}
        if salts.keys() != listed.salters.keys():
            return None, state
        return settings.rules[listed.lot(salts, len(settings.rules))], state

    def list_of(
        self, terms: TaskTerms, number: int, signed: Mapping[str, Signed], state: PoFLState
    ) -> UpdateList | None:
        """Return a round's list of updates, or None where no salts are asked for.

        Args:
            terms: what is fixed for the task.
            number: the round.
            signed: what each client signed with its update, by account.
            state: the state that the round goes on from.
        """
        settings, clients = self.settings, terms.parties["clients"]
        silent = state.lists(clients).silent
        entries = tuple(
            Listed(client, position, values["cid"], values["seal"])
            for client, position in terms.positions("clients").items()
            if (values := signed.get(client, {}).get(SUBMIT_UPDATE.name)) is not None
        )
        least = least_listed(len(clients), settings.byzantine, len(silent))
        if not self.throws_lots or len(entries) < max(least, settings.min_submissions):
            return None
        return UpdateList(terms.task, number, entries, frozenset(silent))

    def _by_lot(
        self,
        round: Round,
        updates: Answers[Trained],
        entries: Sequence[Entry],
        state: PoFLState,
    ) -> tuple[Decision, PoFLState]:
        """Apply the rule that the lot fell on; the fallback where it fell on none that works."""
        drawn, state = self._draw(round, updates, state)
        if (kept := self._too_few(entries)) is not None:
            return Decision.keep(kept), state
        if drawn is not None:
            decision = self._apply(drawn, entries)
            if decision.update is not None:
                return decision, state
        fallback = self.settings.fallback
        if fallback != ELECTION:
            return self._apply(fallback, entries), state
        # To keep the model for want of votes would be another throw.
        instead = fallback_of(self.settings.rules)
        return self._hold_election(
            round, entries, state, otherwise=lambda _: self._apply(instead, entries)
        )

    # Choosing by votes ---------------------------------------------------------------------

    def _hold_election(
        self,
        round: Round,
        entries: Sequence[Entry],
        state: PoFLState,
        otherwise: Callable[[str], Decision] = Decision.keep,
    ) -> tuple[Decision, PoFLState]:
        """Let the voters elect; `otherwise` says what is done, and why, where too few vote."""
        electorate = state.electorate(round.clients, self.settings.byzantine)
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
            said = f"{len(votes)} voters voted, {electorate.quorum} are needed"
            return otherwise(said), state
        chosen, after = electorate.elect(votes)
        state = state.with_electorate(after, round.clients)
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
