"""What happens in a rehearsal, and when: rounds, and links that are cut in them and mended."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fedledger.strategies.rounds.evidence.documents import Evidence

from .federation import Federation
from .network import Place

__all__ = ["Audits", "Cut", "Story"]

_AWAY = 20.0  # seconds that the chain and the store are
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Cut:
    """A link that is cut while devices train.

    Attributes:
        round: in which.
        name: whose link.
        seconds: how long; None: until the round is over.
    """

    round: int
    name: str
    seconds: float | None

    @property
    def said(self) -> str:
        """What happens, in words."""
        how_long = "until its end" if self.seconds is None else f"for {self.seconds:.0f} s"
        return f"the link of {self.name} is cut {how_long}"


@dataclass(frozen=True, slots=True)
class Audits:
    """What was said at the end.

    Attributes:
        here: by the server, after training.
        elsewhere: by the auditor, from a file and what it has of the ledger.
        size: the file's.
    """

    here: str
    elsewhere: str
    size: str


class Story:
    """One rehearsal.

    Args:
        federation: who plays.
        say: shows a line.
        calm: no link is cut.

    Attributes:
        rounds: the evidence of those that were published.
        seconds: how long after the one before it each was.
        cuts: the links that were cut, in the order of time.
    """

    def __init__(
        self,
        federation: Federation,
        say: Callable[[str], None],
        *,
        calm: bool,
    ) -> None:
        self.federation, self.say = federation, say
        self.rounds: list[Evidence] = []
        self.seconds: list[float] = []
        self.cuts: list[Cut] = []
        last = f"device-{federation.count}"
        planned = [Cut(2, last, None)]
        planned += [Cut(number, name, _AWAY) for number, name in enumerate(federation.away, 3)]
        self._planned = [] if calm else planned
        self._away: list[tuple[Cut, Place]] = []
        self._asked_before = 0
        self._before = 0.0

    def begin(self) -> None:
        """Have everybody ready."""
        for step, said in self.federation.steps():
            step()
            self.say(said)

    def train(self, rounds: int, window: float) -> None:
        """Train to the end, and cut links meanwhile."""
        one = self.federation
        one.train(num_server_rounds=rounds, window=window)
        began = self._before = time.monotonic()
        self._planned = [cut for cut in self._planned if cut.round < rounds]
        while not one.ended:
            if time.monotonic() > began + _LONGEST:
                raise RuntimeError(f"no end after {_LONGEST:.0f} s: {one.driver.log}")
            if not any(cut.seconds for cut, _ in self._away):  # else nothing can be read
                self._look()
                self._cut()
            time.sleep(0.5)
        self._look()

    def end(self) -> Audits:
        """Have it audited on a machine that has one file, and reaches no store."""
        here = self.federation.driver.log.read_text(errors="replace")
        elsewhere, size = self.federation.audit_elsewhere()
        return Audits(here, elsewhere, size)

    def _look(self) -> None:
        """Take down the rounds that were published since."""
        for evidence in self.federation.rounds(len(self.rounds)):
            now = time.monotonic()
            self.seconds.append(now - self._before)
            self._before = now
            self.rounds.append(evidence)
            self._published(evidence)

    def _published(self, evidence: Evidence) -> None:
        update = evidence.phase("update")
        dropped = f", {len(update.dropped)} dropped" if update.dropped else ""
        self.say(f"round {evidence.round} is published: {len(update.accepted)} counted{dropped}")
        for cut, place in [one for one in self._away if one[0].seconds is None]:
            self._mend(cut, place)
        self._asked_before = self._asked()

    def _asked(self) -> int:
        """Return how often the first device was asked for something."""
        log = self.federation.hall.devices[0].log.read_text(errors="replace")
        return log.count("Receiving: train message")

    def _cut(self) -> None:
        """Cut the next link, once devices train in its round."""
        if not self._planned or self._planned[0].round > len(self.rounds) + 1:
            return
        if self._asked() == self._asked_before:
            return
        cut = self._planned.pop(0)
        place = self.federation.places[cut.name]
        self._away.append((cut, place))
        place.cut()
        self.cuts.append(cut)
        self.say(f"round {cut.round}: {cut.said}")
        if cut.seconds is not None:
            threading.Timer(cut.seconds, self._mend, (cut, place)).start()

    def _mend(self, cut: Cut, place: Place) -> None:
        place.mend()
        self._away.remove((cut, place))
        self.say(f"the link of {cut.name} is mended")
