"""What happened in a round, as one value: audits, tables and `show` read nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from fedledger.errors import FedledgerError

from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts import Aggregate, Payment, Rollback, TrainingTask
from ....ledger_plugins.storage.base import Store
from . import documents
from .documents import (
    Asked,
    Counted,
    Dropped,
    Evidence,
    Late,
    Measured,
    PhaseEvidence,
    Specification,
)
from .reasons import NOT_ASKED, SILENT, UNHEARD, reason_of

__all__ = ["PhaseRecord", "RoundRecord", "Status", "read_rounds", "record_of", "statuses"]

Status = Literal["open", "provisional", "final", "void"]
"""Open: not published. Provisional: it can still be disputed. Final: it stands. Void: the task went
back to a round before it, and what was built on it is void with it; its number is never used again.
"""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """What happened in a phase.

    Attributes:
        name: the phase's name.
        asked: who was asked.
        accepted: the answers that counted.
        late: those that came too late.
        dropped: those that did not count, and why.
        silent: who did not answer.
        absent: of which accounts nothing is known: not asked, or no node has ever answered for it.
        milliseconds: how long it took.
        bytes: of the contents that counted.
    """

    name: str
    asked: tuple[Asked, ...]
    accepted: tuple[Counted, ...]
    late: tuple[Late, ...]
    dropped: tuple[Dropped, ...]
    silent: tuple[Dropped, ...]
    absent: tuple[Dropped, ...]
    milliseconds: int
    bytes: int

    @classmethod
    def of(cls, evidence: PhaseEvidence) -> "PhaseRecord":
        """Return what evidence says of a phase."""
        away = (SILENT, UNHEARD, NOT_ASKED)
        return cls(
            name=evidence.name,
            asked=tuple(evidence.asked),
            accepted=tuple(evidence.accepted),
            late=tuple(evidence.late),
            dropped=tuple(one for one in evidence.dropped if one.reason not in away),
            silent=tuple(one for one in evidence.dropped if one.reason == SILENT),
            absent=tuple(one for one in evidence.dropped if one.reason in away[1:]),
            milliseconds=evidence.milliseconds,
            bytes=evidence.bytes,
        )

    @property
    def accounts(self) -> dict[str, str]:
        """What became of each account: "counted", "late", or why not, by the code of its reason."""
        found: dict[str, str] = {}
        for one in (*self.absent, *self.silent, *self.dropped):  # the last one counts
            if one.party is not None:
                found[one.party] = one.reason
        late = {one.party: "late" for one in self.late}
        return found | late | {one.party: "counted" for one in self.accepted}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what was dropped has its reason in words."""
        gone = (*self.dropped, *self.silent, *self.absent)
        plain = [{**one.model_dump(), **_words(one)} for one in gone]
        return {
            "name": self.name,
            "asked": [one.model_dump() for one in self.asked],
            "accepted": [one.model_dump() for one in self.accepted],
            "late": [one.model_dump() for one in self.late],
            "dropped": plain,
            "accounts": self.accounts,
            "milliseconds": self.milliseconds,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What happened in a round.

    Attributes:
        task: the task's number.
        model_id: its name.
        round: the round, from 1; 0 stands for the task as a whole.
        protocol: name and version of the protocol.
        status: whether it stands.
        rule: the rule used, "kept", or "rollback to N".
        kept: why the model was kept, or None.
        base: CID of the model the round began with.
        aggregate: CID of the model it ended with.
        opened: index of the block in which it opened.
        closed: index of the block in which it ended.
        phases: what happened in its phases.
        contributors: accounts with weight in the aggregate.
        left_out: accounts that counted in the first phase and have no weight in the aggregate.
        payments: what the round owes, by account.
        paid: what was paid, by account.
        measured: what was measured about its model, and by whom.
        commitments: 32 bytes each in hexadecimal, by name.
        until: time in seconds until which a provisional round can be disputed, or None.
        rolled_back: whether it ended by a rollback.
        unread: why its evidence cannot be read, so that only what the ledger says is here; or None.
    """

    task: int
    model_id: str
    round: int
    protocol: str = ""
    status: Status = "open"
    rule: str = ""
    kept: str | None = None
    base: str = ""
    aggregate: str = ""
    opened: int = 0
    closed: int = 0
    phases: tuple[PhaseRecord, ...] = ()
    contributors: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    payments: Mapping[str, int] = field(default_factory=dict)
    paid: Mapping[str, int] = field(default_factory=dict)
    measured: tuple[Measured, ...] = ()
    commitments: Mapping[str, str] = field(default_factory=dict)
    until: int | None = None
    rolled_back: bool = False
    unread: str | None = None

    def value(self, metric: str) -> float | None:
        """Return what was measured under a name, or None."""
        found = (one.ppm / _MILLION for one in self.measured if one.metric == metric)
        return next(found, None)

    @property
    def accepted(self) -> int:
        """Answers of the first phase that counted."""
        return len(self.phases[0].accepted) if self.phases else 0

    @property
    def late(self) -> int:
        """Answers that came too late, of all phases."""
        return sum(len(phase.late) for phase in self.phases)

    @property
    def dropped(self) -> int:
        """Answers that did not count or never came, of all phases."""
        return sum(len(phase.dropped) + len(phase.silent) for phase in self.phases)

    def reasons(self) -> dict[str, int]:
        """Return how many answers were dropped for each reason."""
        counts: dict[str, int] = {}
        for phase in self.phases:
            for one in (*phase.dropped, *phase.silent):
                counts[one.reason] = counts.get(one.reason, 0) + 1
        return dict(sorted(counts.items()))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        left = ("phases", "measured", "payments", "paid", "commitments")
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in left}
        return {
            **plain,
            "contributors": list(self.contributors),
            "left_out": list(self.left_out),
            "payments": dict(self.payments),
            "paid": dict(self.paid),
            "commitments": dict(self.commitments),
            "measured": [one.model_dump() for one in self.measured],
            "phases": [phase.to_json() for phase in self.phases],
        }


def record_of(
    ended: Aggregate | Rollback,
    evidence: Evidence | None,
    *,
    model_id: str,
    protocol: str,
    status: Status,
    base: str,
    opened: int,
    paid: Sequence[Payment],
) -> RoundRecord:
    """Return what happened in a round that ended.

    Args:
        ended: what the ledger says of its end.
        evidence: its evidence; None of a rollback, or where it cannot be read.
        model_id: the task's name.
        protocol: name and version of the protocol.
        status: whether the round stands.
        base: CID of the model it began with.
        opened: index of the block in which it opened.
        paid: the task's payments.
    """
    phases = tuple(PhaseRecord.of(phase) for phase in evidence.phases) if evidence else ()
    published = isinstance(ended, Aggregate)
    contributors = ended.contributors if isinstance(ended, Aggregate) else ()
    counted = [one.party for one in phases[0].accepted] if phases else []
    return RoundRecord(
        task=ended.task,
        model_id=model_id,
        round=ended.round,
        protocol=protocol,
        status=status,
        rule=ended.rule if isinstance(ended, Aggregate) else f"rollback to {ended.to_round}",
        kept=evidence.kept if evidence else None,
        base=base,
        aggregate=ended.cid,
        opened=opened,
        closed=ended.block,
        phases=phases,
        contributors=tuple(contributors),
        left_out=tuple(who for who in counted if who not in contributors) if published else (),
        payments=dict(evidence.payments) if evidence else {},
        paid={one.client: one.amount for one in paid if one.round == ended.round},
        measured=tuple(evidence.measured) if evidence else (),
        commitments=dict(evidence.commitments) if evidence else {},
        rolled_back=not published,
    )


def read_rounds(
    ledger: Ledger, store: Store, task: int, *, strict: bool = True
) -> list[RoundRecord]:
    """Return what happened in the rounds of a task that ended, as its evidence says.

    Nothing is checked: that is the audit's.

    Args:
        ledger: the ledger.
        store: the store.
        task: the task's number.
        strict: whether evidence that cannot be read is an error, and not that round's alone.

    Raises:
        ContractError: there is no such task.
        NotChecked: a document is missing.
        AuditError: a document is none.
    """
    contract = TrainingTask(ledger)
    found = contract.task(task)
    specification = documents.load(Specification, found.spec, store)
    ended, paid = contract.ended(task), contract.payments(task)
    status, bases = statuses(ended), [found.model_cid, *(one.cid for one in ended)]
    evidence: dict[int, Evidence] = {}
    unread: dict[int, str] = {}
    for one in ended:
        if isinstance(one, Aggregate):
            try:
                evidence[one.round] = documents.load(Evidence, one.evidence, store)
            except FedledgerError as error:
                if strict:
                    raise
                unread[one.round] = str(error)
    records = [
        record_of(
            one,
            evidence.get(one.round),
            model_id=found.model_id,
            protocol=f"{specification.protocol}/{specification.protocol_version}",
            status=status[one.round],
            base=bases[one.round - 1],
            opened=contract.opened_in(task, ended[: one.round - 1]),
            paid=paid,
        )
        for one in ended
    ]
    return [replace(one, unread=unread.get(one.round)) for one in records]


def statuses(ended: Sequence[Aggregate | Rollback]) -> dict[int, Status]:
    """Return the status of each round that ended: what the newest model goes back to is final.

    Args:
        ended: the rounds that ended, from the first one.
    """
    found: dict[int, Status] = {one.round: "void" for one in ended}
    number = len(ended)
    while number:
        last = ended[number - 1]
        if isinstance(last, Rollback):
            number = last.to_round
        else:
            found[number] = "final"
            number -= 1
    return found


def _words(dropped: Dropped) -> dict[str, str]:
    return {key: value for key, value in asdict(reason_of(dropped.reason)).items() if key != "code"}
