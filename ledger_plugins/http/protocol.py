"""HTTP connections that cannot be held: uvicorn's protocol with deadlines and places for everybody.

uvicorn alone waits forever for the end of a request's head, of its body, and for a reader that does
not read. Here a connection is cut when nothing has moved for a while: a request has to come whole
before its deadline, or another `PIECE` of its body, and each piece of the answer has to leave
before the next deadline.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from fedledger.effects import Clock
from fedledger.effects.transport import PIECE

from .guard import PENALTY
from .limits import RateLimit, Sparsely
from .places import CONNECTION, Places

__all__ = ["BoundedProtocol", "bounded"]

logger = logging.getLogger(__name__)


class BoundedProtocol(H11Protocol):
    """One connection; `bounded` makes the class for one server."""

    _limit: ClassVar[RateLimit]
    _seconds: ClassVar[float]
    _places: ClassVar[Places["BoundedProtocol"]]
    _say: ClassVar[Sparsely]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._address: str | None = None
        self._unsent = False
        self._moved = 0.0
        self._came = 0
        self.app_state = {**self.app_state, CONNECTION: self}

    @property
    def use(self) -> tuple[bool, float]:
        """How much it is used: whether a request is under way, then when something last came."""
        return self.cycle is not None and not self.cycle.response_complete, self._moved

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, or refuse it when its address has too many or opens too many."""
        super().connection_made(transport)
        # Then asyncio says when something waits to be sent, and when nothing does any more. Above
        # TLS it would say so of nothing as well, and never take it back: there one byte is nothing.
        transport.set_write_buffer_limits(1 if transport.get_extra_info("sslcontext") else 0)
        self._address = self.client[0] if self.client else ""
        self._moved = self.loop.time()
        if not self._places.has_room(self._address):
            self._say(self._address, "refused: too many connections at once")
            transport.abort()
            return
        if (other := self._places.take(self._address, self)) is not None:
            self._say(other.address, "gave way: others have fewer connections")
            other.cut()
        if not self._limit.take(self._address):
            self._say(self._address, "refused: too many connections and requests")
            transport.abort()
        else:
            self._start()

    @property
    def address(self) -> str:
        """Where it comes from."""
        return self._address or ""

    @property
    def gone(self) -> bool:
        """Whether it is closed, or about to be."""
        return self.transport.is_closing()

    def allow(self, seconds: float | None = None) -> None:
        """Start the deadline of the request under way anew, perhaps with another length.

        Where the reader has not taken everything yet, its own goes on.
        """
        if not self._unsent and not self.gone:
            self._stop()
            self._start(seconds)

    def cut(self) -> None:
        """End it at once, whatever is under way."""
        self.transport.abort()

    def give_up(self) -> None:
        """End it unless its request has come whole: what would still come is answered to nobody."""
        if self.cycle is None or self.cycle.more_body or self.cycle.response_complete:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the deadline with a request's first byte, and anew with each piece of its body.

        What is no HTTP closes the connection.
        """
        self._moved = self.loop.time()
        self._came += len(data)
        if self._deadline is None:
            self._came = 0
            self._start()
        elif self._came >= PIECE and self._is_coming:
            self._came = 0
            self._stop()
            self._start()
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - whatever the bytes do to the parser
            self._unreadable(f"{type(error).__name__} {error}")
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._unreadable(msg)
        super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Note that the reader has not taken everything yet."""
        super().pause_writing()
        self._unsent = True
        if self._deadline is None:
            self._start()

    def resume_writing(self) -> None:
        """Start the deadline anew: the reader has taken everything that was there to send."""
        self._unsent = False
        self._stop()
        if self.cycle is not None and not self.cycle.response_complete:
            self._start()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Stop the deadline once the answer has left: between requests uvicorn's own holds."""
        if not self._unsent:
            self._stop()
        super().on_response_complete()
        pipelined = self.cycle is not None and not self.cycle.response_complete
        if pipelined and self._deadline is None and not self.transport.is_closing():
            self._start()

    def _unreadable(self, why: str) -> None:
        address = self._address or ""
        self._limit.charge(address, PENALTY)
        self._say(address, "sends what is no HTTP", repr(why))

    @property
    def _is_coming(self) -> bool:
        """Whether a request's body is on its way, to somebody who has not answered yet."""
        cycle = self.cycle
        return cycle is not None and cycle.more_body and not cycle.response_started

    def _start(self, seconds: float | None = None) -> None:
        self._deadline = self.loop.call_later(seconds or self._seconds, self._cut)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut(self) -> None:
        cycle = self.cycle
        if self._unsent:
            what = "does not read its answer"
        elif cycle is not None and not cycle.more_body and not cycle.response_complete:
            what = "could not be answered"
        else:
            what = "sends no whole request"
        self._say(self._address or "", what, f"in {self._seconds:g} s: connection cut")
        self.transport.abort()


def bounded(
    limit: RateLimit, seconds: float, clock: Clock, peers: Collection[str] = ()
) -> type[BoundedProtocol]:
    """Return the protocol of one server.

    Args:
        limit: tokens by address; a connection takes one, what is no HTTP costs more.
        seconds: the deadline.
        clock: says how long ago something was logged.
        peers: addresses whose connections give way to nobody; looked at for each connection.
    """

    class Bounded(BoundedProtocol):
        _limit = limit
        _seconds = seconds
        _places: ClassVar[Places[BoundedProtocol]] = Places(peers)
        _say = Sparsely(logger, clock=clock)

    return Bounded
