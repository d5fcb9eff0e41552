"""A round that is over: the same protocol, on what the ledger and the store hold of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from fedledger.arrays import Arrays
from fedledger.errors import (
    AuditError,
    ContentTooLarge,
    InvalidCid,
    MalformedTransaction,
    UpdateRejected,
)

from ....ledger_plugins.base import Event, Ledger
from ....ledger_plugins.contracts import Aggregate
from ....ledger_plugins.signing import Call
from ....ledger_plugins.storage.base import Store
from ....ledger_plugins.storage.cid import cid_of
from ..answers.faults import Faults, ProvedFault
from ..answers.history import History, others
from ..answers.opened import Openings, opened
from ..answers.replies import check_binding, signatures_in
from ..answers.standing import called, first_givers, last_seen, standing
from ..answers.timely import check_window
from ..arrival import ArrivalWindow
from ..evidence.carriers import open_anchor
from ..evidence.checks import Check, CheckFailed, Checks, Outcome, Witness, short
from ..evidence.documents import Anchor, Counted, Evidence, PhaseEvidence
from ..evidence.reasons import NOT_ASKED, SILENT, UNAVAILABLE, UNHEARD
from ..phase import Answer, Answers, Content, Given, Phase, Signed, read_answer
from ..protocol import Protocol
from ..round import KEPT, Attested, Round, TaskTerms
from ..tasks.task import model_of

__all__ = ["RecordedRound"]

T = TypeVar("T")


class RecordedRound(Round):
    """A round on ledger and in store.

    Every disagreement raises `CheckFailed` with a witness.

    Args:
        terms: what is fixed for the task.
        base: loads the model it began with.
        base_cid: its CID.
        protocol: the protocol that is replayed.
        ledger: the ledger.
        store: the store.
        published: what the ledger says of the round.
        evidence: what its evidence says.
        opened_in: index of the block in which the round opened.
        checks: takes the checks that passed.
    """

    def __init__(  # noqa: PLR0917 - a round's facts, then its sources
        self,
        terms: TaskTerms,
        base: Callable[[], Arrays],
        base_cid: str,
        protocol: Protocol[Any, Any],
        ledger: Ledger,
        store: Store,
        published: Aggregate,
        evidence: Evidence,
        opened_in: int,
        checks: Checks,
    ) -> None:
        super().__init__(terms, published.round, base, base_cid)
        self._protocol = protocol
        self._ledger = ledger
        self._store = store
        self._published = published
        self._evidence = evidence
        self._opened = opened_in
        self.checks = checks
        self._history = History(ledger, opened_in)
        self._openings = Openings(store, self.domain, sealed=terms.sealed)
        self.faults: list[ProvedFault] = []
        """What is provably wrong, as far as the replay has come."""
        self._asked: list[Phase[Any]] = []
        self._closes: float = math.inf

    @cached_property
    def _published_at(self) -> int:
        """The time of the block in which the round was published."""
        return self._ledger.block(self._published.block).timestamp

    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,
        tolerate: int | None = None,
    ) -> Answers[T]:
        """Return the answers that the evidence names, once they are on the ledger, and right."""
        positions = self.begin(phase)
        at = len(self.phases)
        where = Witness(phase=phase.name)
        names = [recorded.name for recorded in self._evidence.phases]
        if at >= len(names) or names[at] != phase.name:
            found = names[at] if at < len(names) else "no phase"
            self.checks.equal(f"phase {at + 1}", found, phase.name, where)
        recorded = self._evidence.phases[at]
        self.phases.append(recorded)
        self._asked.append(phase)
        shown = Faults(phase, subject, self, self._ledger, self._store, self.checks)
        self.faults += shown.check(recorded)
        parties = [entry.party for entry in recorded.accepted]
        for party in parties:
            self.checks.true(
                "party",
                party in positions,
                f"{party} counted but is none of the {phase.by}",
                Witness(phase.name, party),
            )
        everybody = {one for accounts in self.terms.parties.values() for one in accounts}
        named = {one.party for one in recorded.asked} | {one.party for one in recorded.dropped}
        for stranger in sorted(one for one in named - everybody if one is not None):
            said = f"{short(stranger)} is named, but is no party of the task"
            self.checks.fail("party", said, where)
        for late in recorded.late:
            self.checks.true(
                "late",
                late.party in positions and late.party not in parties,
                f"{late.party} is said to be late, but counted or is none of the {phase.by}",
                Witness(phase.name, late.party),
            )
        order = sorted(set(parties), key=positions.__getitem__)
        self.checks.equal("answers that count (each once, in order)", parties, order, where)
        events = {
            call.name: called(
                self._ledger, call, self.terms.task, self.number, positions, since=self._opened
            )
            for call in phase.calls
        }
        answers = [self._answer(phase, subject, entry, events) for entry in recorded.accepted]
        if phase.once:
            self._check_once(phase, answers, events)
        self._check_coverage(phase, subject, recorded, events)
        self._check_histories(phase, events)
        if self.terms.ledger_clock:
            self._check_ledger_clock(phase, subject, events, window, tolerate)
        elif window is not None:
            check_window(phase.name, recorded, window, self.checks)
        else:
            said = f"{len(recorded.late)} answers are said to be late, and there is no window"
            self.checks.true("late", not recorded.late, said, where)
        size = sum(len(answer.content.data) for answer in answers)
        self.checks.equal("bytes of the contents", recorded.bytes, size, where)
        return Answers(answers, self._standing(phase, answers, events))

    def reveal(
        self,
        name: str,
        make: Callable[[], bytes],  # noqa: ARG002 - only who runs the round can make it
        check: Callable[[bytes], None],
    ) -> bytes:
        """Return the value that the evidence has, once it is the one committed to."""
        where = Witness(step=name)
        text = self._evidence.reveals.get(name)
        self.checks.true(name, text is not None, f"the value of {name!r} is missing", where)
        try:
            value = bytes.fromhex(text or "")
            check(value)
        except (AuditError, ValueError) as error:
            self.checks.fail(name, str(error), where)
        self.reveals[name] = value
        return value

    def refute(self, step: str, said: str) -> None:
        """Fail: a round that keeps to the rules does not come to this."""
        self.checks.fail(step, said, Witness(step=step))

    def attest(self, make: Callable[[], Attested]) -> Attested:  # noqa: ARG002 - see reveal
        """Return what was published; it is the aggregator's word."""
        self.checks.true(
            "attested",
            self._protocol.attests,
            f"protocol {self._protocol.name!r} does not declare that it attests",
        )
        self.attested = True
        evidence = self._evidence
        if evidence.kept is not None:
            return Attested(None, KEPT, evidence.kept)
        model = model_of(self._store, self._published.cid, self.layout)
        return Attested(model, evidence.rule)

    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Return the CIDs."""
        return [cid_of(content) for content in contents]

    def note(self, name: str, value: Any) -> None:
        """Compare a value with the one that was put down."""
        super().note(name, value)
        found = self._evidence.notes.get(name)
        self.checks.equal(name, found, self.notes[name], Witness(step=name))

    def check_accounts(self) -> None:
        """In each phase every account of its party has an entry, and no two that contradict.

        Raises:
            CheckFailed: one has none, or is said to be unheard or not asked, and elsewhere asked.
        """
        for phase, recorded in zip(self._asked, self.phases, strict=True):
            heard = {one.party for one in recorded.accepted} | {one.party for one in recorded.late}
            explained = heard | {one.party for one in recorded.dropped}
            for party in self.positions(phase.by):
                said = f"the evidence does not say what became of {party}, one of the {phase.by}"
                where = Witness(phase.name, party)
                self.checks.true("accounted for", party in explained, said, where)
            asked = heard | {one.party for one in recorded.asked}
            for one in recorded.dropped:
                if one.reason in {NOT_ASKED, UNHEARD}:
                    said = f"{one.party} is said to be {one.reason}, and that it was asked"
                    where = Witness(phase.name, one.party)
                    self.checks.true("accounted for", one.party not in asked, said, where)

    # Inside --------------------------------------------------------------------------------

    def _answer(
        self,
        phase: Phase[T],
        subject: Any,
        entry: Counted,
        events: dict[str, list[Event]],
    ) -> Answer[T]:
        """Return an answer, read as it was read where it arrived."""
        where = Witness(phase.name, entry.party)
        self.checks.equal("number of signatures", len(entry.anchors), len(phase.signs), where)
        signed: dict[str, dict[str, Any]] = {}
        try:
            for one, anchor in zip(phase.signs, entry.anchors, strict=True):
                repeats = events.get(one.name, ())
                there = [e for e in repeats if e.transaction == anchor.transaction]
                if isinstance(one, Call):
                    self.checks.true(
                        "on the ledger",
                        any(e.arguments[one.party] == entry.party for e in there),
                        f"transaction of {entry.party}: {anchor.transaction} is not on the ledger "
                        "in this round",
                        where,
                    )
                signer, values = open_anchor(anchor, one, self._ledger, self.domain)
                self.checks.equal(f"signer of {one.name}", signer, entry.party, where)
                for event in there:
                    self._history.check(event.arguments, event.block)
                    repeated = {name: event.arguments.get(name) for name in values}
                    self.checks.equal(f"{one.name} on the ledger", repeated, values, where)
                signed[one.name] = values
            self._check_binding(phase, entry, signed)
            content = self._content(phase, entry, signed)
            if content.data:
                signed = opened(signed, content.cid)
            value = read_answer(phase, Given(entry.party, content, signed), self, subject)
        except UpdateRejected as error:
            said = f"the answer of {entry.party} counted but is unusable: {error}"
            raise CheckFailed(Check(said, phase.name, Outcome.FAILED), where) from error
        self.checks.passed["answer"] += 1
        position = self.positions(phase.by)[entry.party]
        proofs = signatures_in(entry.anchors)
        return Answer(entry.party, position, value, content, signed, entry.arrival, None, proofs)

    def _check_binding(self, phase: Phase[Any], entry: Counted, signed: Signed) -> None:
        try:
            proof = bytes.fromhex(entry.node_proof or "")
        except ValueError as error:
            raise UpdateRejected("binding", "the node's statement is no hexadecimal") from error
        taken = check_binding(proof, phase.name, entry.party, signed, self)
        where = Witness(phase.name, entry.party, step="binding")
        self.checks.equal("node's statement", entry.node_proof, taken.hex() or None, where)

    def _content(self, phase: Phase[Any], entry: Counted, signed: Signed) -> Content:
        cap = phase.max_bytes(self)
        if entry.content is None:
            return Content(b"")
        self.checks.true(
            "content",
            cap,
            f"the answer of {entry.party} has content, which {phase.name!r} does not ask for",
            Witness(phase.name, entry.party),
        )
        named = next((values["cid"] for values in signed.values() if "cid" in values), None)
        if self._openings.sealed and named is not None:
            where = Witness(phase.name, entry.party, step="opening")
            found = self._openings.content(entry.party, named)
            self.checks.equal(f"opening of {entry.party}", entry.content, found, where)
        return Content(self._store.get(entry.content, max_bytes=cap))

    def _standing(
        self, phase: Phase[Any], answers: Sequence[Answer[Any]], events: dict[str, list[Event]]
    ) -> Mapping[str, Signed]:
        """Return what cannot be taken back: under the ledger's clock, what is on the ledger."""
        if not self.terms.ledger_clock:
            return {answer.party: answer.signed for answer in answers}
        [call] = phase.calls
        return standing(events[call.name], call, self.positions(phase.by))

    def _first_givers(
        self, phase: Phase[Any], events: Sequence[Event], call: Call
    ) -> dict[str, str]:
        """Return who gave each content first; an opening that came afterwards gives nothing."""
        lost = {one.party for one in self.phases[-1].dropped if one.reason == UNAVAILABLE}
        known = self._openings.givers(self.positions(phase.by), {one for one in lost if one})
        return first_givers(events, call, known, self._openings.content_or_none)

    def _check_once(
        self, phase: Phase[Any], answers: Sequence[Answer[Any]], events: dict[str, list[Event]]
    ) -> None:
        """One content counts once; by the ledger's clock, for whoever put it there first."""
        owners: dict[str, str] = {}
        if self.terms.ledger_clock:
            [call] = phase.calls
            owners = self._first_givers(phase, events[call.name], call)
        for answer in answers:
            cid = answer.content.cid
            owner = owners.setdefault(cid, answer.party)
            said = f"the content of {answer.party} counted, but {owner} gave it first"
            here = Witness(phase.name, answer.party, step="copy")
            self.checks.true("content counts once", owner == answer.party, said, here)

    def _check_coverage(
        self,
        phase: Phase[Any],
        subject: Any,
        recorded: PhaseEvidence,
        events: dict[str, list[Event]],
    ) -> None:
        """What those who were asked put on the ledger counted, or has a reason; silence is none.

        A party may sign again until the round is published, also when the aggregator has looked
        already, so any of its own answers may be the one that counted. And who answered for the
        first time after all that counted may be called silent: the aggregator could have published
        before that, and so it could where an ordinary reorganisation may have moved the answer. So
        no party can make an honest round fail, and strangers do not matter.
        """
        anchors = {anchor.transaction for entry in recorded.accepted for anchor in entry.anchors}
        away = {SILENT, UNHEARD, NOT_ASKED}
        silent = {one.party for one in recorded.dropped if one.reason in away}
        explained = {one.party for one in recorded.accepted} | {
            one.party for one in recorded.dropped if one.party and one.reason not in away
        }
        whom = phase.whom(self, subject)
        known = self.positions(phase.by) if whom is None else whom
        for call in phase.calls:
            places = [event.place for event in events[call.name] if event.transaction in anchors]
            last = max(places, default=(-1, 0))
            for event in events[call.name]:
                party = event.arguments[call.party]
                if party not in known or party in explained:
                    continue
                settled = event.block <= last[0] - self._ledger.settled_depth
                if party not in silent or (event.place < last and settled):
                    said = (
                        f"the answer of {party} is on the ledger, "
                        "but the evidence neither counts nor drops it"
                    )
                    self.checks.fail("coverage", said, Witness(phase.name, party))
        self.checks.passed["coverage"] += 1

    def _check_histories(self, phase: Phase[Any], events: dict[str, list[Event]]) -> None:
        """Few registered accounts name another history than this ledger's."""
        known = self.positions(phase.by)
        most = self._protocol.tolerated(len(known))
        for call in phase.calls:
            strange = others(self._history, events[call.name], call.party, known)
            self.checks.true(
                "history",
                len(strange) <= most,
                f"{len(strange)} of {len(known)} {phase.by} signed for another history of "
                f"this ledger, at most {most} may be wrong",
                Witness(phase=phase.name, step="history"),
            )

    def _check_ledger_clock(
        self,
        phase: Phase[Any],
        subject: Any,
        events: dict[str, list[Event]],
        window: ArrivalWindow | None,
        tolerate: int | None,
    ) -> None:
        """Arrivals are what the ledger says; nothing is late, and few answers are dropped.

        A phase that ends before its time has all answers: so a window is closed early by nobody.

        A party's last answer is the one that counts: of the first phase, which the contract closes,
        the last on the ledger; of others one that who publishes may have seen as the last
        (`last_seen`). An answer is dropped only if it is unusable, which is looked at again here,
        or if nobody can fetch it. At most `tolerate` parties do that: whoever drops more so leaves
        out honest ones.
        """
        recorded = self.phases[-1]
        where = Witness(phase=phase.name, step="clock")
        self.checks.equal("late answers under the ledger's clock", len(recorded.late), 0, where)
        if len(self.phases) == 1:
            opened_at = self._ledger.block(self._opened).timestamp
            lasts = self.terms.window or self.terms.patience
            self._closes = opened_at + lasts if lasts else math.inf
        elif window is not None:
            self._closes += math.ceil(window.seconds)
        known = self.positions(phase.by)
        whom = phase.whom(self, subject)
        for call in phase.calls:
            answered = {event.arguments[call.party] for event in events[call.name]}
            missing = [one for one in (known if whom is None else whom) if one not in answered]
            self.checks.true(
                "window",
                not missing or self._published_at > self._closes,
                f"it was ended while {len(missing)} {phase.by} could still answer",
                where,
            )
            asked = set(known if whom is None else whom)
            seen, certain = last_seen(events[call.name], call, asked, self._in_time)
            if len(self.phases) == 1:
                seen, certain = {one: own[-1:] for one, own in seen.items()}, set(seen)
            last = {party: own[-1] for party, own in seen.items()}
            for entry in recorded.accepted:
                here = Witness(phase.name, entry.party, step="clock")
                hashes = [anchor.transaction for anchor in entry.anchors]
                found = next((e for e in seen[entry.party] if e.transaction in hashes), None)
                counts = short(last[entry.party].transaction)
                said = f"last update of {entry.party}: {counts} counts"
                self.checks.true("last answer", found is not None, said, here)
                assert found is not None  # noqa: S101 - checked
                arrival = found.block - self._opened
                self.checks.equal(f"arrival of {entry.party}", entry.arrival, arrival, here)
            reasons = {one.party: one.reason for one in recorded.dropped if one.party}
            copies = {party for party, reason in reasons.items() if reason == "copy"}
            owners = self._first_givers(phase, events[call.name], call) if phase.once else {}
            for party in sorted(copies & set(last)):
                cid = self._openings.content_or_none(party, last[party].arguments["cid"])
                said = f"{party} is said to have copied, but gave its content first"
                first = cid is not None and owners.get(cid) == party
                self.checks.true("copy", not first, said, where)
            left = (set(last) & asked) - {entry.party for entry in recorded.accepted} - copies
            left -= {one for one in left - certain if reasons.get(one) == SILENT}
            lost = {
                one for one in left if reasons.get(one) == UNAVAILABLE and phase.max_bytes(self)
            }
            usable = [
                one
                for one in left - lost
                if all(self._usable(phase, subject, event) for event in seen[one])
            ]
            said = f"{len(usable)} answers were dropped that are usable"
            self.checks.true("answers dropped", not usable, said, where)
            self.checks.true(
                "answers dropped",
                tolerate is None or len(lost) <= tolerate,
                f"{len(lost)} contents are said to be lost, at most {tolerate} may be",
                where,
            )

    def _in_time(self, event: Event) -> bool:
        return event.time <= self._closes

    def _usable(self, phase: Phase[Any], subject: Any, event: Event) -> bool:
        """Tell whether an answer on the ledger would have counted.

        Raises:
            ContentNotFound: its content is missing here, so nobody can tell.
        """
        [call] = phase.calls
        party = event.arguments[call.party]
        anchor = Anchor(carrier="transaction", name=call.name, transaction=event.transaction)
        try:
            cid = None
            if phase.max_bytes(self):
                cid = self._openings.content(party, event.arguments["cid"])
            entry = Counted(party=party, content=cid, anchors=[anchor], arrival=0)
            self._answer(phase, subject, entry, {call.name: [event]})
        except (
            AuditError,
            ContentTooLarge,
            InvalidCid,
            MalformedTransaction,
            UpdateRejected,
        ):
            return False
        return True
