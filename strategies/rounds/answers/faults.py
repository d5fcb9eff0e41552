"""Answers that are provably wrong: what their party signed shows it to anybody.

That an answer was dropped is the aggregator's word. Where a phase declares that a refusal follows
from what was signed (`Phase.provable`), the evidence keeps the signatures and the store the
content. Whoever replays the round refuses the answer again, or has found a slanderer.
"""

from dataclasses import dataclass
from typing import Any

from fedledger.errors import AuditError, UpdateRejected

from ....ledger_plugins.base import Ledger
from ....ledger_plugins.storage.base import Store
from ..evidence.carriers import open_anchor
from ..evidence.checks import Check, CheckFailed, Checks, Outcome, Witness
from ..evidence.documents import Anchor, Dropped, Fault, PhaseEvidence
from ..phase import Content, Given, Phase, ProvablyWrong, read_answer
from ..round import Round
from .replies import Arrived

__all__ = ["FAULT", "Faults", "ProvedFault", "anchors_of", "fault_of"]

FAULT = "fault"
"""The step that a witness names where an answer is, or is falsely said to be, provably wrong."""


@dataclass(frozen=True, slots=True)
class ProvedFault:
    """A wrong answer, refused again by who replays the round.

    Attributes:
        phase: the phase.
        party: the account that signed it.
        reason: a code of the registry of reasons.
        detail: what is wrong with it.
    """

    phase: str
    party: str
    reason: str
    detail: str

    @property
    def sentence(self) -> str:
        """What a person reads of it."""
        return f"what {self.party} signed in phase {self.phase!r} is wrong: {self.detail}"


def anchors_of(arrived: Arrived, phase: Phase[Any]) -> tuple[Anchor, ...]:
    """Return what holds fast all that a reply's party signed, whether the ledger has it or not."""
    calls = {
        call.name: Anchor(carrier="signed-call", name=call.name, transaction=signed.raw.hex())
        for call, signed in zip(phase.calls, arrived.transactions, strict=True)
    }
    by_name = calls | {one.name: one for one in arrived.statements}
    return tuple(by_name[one.name] for one in phase.signs)


def fault_of(error: UpdateRejected, round: Round) -> Fault | None:
    """Return what shows that an answer is wrong, or None where that is the aggregator's word.

    Where the ledger says what counts it has the answer already, and anybody looks at it there.
    """
    if not isinstance(error, ProvablyWrong) or round.terms.ledger_clock:
        return None
    return Fault(content=error.given.content.cid, anchors=list(error.anchors))


@dataclass(frozen=True, slots=True)
class Faults:
    """Refuses again what is said to be provably wrong in a phase.

    Attributes:
        phase: the phase.
        subject: what it is about.
        round: the round.
        ledger: the ledger.
        store: has the contents.
        checks: takes the checks that passed.
    """

    phase: Phase[Any]
    subject: Any
    round: Round
    ledger: Ledger
    store: Store
    checks: Checks

    def check(self, recorded: PhaseEvidence) -> list[ProvedFault]:
        """Return the faults that are shown, of each account one.

        Raises:
            CheckFailed: an answer is not wrong, or not as it is said to be; or an account is said
                to have given one, and nothing shows it.
            StoreError: a content is missing or damaged.
        """
        provable = frozenset() if self.round.terms.ledger_clock else self.phase.provable
        found: dict[str, ProvedFault] = {}
        for entry in recorded.dropped:
            if entry.fault is not None:
                known = entry.party in self.round.positions(self.phase.by)
                said = f"a fault of {entry.party} ({entry.reason}) is shown, and can be none"
                self._true(entry, known and entry.reason in provable, said)
                self._true(entry, entry.party not in found, f"{entry.party} has two faults")
                detail = self._refused(entry, entry.fault)
                party = str(entry.party)
                found[party] = ProvedFault(self.phase.name, party, entry.reason, detail)
        for entry in recorded.dropped:
            if entry.reason in provable:
                self._true(entry, entry.party in found, f"{_said(entry)}, and nothing shows it")
        return list(found.values())

    # Inside --------------------------------------------------------------------------------

    def _refused(self, entry: Dropped, fault: Fault) -> str:
        """Return why an answer is refused, for the reason that stands there."""
        signs, anchors = self.phase.signs, fault.anchors
        number = f"{_said(entry)}, with {len(anchors)} signatures of {len(signs)}"
        self._true(entry, len(anchors) == len(signs), number)
        signed: dict[str, dict[str, Any]] = {}
        for one, anchor in zip(signs, anchors, strict=True):
            try:
                signer, values = open_anchor(anchor, one, self.ledger, self.round.domain)
            except (AuditError, UpdateRejected) as error:
                said = f"{_said(entry)}, and did not sign it: {error}"
                raise self._failed(entry, said) from error
            self._true(entry, signer == entry.party, f"{_said(entry)}, and {signer} signed it")
            signed[one.name] = values
        most = self.phase.max_bytes(self.round)
        content = Content(self.store.get(fault.content, max_bytes=most))
        given = Given(str(entry.party), content, signed)
        try:
            read_answer(self.phase, given, self.round, self.subject)
        except UpdateRejected as error:
            what = f"{_said(entry)}, and what it signed is refused as {error}"
            self._true(entry, error.reason == entry.reason, what)
            return error.detail
        raise self._failed(entry, f"{_said(entry)}, and what it signed is right")

    def _true(self, entry: Dropped, holds: object, said: str) -> None:
        if not holds:
            raise self._failed(entry, said)
        self.checks.passed[FAULT] += 1

    def _failed(self, entry: Dropped, said: str) -> CheckFailed:
        where = Witness(self.phase.name, entry.party, step=FAULT)
        return CheckFailed(Check(said, self.phase.name, Outcome.FAILED), where)


def _said(entry: Dropped) -> str:
    return f"{entry.party} is said to have given a wrong answer ({entry.reason})"
