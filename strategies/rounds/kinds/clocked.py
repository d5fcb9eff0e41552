"""A round under Flower whose clock is the ledger's: it asks, relays at once, and reads the ledger.

What counts is what a mined round finds on the ledger when the phase is over by block time. So a
client that called by itself counts as one that was relayed does, and evidence, replay and audit are
those of mined rounds: an aggregator that leaves out what the ledger holds fails the audit.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from fedledger.arrays import Arrays
from fedledger.errors import ConfigError, LedgerUnavailable, StoreUnavailable

from ....ledger_plugins.base import Receipt
from ....ledger_plugins.storage.patience import AWAY, may_pass, put_all
from ..answers.asking import Asking, Sent
from ..answers.replies import Checked
from ..arrival import ArrivalWindow
from ..evidence.documents import Dropped
from ..evidence.reasons import SILENT
from ..phase import Answer, Answers, Phase
from ..protocol import Protocol
from ..round import TaskTerms
from .mined import MinedRound, NotYet, grace_of

__all__ = ["ClockedRound", "check_clocked"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 10
"""How often a call is sent that makes time pass on a ledger whose clock is behind."""

POLL = 1.0

LOOKS = 3
"""How often contents are looked for at least: openings, what they name, and once to spare."""

LATEST = 10.0
"""Seconds for which nodes are asked whose phase is over: they may have what the store has not."""


class ClockedRound(MinedRound):
    """A round under Flower by the ledger's clock.

    Args:
        terms: what is fixed for the task.
        number: the round.
        base: loads the model it begins with.
        base_cid: its CID.
        sent: what its phases are asked with.
        opened_in: index of the block in which the round opened.
        opened_at: the time of that block, in seconds.
        tick: sends a call that changes nothing: some ledgers make a block, and so let time pass,
            only for one.
    """

    def __init__(  # noqa: PLR0917 - a round's facts, then its way
        self,
        terms: TaskTerms,
        number: int,
        base: Callable[[], Arrays],
        base_cid: str,
        sent: Sent,
        opened_in: int,
        opened_at: int,
        tick: Callable[[], object],
    ) -> None:
        way = sent.way
        now = way.ledger.head().timestamp
        super().__init__(
            terms, number, base, base_cid, way.ledger, way.store, opened_in, opened_at, now, set()
        )
        self.answered: list[Answers[Any]] = []
        """The answers of each phase, with their messages."""
        self._way = way
        self._asking = Asking(self, sent, opened_in)
        self._tick = tick
        self._ticks = 0
        self._sought: dict[str, float] = {}

    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,
        tolerate: int | None = None,
    ) -> Answers[T]:
        """Ask the nodes, relay what they signed as it comes, and take what is on the ledger.

        Raises:
            ConfigError: the phase signs something that the ledger does not repeat.
            LedgerUnavailable: the ledger cannot be reached, or its clock stands still.
            StoreUnavailable: more contents than are tolerated stay away until the run's timeout.
        """
        self._begin(phase)
        ends, least = self._closes, LATEST
        if self.phases and window is not None:
            # Who kept the phase before waiting takes nothing of this one's time from the others.
            self._closes = max(self._closes, self._way.ledger.head().timestamp)
            least = math.ceil(window.seconds)
            ends = self._closes + least
        good: dict[str, Checked[T]] = {}
        dropped: list[Dropped] = []

        def take() -> Answers[T]:
            closes = self._closes
            try:
                return self._take(phase, subject, window, tolerate)
            except NotYet:
                self._closes = closes
                raise

        answers = self._at_once(take)
        if answers is None:
            dropped = self._hear(phase, subject, good, ends, least)
            answers = self._when_over(take, ends, good)
        answers = self._with_messages(answers, good)
        self._say_why(dropped)
        self.answered.append(answers)
        return answers

    # Inside --------------------------------------------------------------------------------

    def _at_once(self, take: Callable[[], Answers[T]]) -> Answers[T] | None:
        """Return the answers where a run that was killed had come so far; then nobody is asked."""
        self._now = self._way.ledger.head().timestamp
        try:
            return take()
        except (NotYet, StoreUnavailable):
            return None

    def _hear(
        self, phase: Phase[T], subject: Any, good: dict[str, Checked[T]], ends: float, least: float
    ) -> list[Dropped]:
        """Ask, and relay what comes as it comes; return what was unusable.

        However late it is by the ledger's clock, replies are waited for `least` seconds.
        """
        way, relayed = self._way, set[str]()
        refused: list[Dropped] = []

        def settle() -> None:
            fresh = [one for party, one in good.items() if party not in relayed]
            if not fresh:
                return
            relayed.update(one.answer.party for one in fresh)
            refused.extend(self._relay(fresh))

        left = ends + 1 - way.time.wall()
        heard = self._asking.hear(
            phase,
            subject,
            good,
            window=None,
            timeout=min(way.timeout, max(left, least)),
            settle=settle,
            late_contents=False,  # what is relayed has to be there before the window is over
        )
        return [*heard.dropped, *refused]

    def _relay(self, fresh: Sequence[Checked[Any]]) -> list[Dropped]:
        """Store contents, then relay calls, in one batch; what is refused is not on the ledger."""
        way = self._way
        if not self.terms.sealed:
            data = (one.answer.content.data for one in fresh)
            put_all(way.store, filter(None, data), way.time)
        ours = [one for one in fresh if not one.named]
        results = way.ledger.transact_all([one.transactions[0] for one in ours])
        return [
            Dropped(
                reason="ledger",
                detail=str(result),
                party=one.answer.party,
                arrival=one.answer.arrival,
            )
            for one, result in zip(ours, results, strict=True)
            if not isinstance(result, Receipt)
        ]

    def _when_over(
        self, take: Callable[[], Answers[T]], ends: float, good: Mapping[str, Checked[T]]
    ) -> Answers[T]:
        """Return the answers once the phase is over by block time and their contents are there."""
        way = self._way
        began, opened = way.time.monotonic(), not self.terms.sealed
        grace, away = grace_of(self.terms), None
        while True:
            self._now = way.ledger.head().timestamp
            over = self._now > ends
            if over and not opened:
                self._open(good)
                opened = True
            now = way.time.monotonic()
            self._lost = {cid for cid, since in self._sought.items() if now - since > grace}
            try:
                return take()
            except StoreUnavailable as error:  # it has nothing to do with who answered
                away = now if away is None else away
                if not may_pass(error) or now - away > AWAY:
                    raise
                logger.warning("%s: trying again for up to %.0f s", error, away + AWAY - now)
            except NotYet as error:
                away = None
                if not over:
                    self._pass_time(ends)
                    continue
                for cid in error.missing:
                    self._sought.setdefault(cid, now)
                if now - began > max(way.timeout, LOOKS * grace):
                    raise StoreUnavailable(
                        f"round {self.number} cannot be ended after {way.timeout:.0f} s: {error}"
                    ) from error
            way.time.sleep(POLL)

    def _open(self, good: Mapping[str, Checked[Any]]) -> None:
        """Publish the openings and contents that came with replies, now that the window is over."""
        held = [one for one in good.values() if one.opening]
        contents = [data for one in held for data in (one.answer.content.data, one.opening)]
        put_all(self._way.store, contents, self._way.time)

    def _pass_time(self, ends: float) -> None:
        """Wait a moment; when a phase should be over, make a block that says so."""
        time = self._way.time
        left = ends + 1 - time.wall()
        if left > 0:  # the first phase never ends before its time
            time.sleep(min(left, POLL) if self.phases else left)
            return
        self._ticks += 1
        if self._ticks > TRIES:
            raise LedgerUnavailable(
                f"the ledger's clock stands still: its newest block is of {self._now}, this "
                f"machine's clock says {time.wall():.0f}, and a phase lasts until {ends:.0f}"
            )
        self._tick()
        behind = ends + 1 - self._way.ledger.head().timestamp
        if behind > 0:
            time.sleep(max(behind, float(self._ticks)))
        else:
            self._ticks = 0

    def _with_messages(self, answers: Answers[T], good: Mapping[str, Checked[T]]) -> Answers[T]:
        """Return the answers with the replies that they came by; one that came alone has none."""
        anchors = {one.party: one.anchors for one in self.phases[-1].accepted}

        def with_message(answer: Answer[T]) -> Answer[T]:
            checked = good.get(answer.party)
            [anchor] = anchors[answer.party]
            if checked is None or checked.transactions[0].hash != anchor.transaction:
                return answer
            return replace(answer, message=checked.answer.message)

        return Answers([with_message(one) for one in answers], answers.standing)

    def _say_why(self, dropped: Sequence[Dropped]) -> None:
        """Say of who is not on the ledger what was wrong with its reply, where it gave one.

        Replies of nobody known are put down as well.
        """
        phase = self.phases[-1]
        for entry in dropped:
            logger.warning("%s: dropped (%s): %s", phase.name, entry.reason, entry.detail)
        why = {entry.party: entry for entry in dropped if entry.party is not None}
        self.phases[-1] = phase.model_copy(
            update={
                "dropped": [
                    *(
                        why.get(one.party or "", one) if one.reason == SILENT else one
                        for one in phase.dropped
                    ),
                    *(entry for entry in dropped if entry.party is None),
                ]
            }
        )


def check_clocked(protocol: Protocol[Any, Any], window: int | None) -> None:
    """Check that a protocol's rounds can have the ledger's clock.

    Args:
        protocol: the protocol.
        window: seconds of the contract's window; None: the owner of the task says them.

    Raises:
        ConfigError: there is no window, or the protocol needs the replies themselves.
    """
    if window == 0:
        raise ConfigError(
            "by the ledger's clock a round lasts for the contract's window: give it one, in "
            "seconds (ledger_window)"
        )
    if protocol.attests:
        raise ConfigError(
            f"protocol {protocol.name!r} aggregates replies, and by the ledger's clock a client "
            "may call without one: give it another clock"
        )
