"""Asking a node as its client: answers have a cap, and who cannot be reached is asked again."""

from collections.abc import Callable

from fedledger.effects import Clock, Question, Transport
from fedledger.errors import LedgerError, LedgerUnavailable, NoAnswer, TransportError
from fedledger.formats import parse_json

from .wire import error_from_json

__all__ = ["Asking", "Unreachable"]

_SECONDS = 15.0
_FIRST, _LONGEST, _GROWTH = 0.05, 1.0, 2.0
_BUSY = (429, 503)


class Unreachable(LedgerUnavailable):
    """There was no answer, or the node is too busy for one: it may have one later."""


class Asking:
    """Asks one node; threads may share it.

    Args:
        url: the node's, "http://HOST:PORT".
        transport: reaches it.
        clock: counts and waits.
    """

    def __init__(self, url: str, *, transport: Transport, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.closed = False
        self._line = transport.line(url)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self.closed = True
        self._line.close()

    def check(self) -> None:
        """Raise LedgerUnavailable when it was closed."""
        if self.closed:
            raise LedgerUnavailable(f"local+{self.url} cannot be used: it was closed")

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        most: int = 64 * 1024,
        end: float,
        lost: Callable[[Unreachable], object] = lambda _error: None,
    ) -> bytes:
        """Return an answer's bytes; what gets none is asked again, with pauses, until a deadline.

        Args:
            method: HTTP's method.
            path: path and query.
            body: what is sent; the node has to take it twice like once.
            most: bytes that an answer may have.
            end: until when to ask again, by the clock; a first time it is asked always.
            lost: called with each error after which it was asked again: the node may have got it.

        Raises:
            Unreachable: no answer until the deadline.
            LedgerUnavailable: the answer is none of a node's.
            LedgerError: what the node refuses with.
        """
        pause = _FIRST
        while True:
            self.check()
            try:
                return self._once(method, path, body, most)
            except Unreachable as error:
                left = end - self.clock.monotonic()
                if left <= 0 or self.closed:
                    raise
                lost(error)
            self.clock.sleep(min(pause, left))
            pause = min(_LONGEST, pause * _GROWTH)

    def _once(self, method: str, path: str, body: bytes, most: int) -> bytes:
        question = Question(method=method, path=path, body=body, most=most, seconds=_SECONDS)
        try:
            answer = self._line.ask(question)
        except TransportError as error:
            self.check()  # another thread may have closed it
            kind = Unreachable if isinstance(error, NoAnswer) else LedgerUnavailable
            raise kind(f"no node answers at local+{error}") from error
        if answer.status in (200, 202, 204):
            return answer.body
        raise _refusal(answer.status, answer.body)


def _refusal(code: int, data: bytes) -> LedgerError:
    try:
        plain = parse_json(data)
        if isinstance(plain, dict) and "error" in plain and code not in _BUSY:
            return error_from_json(plain)
        said = f"the node answers {code}: {str(plain)[:200]}"
    except ValueError:
        said = f"the node answers {code}"
    return Unreachable(said) if code in _BUSY else LedgerUnavailable(said)
