"""Contents that replies only name: they are fetched while other replies are waited for.

Each is tried again, later and longer each time, until its phase's deadline. What was tried before
takes no more than half of the places, so that a client that names what is slow or nowhere keeps
nobody from being looked for. Nor does it cost much time for ever: where it alone is waited for, it
has half of the deadline after each time in a row that its content did not come, and a whole first
try in any case.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from fedledger.effects import Clock, Work
from fedledger.errors import ContentNotFound, FedledgerError, StoreError, StoreUnavailable

from ....ledger_plugins.storage.base import Store
from ....ledger_plugins.storage.patience import may_pass, pause

__all__ = ["AT_ONCE", "Contents", "Fetching"]

AT_ONCE = 16
"""Contents that are fetched together; so many lie half fetched in memory at most."""

_AGAIN = AT_ONCE // 2  # of them, that were tried before
_TRY, _LONGER = 5.0, 4  # seconds of a first try, doubled for further ones, how often at most
_SLOW = 10e6  # bytes a second: a first try has the time for so slow a store
_LOOK = 0.05
_MISSED = 60  # halvings: more make no difference

Take = Callable[[bytes], None]
Lose = Callable[[StoreError], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """Where contents come from that replies only name.

    Attributes:
        store: the aggregator's own; what it fetches stays in it for the audit.
        time: passes.
        work: fetches in the background.
        seconds: how long after a phase's end its contents may still come.
    """

    store: Store
    time: Clock
    work: Work
    seconds: float


@dataclass(slots=True, eq=False)
class _Wanted:
    """A content, and who waits for it."""

    cid: str
    waiting: list[tuple[Take, Lose]]
    share: float
    tries: int = 0
    tried: bool = False
    due: float = 0.0
    error: StoreError | None = None


@dataclass(slots=True, eq=False)
class _Try:
    """A try to fetch a content, in a thread of its own."""

    wanted: _Wanted
    data: bytes | None = None
    error: StoreError | None = None
    ended: bool = False
    wait: Callable[[float], object] = field(default=lambda _: None)


class Fetching:
    """Fetches the contents of one phase; whoever waits for one is called by `turn`, in order.

    Args:
        contents: where they come from.
        max_bytes: of each; more is not read.
    """

    def __init__(self, contents: Contents, max_bytes: int) -> None:
        self._contents = contents
        self._max_bytes = max_bytes
        self._wanted: dict[str, _Wanted] = {}
        self._tries: list[_Try] = []

    def want(self, cid: str, take: Take, lose: Lose, *, missed: int = 0) -> None:
        """Want a content.

        Args:
            cid: its CID, as somebody said.
            take: called with its bytes.
            lose: called instead with what the store said last.
            missed: how often in a row, up to now, a content of that party did not come.
        """
        share = 0.5 ** min(missed, _MISSED)
        found = self._wanted.setdefault(cid, _Wanted(cid, [], share))
        found.waiting.append((take, lose))
        found.share = max(found.share, share)

    def turn(self) -> bool:
        """Hand over what came, and go on; return at once, and tell whether something came."""
        ended = [one for one in self._tries if one.ended]
        self._tries = [one for one in self._tries if one not in ended]
        for one in ended:
            one.wait(0)  # its thread ends
        came = [self._end(one) for one in ended]
        self._begin(self._contents.time.monotonic())
        return any(came)

    def finish(self, seconds: float, settle: Callable[[], object]) -> None:
        """Wait for what is wanted, so long at most; what has not come then is lost.

        Args:
            seconds: from now on; half of them, a quarter, … for contents of a party that missed.
            settle: called when something came.
        """
        time = self._contents.time
        began = time.monotonic()
        while self._wanted:
            if self.turn():
                settle()
                continue
            shares = (one.share if one.tried else 1.0 for one in self._wanted.values())
            left = began + seconds * max(shares) - time.monotonic()
            if left <= 0:
                break
            if self._tries:
                self._tries[0].wait(_LOOK)
            elif self._wanted:
                due = min(one.due for one in self._wanted.values())
                time.sleep(min(left, max(due - time.monotonic(), _LOOK)))
        for one in list(self._wanted.values()):
            self._lose(one, one.error or ContentNotFound(one.cid))
        for late in self._tries:
            late.wait(0)  # its thread ends when the store lets it
        self._tries.clear()

    # Inside --------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Try what is due: what was just named first, then what has had the fewest tries."""
        under_way = {one.wanted.cid for one in self._tries}
        again = sum(one.wanted.tries > 1 for one in self._tries)
        due = [one for cid, one in self._wanted.items() if cid not in under_way and one.due <= now]
        for one in sorted(due, key=lambda one: one.tries):
            if len(self._tries) >= AT_ONCE or (one.tries and again >= _AGAIN):
                break
            again += bool(one.tries)
            one.tries += 1
            self._tries.append(self._start(one))

    def _start(self, wanted: _Wanted) -> _Try:
        made = _Try(wanted)
        store, cap = self._contents.store, self._max_bytes
        seconds = (_TRY + cap / _SLOW) * 2 ** min(wanted.tries - 1, _LONGER)

        def fetch() -> None:
            try:
                made.data = store.get(wanted.cid, max_bytes=cap, timeout=seconds)
            except StoreError as error:
                made.error = error
            except FedledgerError as error:
                made.error = StoreUnavailable(str(error))
            finally:
                made.ended = True

        worker = self._contents.work.worker("fedledger-content", waiting=1)
        made.wait = worker.close
        worker.give(fetch)
        return made

    def _end(self, one: _Try) -> bool:
        """Hand over what a try gave; tell whether it is the content's last one."""
        wanted = one.wanted
        wanted.tried = True
        if one.data is not None:
            del self._wanted[wanted.cid]
            for take, _ in wanted.waiting:
                take(one.data)
            return True
        wanted.error = one.error or StoreUnavailable(f"cannot get {wanted.cid}")
        if not may_pass(wanted.error):
            self._lose(wanted, wanted.error)
            return True
        wanted.due = self._contents.time.monotonic() + pause(wanted.tries)
        return False

    def _lose(self, wanted: _Wanted, error: StoreError) -> None:
        del self._wanted[wanted.cid]
        for _, lose in wanted.waiting:
            lose(error)
