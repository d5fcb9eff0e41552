"""A round that a miner makes: what the parties put on the ledger themselves."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from fedledger.arrays import Arrays
from fedledger.errors import (
    ConfigError,
    ContentNotFound,
    ContentTooLarge,
    InvalidCid,
    UpdateRejected,
)

from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import cid_text
from ...ledger_plugins.storage.base import Store
from .arrival import ArrivalWindow
from .evidence.carriers import open_anchor
from .evidence.documents import Anchor, Asked, Counted, Dropped, PhaseEvidence
from .history import History
from .phase import Answer, Answers, Content, Given, Phase, read_answer
from .round import Attested, Round, TaskTerms
from .task import called

__all__ = ["MinedRound", "NotYet"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class NotYet(Exception):
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
        opened: index of the block in which the round opened.
        over: whether the contract takes no more answers.
        lost: CIDs that were looked for in vain.
    """

    def __init__(  # noqa: PLR0917 - a round's facts, then its sources
        self,
        terms: TaskTerms,
        number: int,
        base: Callable[[], Arrays],
        base_cid: str,
        ledger: Ledger,
        store: Store,
        opened: int,
        over: bool,  # noqa: FBT001 - as above
        lost: Collection[str],
    ) -> None:
        super().__init__(terms, number, base, base_cid)
        self._ledger = ledger
        self._store = store
        self._opened = opened
        self._over = over
        self._lost = lost
        self._history = History(ledger)

    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,  # noqa: ARG002 - the contract's own counts
        tolerate: int | None = None,
    ) -> Answers[T]:
        """Return each party's last answer on the ledger, once all are there or the round is over.

        Raises:
            NotYet: parties or contents are missing, or too many answers are unusable.
            ConfigError: the phase signs something that the ledger does not repeat.
            StoreUnavailable: the store cannot be read now.
            ContentCorrupted: what the store has is damaged.
        """
        if len(phase.signs) != 1 or not phase.calls:
            raise ConfigError(f"phase {phase.name!r} cannot be mined: it needs exactly one call")
        [call] = phase.calls
        positions = self.begin(phase)
        last = {
            event.arguments[call.party]: event
            for event in called(
                self._ledger, call, self.terms.task, self.number, since=self._opened
            )
            if event.arguments[call.party] in positions
        }
        if len(last) < len(positions) and not self._over:
            raise NotYet(f"{len(last)} of {len(positions)} {phase.by} have answered")
        answers: list[Answer[T]] = []
        counted: list[Counted] = []
        dropped: list[Dropped] = []
        missing: list[str] = []
        for party in sorted(last, key=positions.__getitem__):
            event = last[party]
            anchor = Anchor(carrier="transaction", name=call.name, transaction=event.transaction)
            try:
                _, values = open_anchor(anchor, call, self._ledger, self.domain)
                self._history.check(values, event.block)
                signed = {call.name: values}
                content, cid = self._content(phase, signed)
                value = read_answer(phase, Given(party, content, signed), self, subject)
            except ContentNotFound as error:
                if error.cid in self._lost:
                    dropped.append(
                        Dropped(reason="unavailable", detail="nobody has the content", party=party)
                    )
                else:
                    missing.append(error.cid)
                continue
            except UpdateRejected as error:
                detail = error.detail[:400]
                dropped.append(Dropped(reason=error.reason, detail=detail, party=party))
                continue
            except (ContentTooLarge, InvalidCid) as error:  # others are this store's own faults
                dropped.append(Dropped(reason="malformed", detail=str(error)[:400], party=party))
                continue
            arrival = event.block - self._opened
            answers.append(Answer(party, positions[party], value, content, signed, arrival))
            counted.append(Counted(party=party, content=cid, anchors=[anchor], arrival=arrival))
        if missing:
            raise NotYet("contents are missing", missing)
        if tolerate is not None and len(dropped) > tolerate:
            raise NotYet(f"{len(dropped)} answers are unusable, {tolerate} may be")
        self.phases.append(
            PhaseEvidence(
                name=phase.name,
                asked=[Asked(node="", party=party) for party in self.terms.parties[phase.by]],
                accepted=counted,
                late=[],
                dropped=dropped,
                milliseconds=0,
                bytes=sum(len(answer.content.data) for answer in answers),
            )
        )
        return Answers(answers)

    def attest(self, make: Callable[[], Attested]) -> Attested:  # noqa: ARG002 - nobody makes it
        """Refuse: a miner has no Flower strategy to ask."""
        raise ConfigError("an attested round needs a Flower server: it cannot be mined")

    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Store the contents."""
        return self._store.put_all(contents)

    def _content(
        self, phase: Phase[Any], signed: dict[str, dict[str, Any]]
    ) -> tuple[Content, str | None]:
        cap = phase.max_bytes(self)
        if not cap:
            return Content(b""), None
        raw = next((values["cid"] for values in signed.values() if "cid" in values), None)
        if raw is None:
            raise ConfigError(f"phase {phase.name!r} cannot be mined: its call names no CID")
        cid = cid_text(raw)
        return Content(self._store.get(cid, max_bytes=cap)), cid
