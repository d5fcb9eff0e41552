"""HTTP connections that cannot be held: uvicorn's protocol with deadlines and a cap by address.

uvicorn alone waits forever for the end of a request's head, of its body, and for a reader that does
not read. Here a connection is cut when it has not finished a request within a deadline.
"""

import asyncio
import logging
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BoundedProtocol"]

SECONDS = 20.0
"""A request, from its first byte to the last byte of its answer."""

CONNECTIONS_OF_ADDRESS = 64

logger = logging.getLogger(__name__)


class BoundedProtocol(H11Protocol):
    """One connection."""

    _open: ClassVar[Counter[str]] = Counter()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._address: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, or refuse it when its address has too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._open[self._address] += 1
        if self._open[self._address] > CONNECTIONS_OF_ADDRESS:
            logger.warning("too many connections of %s", self._address)
            transport.abort()
            return
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        if self._address is not None:
            self._open[self._address] -= 1
            if not self._open[self._address]:
                del self._open[self._address]
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the deadline with a request's first byte; what is no HTTP closes the connection."""
        if self._deadline is None:
            self._start()
        try:
            super().data_received(data)
        except Exception:
            logger.warning("a request of %s cannot be read", self._address, exc_info=True)
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Stop the deadline: between requests uvicorn's own timeout holds."""
        self._stop()
        super().on_response_complete()

    def _start(self) -> None:
        self._deadline = self.loop.call_later(SECONDS, self._cut)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut(self) -> None:
        logger.info("connection of %s cut: no whole request in %d s", self._address, SECONDS)
        self.transport.abort()
