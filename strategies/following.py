"""A round as one of its clients sees it on a ledger that it reads itself: when is it its turn?

A client without a server (Bift's vehicles, section III, steps 2 and 4) runs its task's protocol on
what the ledger and the store hold, as a miner does. Where the protocol asks a party that has not
answered yet, and the client is of that party, it is the client's turn; so which phases there are,
and what they are about, is said by the protocol alone.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fedledger.errors import FedledgerError, NotInstalled, UpdateRejected
from fedledger.formats import canonical_json
from fedledger.guards import Failures

from ..ledger_plugins.base import Event, Ledger
from ..ledger_plugins.contracts import Task, TrainingTask
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_of
from .rounds.answers.history import History
from .rounds.arrival import ArrivalWindow
from .rounds.kinds.mined import MinedRound, NotYet
from .rounds.phase import Answers, Phase
from .rounds.protocol import Protocol, run_round
from .rounds.round import Round, TaskTerms
from .rounds.tasks.membership import terms_at
from .rounds.tasks.task import model_of, state_after

__all__ = ["Moment", "Turn", "Waiting", "subject_of", "turn_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A client is asked, and can answer.

    Attributes:
        phase: the phase.
        subject: what it is about.
        round: the round, up to this phase.
        history: the ledger's blocks.
        said: the event of the answer that it has given already, and that does not count.
    """

    phase: Phase[Any]
    subject: Any
    round: Round
    history: History
    said: Event | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """It is not the client's turn.

    Attributes:
        why: in words.
        missing: CIDs of contents that it would have to know.
        lacking: what is not installed here, so that the protocol could not go on; else "".
    """

    why: str
    missing: Sequence[str] = ()
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a client looks.

    Attributes:
        now: seconds since 1970 by its own clock.
        lost: CIDs that it has looked for in vain.
    """

    now: float
    lost: Collection[str] = ()


class _Found(FedledgerError):
    """The client's turn was found; the protocol need not go on."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        super().__init__(f"phase {turn.phase.name!r} asks this client")


class _FollowedRound(MinedRound):
    """A mined round that ends where it asks one account."""

    def follow(
        self, account: str, moment: Moment, answered: Callable[[str, str], str | None]
    ) -> None:
        """Say who follows: called once, before the protocol runs."""
        self._account = account
        self._latest = max(float(self._now), moment.now)
        self._answered = answered
        self._subject: Any = None

    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,
        tolerate: int | None = None,
    ) -> Answers[T]:
        """Do as a mined round; where the account has to answer, its turn is found."""
        self._subject = subject
        return super().ask(phase, subject, window=window, tolerate=tolerate)

    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Return the contents' CIDs; who only looks stores nothing."""
        return [cid_of(content) for content in contents]

    def _wait(
        self,
        phase: Phase[Any],
        asked: Sequence[str],
        last: Mapping[str, Event],
        window: ArrivalWindow | None,
    ) -> None:
        closes = self._closes
        if self.phases and window is not None:
            closes += math.ceil(window.seconds)
        said = last.get(self._account)
        if self._account in asked and self._latest <= closes and not self._stands(phase, said):
            raise _Found(Turn(phase, self._subject, self, self._history, said))
        super()._wait(phase, asked, last, window)

    def _stands(self, phase: Phase[Any], said: Event | None) -> bool:
        """Tell whether an answer on the ledger is one to what is asked now."""
        if said is None:
            return False
        try:
            self._history.check(said.arguments, said.block)
        except UpdateRejected:
            return False
        about = self._answered(phase.name, said.transaction)
        return about is None or about == subject_of(phase, self, self._subject)


def subject_of(phase: Phase[Any], round: Round, subject: Any) -> str:
    """Return what an answer is about, as one text: the round's model, and what clients are told."""
    about = {"base": round.base_cid, "details": dict(phase.details(round, subject))}
    return canonical_json(about).decode()


def turn_of(  # noqa: PLR0917 - the client's own sources, then the task
    ledger: Ledger,
    store: Store,
    task: Task,
    terms: TaskTerms,
    protocol: Protocol[Any, Any],
    account: str,
    moment: Moment,
    *,
    answered: Callable[[str, str], str | None] = lambda _phase, _transaction: None,
    failures: Failures | None = None,
) -> Turn | Waiting:
    """Return what the open round of a task asks an account now.

    Args:
        ledger: the client's ledger.
        store: where contents are.
        task: the task as the ledger has it.
        terms: what its specification fixes.
        protocol: its protocol.
        account: the client's account.
        moment: when it looks.
        answered: takes a phase and the transaction of the answer that the ledger has, and returns
            what that was about (`subject_of`); None: nobody knows, so it stands.
        failures: of others' answers, which were logged already.

    Raises:
        NotChecked: the evidence of the last round is missing.
        StoreError: a content is damaged, or the store cannot be read now.
        AuditError: what is on the ledger comes to something that breaks a rule.
    """
    contract = TrainingTask(ledger)
    ended = contract.ended(task.id)
    terms = terms_at(terms, ledger, ended)
    opened, now = contract.opened_in(task.id, ended), ledger.head().timestamp
    state = state_after(ended, len(ended), protocol, store)
    lost, waiting = set(moment.lost), None
    while True:
        followed = _FollowedRound(
            terms,
            task.current_round + 1,
            lambda: model_of(store, task.current_cid, terms.layout),
            task.current_cid,
            ledger,
            store,
            opened,
            task.opened_at,
            now,
            lost,
            failures,
        )
        followed.follow(account, moment, answered)
        try:
            run_round(protocol, followed, state)
        except _Found as found:
            return found.turn
        except NotYet as error:
            waiting = waiting or Waiting(str(error), error.missing)
            if lost.issuperset(error.missing):
                return waiting
            # A content that stays away keeps nobody from what is asked next, and that has an end.
            lost.update(error.missing)
        except NotInstalled as error:  # most often of what the miner computes, and no client
            return waiting or Waiting("the round waits for its miner", lacking=str(error))
        else:
            return waiting or Waiting("the round waits for its miner")
