"""A round that runs under Flower: it asks, checks, relays to the ledger, and notes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fedledger.arrays import Arrays
from fedledger.errors import (
    AuditError,
    ConfigError,
    MalformedTransaction,
    NotChecked,
    UpdateRejected,
)
from fedledger.records import SEEN

from ....ledger_plugins.base import Event, Receipt
from ....ledger_plugins.storage.patience import put_all
from ..answers.asking import Asking, Sent
from ..answers.replies import Checked, most_common_form
from ..answers.standing import called
from ..arrival import ArrivalWindow
from ..evidence.carriers import open_anchor
from ..evidence.documents import Anchor, Asked, Counted, Dropped, Late, PhaseEvidence
from ..evidence.reasons import ABANDONED, UNAVAILABLE
from ..phase import Answer, Answers, Phase, record_forms
from ..round import Attested, Round, TaskTerms

__all__ = ["LiveRound"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class LiveRound(Round):
    """A round under Flower.

    Args:
        terms: what is fixed for the task.
        number: the round.
        base: loads the model it begins with.
        base_cid: its CID.
        sent: what its phases are asked with.
        opened: the block in which the round opened.
    """

    def __init__(  # noqa: PLR0917 - a round's facts, then its way
        self,
        terms: TaskTerms,
        number: int,
        base: Callable[[], Arrays],
        base_cid: str,
        sent: Sent,
        opened: int = 0,
    ) -> None:
        super().__init__(terms, number, base, base_cid)
        self.answered: list[Answers[Any]] = []
        """The answers of each phase, with their messages."""
        self._protocol = sent.protocol
        self._way = sent.way
        self._store = sent.way.store
        self._asking = Asking(self, sent, opened)
        self._opened = opened

    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,
        tolerate: int | None = None,  # noqa: ARG002 - about the ledger's clock
    ) -> Answers[T]:
        """Ask the nodes, check what they say, and relay what they signed to the ledger.

        An unusable answer counts for no quorum, so nobody ends a phase early with rubbish. Once
        every party has answered, nodes of strangers are not waited for.
        """
        self.begin(phase)
        good: dict[str, Checked[T]] = {}
        heard = self._asking.hear(
            phase,
            subject,
            good,
            window=None if self._way.clock.waits_for_all else window,
            timeout=self._way.timeout,
        )
        silent = [one for one in self._asking.silent(heard) if one.party not in good]
        exchange, dropped = heard.exchange, [*heard.dropped, *silent]
        put_all(self._way.store, heard.faulty, self._way.time)
        ordered = sorted(good.values(), key=lambda checked: checked.answer.position)
        closes = window.closes(one.answer.arrival for one in ordered) if window else None
        if phase.alike:
            ordered, odd = _alike(ordered)
            dropped += odd
        if phase.once:
            ordered, copies = _once(ordered)
            dropped += copies
        late = [one for one in ordered if closes is not None and one.answer.arrival > closes]
        intime = [one for one in ordered if closes is None or one.answer.arrival <= closes]
        counted, refused = self._relay(phase, intime)
        lost = {one.party for one in dropped if one.reason == UNAVAILABLE}
        dropped += [one for one in refused if one.reason != ABANDONED or one.party not in lost]
        for entry in dropped:
            logger.warning("%s: dropped (%s): %s", phase.name, entry.reason, entry.detail)
        said = {one.answer.party for one in (*intime, *late)} | {one.party for one in dropped}
        dropped += self._asking.absent(phase, exchange.asked, said)
        self.phases.append(
            PhaseEvidence(
                name=phase.name,
                asked=[
                    Asked(node=str(node), party=self._way.nodes.get(node))
                    for node in exchange.asked
                ],
                accepted=[entry for _, entry in counted],
                late=[Late(party=one.answer.party, arrival=one.answer.arrival) for one in late],
                dropped=dropped,
                milliseconds=exchange.milliseconds,
                bytes=sum(len(answer.content.data) for answer, _ in counted),
            )
        )
        signed = {answer.party: answer.signed for answer, _ in counted}
        answers = Answers([answer for answer, _ in counted], signed)
        self.answered.append(answers)
        return answers

    def attest(self, make: Callable[[], Attested]) -> Attested:
        """Make it."""
        if not self._protocol.attests:
            raise ConfigError(f"protocol {self._protocol.name!r} does not declare that it attests")
        self.attested = True
        return make()

    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Store the contents."""
        return put_all(self._way.store, contents, self._way.time)

    def refute(self, step: str, said: str) -> None:
        """Say it aloud; the audit of this round will fail."""
        logger.error("round %d, %s: %s: its audit will fail", self.number, step, said)

    # Inside --------------------------------------------------------------------------------

    def _relay(
        self, phase: Phase[T], checked: Sequence[Checked[T]]
    ) -> tuple[list[tuple[Answer[T], Counted]], list[Dropped]]:
        """Store the contents and relay the parties' transactions, in one batch.

        What the ledger already has from a run that was killed is not relayed again. What is there
        at the end and did not count is put down: a party may have called by itself meanwhile.
        """
        ledger = self._way.ledger
        held = (one.answer.content.data for one in checked if _holds(one.answer))
        put_all(self._way.store, held, self._way.time)
        there = self._on_ledger(phase)
        known = {
            one.answer.party: [transaction.hash for transaction in one.transactions]
            if one.named
            else self._known(phase, one, there)
            for one in checked
        }
        fresh = [one for one in checked if known[one.answer.party] is None]
        calls = [transaction for one in fresh for transaction in one.transactions]
        results = iter(ledger.transact_all(calls))
        dropped: list[Dropped] = []
        for one in fresh:
            refused = [
                r for r in [next(results) for _ in phase.calls] if not isinstance(r, Receipt)
            ]
            if refused:
                entry = Dropped(
                    reason="ledger",
                    detail=str(refused[0]),
                    party=one.answer.party,
                    arrival=one.answer.arrival,
                )
                dropped.append(entry)
        gone = {entry.party for entry in dropped}
        counted = [
            (one.answer, _counted(phase, one, known[one.answer.party]))
            for one in checked
            if one.answer.party not in gone
        ]
        named = {one.answer.party for one in checked}
        earlier = {party for (_, party) in self._on_ledger(phase)} - named
        dropped += [
            Dropped(
                reason=ABANDONED,
                detail="on the ledger, but no usable reply to this aggregator",
                party=party,
            )
            for party in sorted(earlier & set(self.terms.parties[phase.by]))
        ]
        return counted, dropped

    def _on_ledger(self, phase: Phase[Any]) -> dict[tuple[str, str], Event]:
        """Return by call and party the event by which the ledger repeats it already."""
        return {
            (call.name, str(event.arguments[call.party])): event
            for call in phase.calls
            for event in called(
                self._way.ledger,
                call,
                self.terms.task,
                self.number,
                self.terms.parties[phase.by],
                since=self._opened,
            )
        }

    def _known(
        self, phase: Phase[Any], one: Checked[Any], there: Mapping[tuple[str, str], Event]
    ) -> list[str] | None:
        """Return the transactions by which the ledger has an answer already, or None."""
        found = []
        for call in phase.calls:
            event = there.get((call.name, one.answer.party))
            if event is None:
                return None
            # Who signs again after the aggregator was killed names a newer block.
            signed = one.answer.signed[call.name]
            if any(event.arguments.get(n, v) != v for n, v in signed.items() if n != SEEN):
                return None
            # A party may have called by itself, in a way that does not count: see the audit.
            anchor = Anchor(carrier="transaction", name=call.name, transaction=event.transaction)
            try:
                signer, _ = open_anchor(anchor, call, self._way.ledger, self.domain)
                self._asking.history.check(event.arguments, event.block)
            except (AuditError, MalformedTransaction, NotChecked, UpdateRejected) as error:
                logger.warning("what %s called by itself: %s", one.answer.party, error)
                return None
            if signer != one.answer.party:
                return None
            found.append(event.transaction)
        return found or None


def _counted(phase: Phase[Any], one: Checked[Any], known: Sequence[str] | None) -> Counted:
    hashes = known or [transaction.hash for transaction in one.transactions]
    calls = iter(zip(phase.calls, hashes, strict=True))
    statements = iter(one.statements)
    anchors = []
    for signed in phase.signs:
        if signed in phase.calls:
            call, transaction = next(calls)
            anchors.append(Anchor(carrier="transaction", name=call.name, transaction=transaction))
        else:
            anchors.append(next(statements))
    return Counted(
        party=one.answer.party,
        content=one.answer.content.cid if _holds(one.answer) else None,
        anchors=anchors,
        arrival=one.answer.arrival,
        node_proof=one.node_proof.hex() or None,
    )


def _holds(answer: Answer[Any]) -> bool:
    return bool(answer.content.data)


def _alike(checked: Sequence[Checked[T]]) -> tuple[list[Checked[T]], list[Dropped]]:
    """Split answers into those whose records Flower can aggregate together and the others."""
    contents = [one.answer.message.content for one in checked if one.answer.message]
    common = most_common_form(contents)
    good, dropped = [], []
    for one, content in zip(checked, contents, strict=True):
        if record_forms(content) == common:
            good.append(one)
            continue
        dropped.append(
            Dropped(
                reason="form",
                detail=f"records {sorted(content)} differ from those of most clients",
                party=one.answer.party,
                arrival=one.answer.arrival,
            )
        )
    return good, dropped


def _once(checked: Sequence[Checked[T]]) -> tuple[list[Checked[T]], list[Dropped]]:
    """Split answers into those whose content came first and copies of them."""
    first: dict[str, Answer[T]] = {}
    for one in sorted(checked, key=lambda one: (one.answer.arrival, one.answer.position)):
        first.setdefault(one.answer.content.cid, one.answer)
    good = [one for one in checked if first[one.answer.content.cid] is one.answer]
    dropped = []
    for one in checked:
        owner = first[one.answer.content.cid]
        if owner is not one.answer:
            detail = f"the content is that of {owner.party}, who gave it first"
            party, arrival = one.answer.party, one.answer.arrival
            entry = Dropped(reason="copy", detail=detail, party=party, arrival=arrival)
            dropped.append(entry)
    return good, dropped
