"""A round that a miner makes: what the parties put on the ledger themselves."""

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from fedledger.arrays import Arrays
from fedledger.errors import (
    AuditError,
    ConfigError,
    ContentNotFound,
    ContentTooLarge,
    FedledgerError,
    InvalidCid,
    MalformedTransaction,
    UpdateRejected,
)
from fedledger.guards import Failures

from ....ledger_plugins.base import Event, Ledger
from ....ledger_plugins.signing import Call
from ....ledger_plugins.storage.base import Store
from ..answers.history import REASON, History
from ..answers.opened import Openings, opened
from ..answers.standing import called, first_givers, standing
from ..arrival import ArrivalWindow
from ..evidence.carriers import open_anchor
from ..evidence.documents import Anchor, Asked, Counted, Dropped, PhaseEvidence
from ..evidence.reasons import NOT_ASKED, SILENT, UNAVAILABLE
from ..phase import Answer, Answers, Content, Given, Phase, malformed, read_answer
from ..round import Attested, Round, TaskTerms

__all__ = ["GRACE", "OPENING_GRACE", "MinedRound", "NotYet", "grace_of"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


GRACE = 10.0
"""Seconds for which a submitted content is looked for before its submission is dropped."""

OPENING_GRACE = 60.0
"""The same where submissions are sealed: clients open them only when the window is over."""

_THEIRS = (AuditError, ContentTooLarge, InvalidCid, MalformedTransaction)


class NotYet(FedledgerError):
    """A round cannot be ended now.

    Attributes:
        missing: CIDs of contents that the node should fetch.
    """

    def __init__(self, why: str, missing: Collection[str] = ()) -> None:
        self.missing = tuple(missing)
        super().__init__(why)


class MinedRound(Round):
    """The open round of a task, as the ledger has it.

    Its evidence follows from ledger and store alone, so all miners come to the same bytes.

    Args:
        terms: what is fixed for the task.
        number: the round.
        base: loads the model it begins with.
        base_cid: its CID.
        ledger: the ledger.
        store: the store.
        opened_in: index of the block in which the round opened.
        opened_at: the time of that block, in seconds.
        now: the time of the newest block.
        lost: CIDs that were looked for in vain.
        failures: of earlier attempts at the round.
    """

    def __init__(  # noqa: PLR0917 - a round's facts, then its sources
        self,
        terms: TaskTerms,
        number: int,
        base: Callable[[], Arrays],
        base_cid: str,
        ledger: Ledger,
        store: Store,
        opened_in: int,
        opened_at: int,
        now: int,
        lost: Collection[str],
        failures: Failures | None = None,
    ) -> None:
        super().__init__(terms, number, base, base_cid)
        self.failures = failures or self.failures
        self._ledger = ledger
        self._store = store
        self._opened = opened_in
        lasts = terms.window or terms.patience
        self._closes = opened_at + lasts if lasts else math.inf
        self._now = now
        self._lost = lost
        self._history = History(ledger, opened_in)
        self._openings = Openings(store, self.domain, sealed=terms.sealed)
        self._relied: list[tuple[Call, Mapping[str, Event]]] = []

    def stands(self) -> bool:
        """Tell whether the ledger has all that counted still, and where it was.

        A reorganisation may have taken a call back, or put it into another block.
        """
        for call, relied in self._relied:
            where = self.terms.task, self.number, relied
            found = called(self._ledger, call, *where, since=self._opened)
            there = {(event.transaction, event.block) for event in found}
            if any((one.transaction, one.block) not in there for one in relied.values()):
                return False
        return True

    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,
        tolerate: int | None = None,
    ) -> Answers[T]:
        """Return each party's last answer on the ledger, once all are there or the time is over.

        The first phase lasts as long as the contract takes updates, since their list is final only
        then. A further one ends when all have answered, or its own window after that.

        Raises:
            NotYet: parties or contents are missing, or too many answers are unusable.
            ConfigError: the phase signs something that the ledger does not repeat.
            StoreUnavailable: the store cannot be read now.
            ContentCorrupted: what the store has is damaged.
        """
        self._begin(phase)
        return self._take(phase, subject, window, tolerate)

    def _begin(self, phase: Phase[Any]) -> None:
        """Note that a phase begins.

        Raises:
            ConfigError: it signs something that the ledger does not repeat.
        """
        if len(phase.signs) != 1 or not phase.calls:
            raise ConfigError(f"phase {phase.name!r} cannot be mined: it needs exactly one call")
        self.begin(phase)

    def _take(
        self,
        phase: Phase[T],
        subject: Any,
        window: ArrivalWindow | None,
        tolerate: int | None,
    ) -> Answers[T]:
        """Return the answers of a phase that has begun; see `ask`."""
        [call] = phase.calls
        positions = self.positions(phase.by)
        events = called(
            self._ledger, call, self.terms.task, self.number, positions, since=self._opened
        )
        last = {
            event.arguments[call.party]: event
            for event in events
            if event.arguments[call.party] in positions
        }
        whom = phase.whom(self, subject)
        asked = [party for party in positions if whom is None or party in whom]
        self._wait(phase, asked, last, window)
        self._openings.look()
        named = self._openings.content_or_none
        owners = first_givers(events, call, positions, named) if phase.once else {}
        answers: list[Answer[T]] = []
        counted: list[Counted] = []
        dropped: list[Dropped] = []
        missing: list[str] = []
        for party in (party for party in asked if party in last):
            event = last[party]
            try:
                with malformed(f"{call.name} of {party}", self, FedledgerError):
                    answer, entry = self._answer(phase, subject, event, owners)
            except ContentNotFound as error:
                if error.cid not in self._lost:
                    missing.append(error.cid)
                    continue
                dropped.append(
                    Dropped(reason=UNAVAILABLE, detail="nobody has the content", party=party)
                )
            except UpdateRejected as error:
                dropped.append(Dropped(reason=error.reason, detail=error.detail, party=party))
            except _THEIRS as error:  # others are this node's own faults
                dropped.append(Dropped(reason="malformed", detail=str(error), party=party))
            else:
                answers.append(answer)
                counted.append(entry)
        if missing:
            raise NotYet("contents are missing", missing)
        # Whatever else is unusable everybody can see.
        doubtful = sum(entry.reason in {UNAVAILABLE, REASON} for entry in dropped)
        if tolerate is not None and doubtful > tolerate:
            raise NotYet(f"{doubtful} answers cannot be judged by all, {tolerate} may be")
        dropped += [
            Dropped(reason=SILENT, detail="it has put nothing on the ledger", party=party)
            for party in asked
            if party not in last
        ]
        dropped += [
            Dropped(reason=NOT_ASKED, detail="the phase does not ask it", party=party)
            for party in positions
            if whom is not None and party not in whom
        ]
        self._relied.append((call, {one.party: last[one.party] for one in counted}))
        self.phases.append(
            PhaseEvidence(
                name=phase.name,
                asked=[Asked(node="", party=party) for party in asked],
                accepted=counted,
                late=[],
                dropped=dropped,
                milliseconds=0,
                bytes=sum(len(answer.content.data) for answer in answers),
            )
        )
        return Answers(answers, standing(events, call, positions))

    def _wait(
        self,
        phase: Phase[Any],
        asked: Sequence[str],
        last: Mapping[str, Event],
        window: ArrivalWindow | None,
    ) -> None:
        """Raise `NotYet` while a phase is open."""
        first = not self.phases
        if not first and window is not None:
            self._closes += math.ceil(window.seconds)
        there = sum(party in last for party in asked)
        # Where nobody is asked, rounds must not rush by.
        ends_early = 0 < there == len(asked) and not (first and self.terms.window)
        if self._now <= self._closes and not ends_early:
            raise NotYet(f"{there} of {len(asked)} {phase.by} have answered")

    def _answer(
        self, phase: Phase[T], subject: Any, event: Event, owners: Mapping[str, str]
    ) -> tuple[Answer[T], Counted]:
        """Return what an event's call says, and how the evidence names it.

        Raises:
            StoreError: the content is missing or malformed.
            UpdateRejected: it does not count.
        """
        [call] = phase.calls
        party = event.arguments[call.party]
        anchor = Anchor(carrier="transaction", name=call.name, transaction=event.transaction)
        _, values = open_anchor(anchor, call, self._ledger, self.domain)
        self._history.check(values, event.block)
        signed = {call.name: values}
        content, cid = self._content(phase, party, signed)
        if cid is not None:
            signed = opened(signed, cid)
        if cid is not None and owners.get(cid, party) != party:
            raise UpdateRejected("copy", f"the content is that of {owners[cid]}")
        value = read_answer(phase, Given(party, content, signed), self, subject)
        arrival = event.block - self._opened
        position = self.positions(phase.by)[party]
        answer = Answer(party, position, value, content, signed, arrival)
        return answer, Counted(party=party, content=cid, anchors=[anchor], arrival=arrival)

    def refute(self, step: str, said: str) -> None:
        """Refuse: what is on the ledger comes to this only where somebody broke a rule."""
        raise AuditError(f"{step}: {said}")

    def attest(self, make: Callable[[], Attested]) -> Attested:  # noqa: ARG002 - nobody makes it
        """Refuse: a miner has no Flower strategy to ask."""
        raise ConfigError("an attested round needs a Flower server: it cannot be mined")

    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Store the contents, in one try: a miner comes back with its next block.

        A store that is away is not waited for here, as in the other kinds: the node waits as well.
        """
        return self._store.put_all(contents)

    def _content(
        self, phase: Phase[Any], party: str, signed: Mapping[str, Mapping[str, Any]]
    ) -> tuple[Content, str | None]:
        cap = phase.max_bytes(self)
        if not cap:
            return Content(b""), None
        raw = next((values["cid"] for values in signed.values() if "cid" in values), None)
        if raw is None:
            raise ConfigError(f"phase {phase.name!r} cannot be mined: its call names no CID")
        cid = self._openings.content(party, raw)
        return Content(self._store.get(cid, max_bytes=cap)), cid


def grace_of(terms: TaskTerms) -> float:
    """Return for how many seconds a task's contents are looked for."""
    return OPENING_GRACE if terms.sealed else GRACE
